"""The paper's result tables as data, and the order that they give to schemes."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PositiveInt, model_validator

from semidbench.api import TASKS, Task
from semidbench.methods.scheme import parse_scheme
from semidbench.results.metrics import GROUPS, Group
from semidbench.tracks.section import Section

PAPER = "2508.10478"
Decimal3 = Annotated[str, Field(pattern=r"^0\.\d{3}$")]  # as printed
SchemeName = Annotated[str, AfterValidator(lambda text: str(parse_scheme(text)))]  # canonical


class PrintedCell(Section):
    """One number of a table, as printed."""

    printed: Decimal3
    std: Decimal3 | None = None
    mark: Literal["bold", "underline"] | None = None
    beats: tuple[PositiveInt, ...] = ()  # superscripts: row numbers

    @property
    def value(self) -> float:
        return float(self.printed)


class PaperRow(Section):
    """One row of a table: the paper's name of it, ours, and its cells by task and group."""

    number: PositiveInt | None = None
    label: str
    scheme: SchemeName
    search: dict[Group, PrintedCell]
    rec: dict[Group, PrintedCell]

    def cell(self, task: Task, group: Group) -> PrintedCell | None:
        """The cell of a column, if the table has that column."""
        return {"search": self.search, "rec": self.rec}[task].get(group)


class PaperTable(Section):
    """One table. All of its rows have the same columns."""

    number: PositiveInt
    about: str
    notes: tuple[str, ...]
    rows: Annotated[tuple[PaperRow, ...], Field(min_length=2)]

    @property
    def columns(self) -> tuple[tuple[Task, Group], ...]:
        """Search before recommendation; all, head, torso."""
        return tuple((task, group) for task in TASKS for group in GROUPS if self.rows[0].cell(task, group))

    @model_validator(mode="after")
    def _rectangular(self) -> PaperTable:
        if any(
            (set(row.search), set(row.rec)) != (set(self.rows[0].search), set(self.rows[0].rec)) for row in self.rows
        ):
            raise ValueError(f"the rows of Table {self.number} differ in their columns")
        return self


class PrintedDataset(Section):
    """What the paper says of its data."""

    items: PositiveInt
    interactions: str  # as printed


class Paper(Section):
    """What a paper printed."""

    semidbench_published: Literal[1]  # version of this file format
    arxiv: str
    title: str
    venue: str
    doi: str
    measure: str
    dataset: PrintedDataset
    tables: Annotated[tuple[PaperTable, ...], Field(min_length=1)]

    def cell(self, scheme: str, task: Task, group: Group) -> PrintedCell | None:
        """The first printed cell of a scheme in a column; tables that repeat a row agree on it."""
        found = (row.cell(task, group) for table in self.tables for row in table.rows if row.scheme == scheme)
        return next((cell for cell in found if cell), None)


class _Extra(Section):
    semidbench_rows: Literal[1]  # version of this file format
    about: str
    schemes: tuple[SchemeName, ...]


def paper() -> Paper:
    """Tables 1, 2 and 3 of arXiv 2508.10478."""
    return Paper.model_validate(read_toml(f"{PAPER}.toml"))


def extra_rows() -> tuple[str, ...]:
    """Scheme strings of ours that stand in none of the paper's tables."""
    return _Extra.model_validate(read_toml("extra.toml")).schemes


def published_order() -> tuple[str, ...]:
    """Every scheme of Tables 1, 2 and 3, then the extra ones; each once, at its first place."""
    printed = (row.scheme for table in paper().tables for row in table.rows)
    return tuple(dict.fromkeys([*printed, *extra_rows()]))


def read_toml(name: str) -> dict[str, Any]:
    """One of this package's data files."""
    return tomllib.loads((files("semidbench.published") / name).read_text("utf-8"))
