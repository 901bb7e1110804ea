"""The paper's claims as statements about rows and columns that results can bear out or contradict."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, model_validator

from semidbench.api import Task
from semidbench.published.papers import SchemeName, read_toml
from semidbench.results.metrics import Group
from semidbench.tracks.section import Section

StatementKind = Literal["pair", "ratio", "all"]
MAX_QUOTE_WORDS = 25


@dataclass(frozen=True, slots=True)
class Statement:
    """Row `better` is above row `worse` in one column; both are canonical scheme strings."""

    better: str
    worse: str
    task: Task
    group: Group


class Part(Section):
    """Every row of `better` is above every row of `worse`."""

    task: Task
    group: Group
    better: Annotated[tuple[str, ...], Field(min_length=1)]
    worse: Annotated[tuple[str, ...], Field(min_length=1)]


class Claim(Section):
    """One claim: the conjunction of its parts.

    Attributes:
        id: unique.
        where: section or table of the paper.
        quote: the paper's words, 25 at most; None for what a table says by its marks or order.
        says: the claim in one sentence of ours.
        kind: "pair" is one statement; "ratio" one for which the text also gives a size; "all" is several.
        significant: whether the paper marks it as statistically significant.
        stated: for a ratio, the size in words.
        note: which reading is ours.
        parts: row names as the file's `rows` defines them.
    """

    id: Annotated[str, Field(pattern="^[a-z0-9]+(-[a-z0-9]+)*$")]
    where: str
    quote: str | None = None
    says: str
    kind: StatementKind
    significant: bool = False
    stated: str | None = None
    note: str | None = None
    parts: Annotated[tuple[Part, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _consistent(self) -> Claim:
        n = sum(len(part.better) * len(part.worse) for part in self.parts)
        if (n > 1) != (self.kind == "all"):
            raise ValueError(f"{self.id}: kind {self.kind!r} with {n} statements")
        if (self.stated is not None) != (self.kind == "ratio"):
            raise ValueError(f"{self.id}: `stated` goes with kind 'ratio' and no other")
        if self.quote is not None and len(self.quote.split()) > MAX_QUOTE_WORDS:
            raise ValueError(f"{self.id}: a quote has at most {MAX_QUOTE_WORDS} words")
        return self


class Claims(Section):
    """All claims of a paper."""

    semidbench_claims: Literal[1]  # version of this file format
    arxiv: str
    rows: dict[str, SchemeName]
    claims: tuple[Claim, ...]

    @model_validator(mode="after")
    def _named(self) -> Claims:
        ids = [claim.id for claim in self.claims]
        if len(set(ids)) < len(ids):
            raise ValueError("two claims have the same id")
        for claim in self.claims:
            for name in (name for part in claim.parts for name in (*part.better, *part.worse)):
                if name not in self.rows:
                    raise ValueError(f"{claim.id}: no row {name!r} in `rows`")
        return self

    def statements(self, claim: Claim) -> Iterator[Statement]:
        """What a claim says, pair by pair, in the file's order."""
        for part in claim.parts:
            for better in part.better:
                for worse in part.worse:
                    yield Statement(self.rows[better], self.rows[worse], part.task, part.group)


def claims() -> Claims:
    """The claims of arXiv 2508.10478."""
    return Claims.model_validate(read_toml("claims.toml"))
