"""The claims ledger: each claim of the paper, judged by the test of a leaderboard's verdicts.

A claim is the conjunction of its statements, each of which says that one row is above another. It holds if all do, and
fails if one is false. The claims were written down before any run, so they are a family of their own (Holm over the
claims with results): rows that no claim names change nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from semidbench.leaderboards.board import Column, Leaderboard
from semidbench.leaderboards.corrections import holm
from semidbench.leaderboards.significance import PairedTest, paired_test
from semidbench.leaderboards.verdicts.conjunction import p_decided, p_fails, p_holds
from semidbench.published import Claim, Paper, claims, paper
from semidbench.published.statements import Statement

PAPER_TRACK = "paper"
ClaimVerdict = Literal["holds", "fails", "undecided", "provisional", "not run"]
StatementVerdict = Literal[
    "holds", "likely", "unsettled", "reverse likely", "reverse holds", "provisional", "not run"
]  # as in the tables


@dataclass(frozen=True, slots=True)
class JudgedStatement:
    """What the results say on one statement.

    Attributes:
        printed: the paper's two numbers, the better row's first, as printed.
        means: ours, each over all of its row's seeds; None for a row without results or a column without cases.
        difference: mean of the better row less that of the worse; None where a mean is.
        half_width: of the difference's interval at level 1 - alpha; None where there is none.
        p: one-sided, uncorrected, of the hypothesis that the statement is false; None where it was not tested.
        reversed_p: the same of its opposite.
        seeds_ahead: common seeds in which the better row was ahead.
        seeds_behind: common seeds in which it was behind.
        n_seeds: common seeds.
        paper_p: corrected (Bonferroni over all pairs of the column), by the paper's test.
        paper_test: the paper's test in full; None where it was not tested.
        verdict: that of the tables on the two rows.
    """

    statement: Statement
    printed: tuple[str, str]
    means: tuple[float | None, float | None]
    difference: float | None = None
    half_width: float | None = None
    p: float | None = None
    reversed_p: float | None = None
    seeds_ahead: int = 0
    seeds_behind: int = 0
    n_seeds: int = 0
    paper_p: float | None = None
    paper_test: PairedTest | None = None
    verdict: StatementVerdict = "not run"

    @property
    def borne_out_in_print(self) -> bool:
        """Whether the paper's own two numbers stand in that order."""
        return float(self.printed[0]) > float(self.printed[1])


@dataclass(frozen=True, slots=True)
class Judgement:
    """A claim, what the results say on each of its statements, and what follows.

    Attributes:
        p: corrected for the number of claims, of the better supported of the answers *holds* and *fails*; None where no
            statement was tested.
    """

    claim: Claim
    findings: tuple[JudgedStatement, ...]
    p: float | None
    verdict: ClaimVerdict

    @property
    def deciding(self) -> JudgedStatement:
        """The finding that the verdict rests on.

        The one that was not run or not tested, else the one whose opposite is best supported if that is the better
        supported answer, else the one that is least supported itself. Of several, the one with the smallest difference.
        """
        found = self.findings
        if self.verdict in ("not run", "provisional"):
            found = tuple(finding for finding in found if finding.verdict == self.verdict)
        elif _p_fails(found) < _p_holds(found):
            least = min(finding.reversed_p for finding in found if finding.reversed_p is not None)
            found = tuple(finding for finding in found if finding.reversed_p == least)
        else:
            most = max(finding.p for finding in found if finding.p is not None)
            found = tuple(finding for finding in found if finding.p == most)
        return min(found, key=lambda finding: 0.0 if finding.difference is None else finding.difference)

    @property
    def n_ahead(self) -> int:
        """For how many statements our means stand in the claimed order."""
        return sum((finding.difference or 0) > 0 for finding in self.findings)

    @property
    def borne_out_in_print(self) -> bool:
        return all(finding.borne_out_in_print for finding in self.findings)


def _p_holds(findings: Sequence[JudgedStatement]) -> float:
    return p_holds(np.array([finding.p for finding in findings], np.float64))  # None becomes NaN


def _p_fails(findings: Sequence[JudgedStatement]) -> float:
    return p_fails(np.array([finding.reversed_p for finding in findings], np.float64))


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

    @property
    def family(self) -> int:
        """For how many claims the p-values are corrected: those with a statement that was tested."""
        return sum(judgement.p is not None for judgement in self.judgements)


def comparable(board: Leaderboard) -> bool:
    """Whether the board follows the paper's protocol on its release of MovieLens, as far as it gives them.

    The paper does not say how it drew its interactions, so where numbers stand side by side the counts do, too.
    """
    return board.track.name == PAPER_TRACK and board.split == "test"


def judge(board: Leaderboard) -> Ledger:
    """Judge every claim of arXiv 2508.10478 by the results of a leaderboard."""
    ours, printed = claims(), paper()
    findings = [[*ours.statements(claim)] for claim in ours.claims]
    each = dict.fromkeys(statement for statements in findings for statement in statements)
    found = {statement: judge_statement(board, statement, printed) for statement in each}
    of_claims = [tuple(found[statement] for statement in statements) for statements in findings]
    return Ledger(board, judge_claims(ours.claims, of_claims, board.track.evaluation.alpha))


def judge_claims(
    each: Sequence[Claim], findings: Sequence[tuple[JudgedStatement, ...]], alpha: float
) -> tuple[Judgement, ...]:
    """What follows for each claim from the findings on its statements; `alpha` is the level of all claims together."""
    answers = [(_p_holds(found), _p_fails(found)) for found in findings]
    tested = [any(finding.p is not None for finding in found) for found in findings]
    of_tested = [p_decided(*of) for of, is_tested in zip(answers, tested, strict=True) if is_tested]
    corrected = iter(holm(np.array(of_tested)).tolist())
    judgements = []
    for claim, found, (holds, fails), is_tested in zip(each, findings, answers, tested, strict=True):
        p = next(corrected) if is_tested else None
        decided = p is not None and p < alpha
        verdict: ClaimVerdict = ("holds" if holds < fails else "fails") if decided else _open(found)
        judgements.append(Judgement(claim, found, p, verdict))
    return tuple(judgements)


def _open(findings: Sequence[JudgedStatement]) -> ClaimVerdict:
    """Why a claim is not decided."""
    order: tuple[Literal["not run", "provisional"], ...] = ("not run", "provisional")
    found = {finding.verdict for finding in findings}
    return next((verdict for verdict in order if verdict in found), "undecided")


def judge_statement(board: Leaderboard, statement: Statement, printed: Paper) -> JudgedStatement:
    """What the statement's column says on it."""
    column = board.column(statement.task, statement.group)
    names = (statement.better, statement.worse)
    rows = {row.name: row for row in board.rows}
    means = tuple(rows[name].mean(column.key) if name in rows else None for name in names)
    numbers = (_printed(printed, names[0], statement), _printed(printed, names[1], statement))
    if means[0] is None or means[1] is None:
        return JudgedStatement(statement, numbers, (means[0], means[1]))
    tests, verdicts = column.tests, column.verdicts
    a, b = (tests.rows.index(name) for name in names)
    return JudgedStatement(
        statement,
        numbers,
        (means[0], means[1]),
        difference=float(tests.difference[a, b]),
        half_width=_known(verdicts.margin_of_error[a, b]),
        p=_known(verdicts.tests.one_sided[a, b]),
        reversed_p=_known(verdicts.tests.one_sided[b, a]),
        seeds_ahead=int(tests.seeds_ahead[a, b]),
        seeds_behind=int(tests.seeds_ahead[b, a]),
        n_seeds=int(tests.n_seeds[a, b]),
        paper_p=_known(tests.p[a, b]),
        paper_test=paired_test(column.scores[a], column.scores[b]),
        verdict=_verdict(column, a, b),
    )


def _known(value: np.float64) -> float | None:
    return None if np.isnan(value) else float(value)


def _verdict(column: Column, a: int, b: int) -> StatementVerdict:
    found, ahead = column.verdicts.verdict(a, b), column.verdicts.difference[a, b] > 0
    if found == "holds":
        return "holds" if ahead else "reverse holds"
    if found == "likely":
        return "likely" if ahead else "reverse likely"
    return "unsettled" if found == "unsettled" else "provisional"


def _printed(paper: Paper, scheme: str, statement: Statement) -> str:
    cell = paper.cell(scheme, statement.task, statement.group)
    if cell is None:
        raise ValueError(f"the paper prints no {statement.task} {statement.group} of {scheme!r}, which a claim names")
    return cell.printed


def counts(judgements: Sequence[Judgement]) -> dict[ClaimVerdict, int]:
    """How many claims have each verdict."""
    order: tuple[ClaimVerdict, ...] = ("holds", "fails", "undecided", "provisional", "not run")
    return {verdict: sum(one.verdict == verdict for one in judgements) for verdict in order}
