"""The claims ledger: each claim of the paper, judged by a leaderboard's own tests.

A statement *holds* by the rule of the tables: significant after Bonferroni over all pairs of the column, and ahead in
all common seeds but one at most, of two or more. It *fails* if the reverse holds. A claim is the conjunction of its
statements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum
from typing import Literal

from semidbench.leaderboards.board import Column, Key, Leaderboard, Row
from semidbench.published import Claim, Paper, claims, paper
from semidbench.published.statements import Statement

PAPER_TRACK = "paper"
Verdict = Literal["holds", "not significant", "provisional", "not run", "fails"]


@dataclass(frozen=True, slots=True)
class JudgedStatement:
    """What the results say on one statement.

    Attributes:
        printed: the paper's two numbers, the better row's first, as printed.
        means: ours over the common seeds, or over all of a row's own where the other has no results; None for a row
            without results or a column without cases.
        difference: mean of the better row's paired observations less that of the worse's; None where a mean is.
        p: corrected; None where nothing was tested.
        seeds_ahead: common seeds in which the better row was ahead.
        seeds_behind: common seeds in which it was behind.
        n_seeds: common seeds.
        m: tests in the column, the Bonferroni family.
    """

    statement: Statement
    printed: tuple[str, str]
    means: tuple[float | None, float | None]
    difference: float | None
    p: float | None
    seeds_ahead: int
    seeds_behind: int
    n_seeds: int
    m: int
    verdict: Verdict

    @property
    def borne_out_in_print(self) -> bool:
        """Whether the paper's own two numbers stand in that order."""
        return float(self.printed[0]) > float(self.printed[1])


@dataclass(frozen=True, slots=True)
class Judgement:
    """A claim, what the results say on each of its statements, and what follows."""

    claim: Claim
    findings: tuple[JudgedStatement, ...]

    @property
    def verdict(self) -> Verdict:
        """That of the conjunction: one failure fails it, whatever has not been run."""
        found = {finding.verdict for finding in self.findings}
        order: tuple[Verdict, ...] = ("fails", "not run", "provisional", "not significant")
        return next((verdict for verdict in order if verdict in found), "holds")

    @property
    def weakest(self) -> JudgedStatement:
        """The finding that decides the verdict; of several, the one with the smallest difference."""
        deciding = [finding for finding in self.findings if finding.verdict == self.verdict]
        return min(deciding, key=lambda finding: 0.0 if finding.difference is None else finding.difference)

    @property
    def n_hold(self) -> int:
        return sum(finding.verdict == "holds" for finding in self.findings)

    @property
    def borne_out_in_print(self) -> bool:
        return all(finding.borne_out_in_print for finding in self.findings)


@dataclass(frozen=True, slots=True, eq=False)
class Ledger:
    """All claims judged on one leaderboard."""

    board: Leaderboard
    judgements: tuple[Judgement, ...]

    @property
    def findings(self) -> tuple[JudgedStatement, ...]:
        """Each statement once, in the order of the claims."""
        each = {finding.statement: finding for judgement in self.judgements for finding in judgement.findings}
        return tuple(each.values())


def comparable(board: Leaderboard) -> bool:
    """Whether the board follows the paper's protocol on its release of MovieLens, as far as it gives them.

    The paper does not say how it drew its interactions, so where numbers stand side by side the counts do, too.
    """
    return board.track.name == PAPER_TRACK and board.split == "test"


def judge(board: Leaderboard) -> Ledger:
    """Judge every claim of arXiv 2508.10478 by the tests of a leaderboard, over all of its rows."""
    ours, printed = claims(), paper()
    columns = {(column.task, column.group): column for column in board.columns}
    judgements = (
        Judgement(
            claim,
            tuple(
                judge_statement(board, columns[statement.task, statement.group], statement, printed)
                for statement in ours.statements(claim)
            ),
        )
        for claim in ours.claims
    )
    return Ledger(board, tuple(judgements))


def judge_statement(board: Leaderboard, column: Column, statement: Statement, printed: Paper) -> JudgedStatement:
    """What one column's tests say on a statement about it."""
    tests, names = column.tests, (statement.better, statement.worse)
    rows = {row.name: row for row in board.rows}
    better, worse = rows.get(statement.better), rows.get(statement.worse)
    means = _mean(better, worse, column.key), _mean(worse, better, column.key)
    numbers = (_printed(printed, names[0], statement), _printed(printed, names[1], statement))
    if means[0] is None or means[1] is None:
        return JudgedStatement(statement, numbers, means, None, None, 0, 0, 0, tests.m, "not run")
    a, b = (tests.rows.index(name) for name in names)
    p, n_seeds = float(tests.p[a, b]), int(tests.n_seeds[a, b])
    return JudgedStatement(
        statement,
        numbers,
        means,
        float(tests.difference[a, b]),
        p if p == p else None,
        int(tests.seeds_ahead[a, b]),
        int(tests.seeds_ahead[b, a]),
        n_seeds,
        tests.m,
        _verdict(tests.holds(a, b), tests.holds(b, a), n_seeds),
    )


def _mean(row: Row | None, other: Row | None, key: Key) -> float | None:
    """Over the seeds that both rows have, or over all where the other has no results."""
    if row is None:
        return None
    common = row.seeds if other is None else other.seeds
    values = zip(row.seeds, row.values[key], strict=True)
    known = [value for seed, value in values if seed in common and value is not None]
    return fsum(known) / len(known) if known else None


def _verdict(holds: bool, reverse_holds: bool, n_seeds: int) -> Verdict:
    if n_seeds < 2:
        return "provisional"
    return "holds" if holds else "fails" if reverse_holds else "not significant"


def _printed(paper: Paper, scheme: str, statement: Statement) -> str:
    cell = paper.cell(scheme, statement.task, statement.group)
    if cell is None:
        raise ValueError(f"the paper prints no {statement.task} {statement.group} of {scheme!r}, which a claim names")
    return cell.printed


def counts(judgements: Sequence[Judgement]) -> dict[Verdict, int]:
    """How many claims have each verdict."""
    order: tuple[Verdict, ...] = ("holds", "fails", "not significant", "provisional", "not run")
    return {verdict: sum(one.verdict == verdict for one in judgements) for verdict in order}
