"""A/A: how often do the paper's test and the verdicts tell a scheme from itself?

The seeds of one scheme are dealt into two disjoint sets of k, which are compared as if they were two schemes, many
times: by themselves, or among the other rows of a board. There is nothing to find, so every call is a false alarm. The
paper's test takes the seeds as fixed, and so calls what differs between two sets of seeds; the verdicts' test should
not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import comb
from pathlib import Path

import numpy as np

from semidbench.api import TASKS, Task
from semidbench.errors import UserError
from semidbench.leaderboards.board import check_options, check_track, results_folder
from semidbench.leaderboards.column_scores import ColumnScores, column_scores
from semidbench.leaderboards.significance import RowScores, paired_tests
from semidbench.leaderboards.verdicts.column import column_verdicts
from semidbench.leaderboards.verdicts.crossed_test import MIN_SEEDS
from semidbench.methods.scheme import parse_scheme
from semidbench.published import published_order
from semidbench.results.cell_result import CellResult
from semidbench.results.files import read_cells
from semidbench.results.metrics import GROUPS, Group
from semidbench.tracks.files import load_track
from semidbench.tracks.track import Track


@dataclass(frozen=True, slots=True)
class ColumnAlarms:
    """False alarms in one column, out of as many comparisons as there were repeats.

    Attributes:
        n_cases: test cases.
        n: units, test items or users.
        paper: the paper's test has p < alpha.
        paper_corrected: the same, with p times m, the pairs of the family.
        crossed: the verdicts' test has p < alpha.
        holds: the verdict is *holds*.
        largest: the largest absolute difference between the means of two sets that were compared.
    """

    task: Task
    group: Group
    n_cases: int
    n: int
    paper: int
    paper_corrected: int
    crossed: int
    holds: int
    largest: float


@dataclass(frozen=True, slots=True)
class FalseAlarms:
    """An A/A run.

    Attributes:
        seeds: the scheme's seeds that have results.
        size: k, seeds per set.
        repeats: comparisons drawn.
        possible: different pairs of disjoint sets of k.
        independent: how many of them share no cell with each other, at most.
        family: m, the pairs that p-values are corrected for.
        beside: how many other rows stood beside the two sets.
    """

    track: Track
    split: str
    scheme: str
    seeds: tuple[int, ...]
    size: int
    repeats: int
    possible: int
    independent: int
    family: int
    beside: int
    columns: tuple[ColumnAlarms, ...]


def false_alarms(
    track: str | Track,
    scheme: str,
    out: Path | str,
    *,
    size: int = 3,
    repeats: int = 200,
    seed: int = 0,
    family: int | None = None,
    beside: Path | str | None = None,
) -> FalseAlarms:
    """Compare disjoint sets of a scheme's seeds as if they were two schemes. Trains nothing.

    Args:
        out: where `semidbench run` wrote.
        scheme: its string; it needs results of 2 * size seeds or more.
        size: seeds per set, 3 or more.
        repeats: random pairs of sets, drawn with replacement.
        seed: of the draws, 0 or more. Same results and seed: same answer.
        family: m, the pairs that p-values are corrected for; None means those of all published and extra rows.
        beside: like `out`; the two sets are judged among the schemes with results there, the scheme itself left out,
            as two rows of that table. m is then the table's own.

    Raises:
        UserError: too few seeds, a number out of range, results that cannot be read, ones of another track version,
            protocol or dataset, seeds that ran with different options, or a family beside other rows.
    """
    track = load_track(track) if isinstance(track, str) else track
    if beside is not None and family is not None:
        raise UserError("--family goes without --beside: beside other rows the family is the pairs of the table")
    m = comb(len(published_order()), 2) if family is None else family
    for name, value, least in (("size", size, MIN_SEEDS), ("repeats", repeats, 1), ("seed", seed, 0), ("family", m, 1)):
        if value < least:
            raise UserError(f"{name} must be {least} or more, not {value}")
    name, folder = str(parse_scheme(scheme)), results_folder(track.name, out)
    in_folder = read_cells(folder)
    for cell in in_folder[:1]:
        check_track(cell, track, folder)
    cells = [cell for cell in in_folder if (cell.kind, cell.name) == ("scheme", name)]
    if len(cells) < 2 * size:
        raise UserError(
            f"{folder} holds {len(cells)} seeds of {name!r}; two disjoint sets of {size} need {2 * size}: "
            f"`semidbench run --track {track.name} --scheme '{name}' --seeds {8 * size} --out {out}` makes more"
        )
    check_options(name, cells, folder)
    seeds = tuple(cell.seed for cell in cells)
    deals = list(_deals(seeds, size, repeats, np.random.default_rng(seed)))
    others: Sequence[tuple[RowScores, ...]] = [()] * len(TASKS) * len(GROUPS)
    if beside is not None:
        others = _others(track, cells[0], results_folder(track.name, beside))
    columns = column_scores(track, [name], cells, folder)
    n_others = len(others[0])
    return FalseAlarms(
        track=track,
        split=cells[0].split,
        scheme=name,
        seeds=seeds,
        size=size,
        repeats=repeats,
        possible=comb(len(seeds), size) * comb(len(seeds) - size, size) // 2,
        independent=len(seeds) // (2 * size),
        family=m if beside is None else comb(2 + n_others, 2),
        beside=n_others,
        columns=tuple(_alarms(track, scores, deals, m, rows) for scores, rows in zip(columns, others, strict=True)),
    )


Deal = tuple[Sequence[int], Sequence[int]]


def _deals(seeds: Sequence[int], size: int, repeats: int, rng: np.random.Generator) -> Iterable[Deal]:
    for _ in range(repeats):
        order = rng.permutation(seeds).tolist()
        yield order[:size], order[size : 2 * size]


def _others(track: Track, cell: CellResult, folder: Path) -> list[tuple[RowScores, ...]]:
    """By column, the rows of a board that the sets of this cell's scheme are judged beside."""
    cells = read_cells(folder)
    if not cells:
        raise UserError(f"no results in {folder}: --beside names a folder like --out, with results of {track.name}")
    check_track(cells[0], track, folder)
    if (cells[0].dataset, cells[0].split) != (cell.dataset, cell.split):
        raise UserError(f"{folder} holds results on other data than those of {cell.name!r}: leave out --beside")
    names = sorted({each.name for each in cells if each.kind == "scheme"} - {cell.name})
    for name in names:
        check_options(name, [each for each in cells if (each.kind, each.name) == ("scheme", name)], folder)
    return [scores.rows for scores in column_scores(track, names, cells, folder)]


def _alarms(
    track: Track, scores: ColumnScores, deals: Sequence[Deal], m: int, others: Sequence[RowScores]
) -> ColumnAlarms:
    calls = [_calls(track, scores.rows[0], deal, m, others) for deal in deals]
    n = len(next(iter(scores.rows[0].by_seed.values())))
    return ColumnAlarms(
        task=scores.task,
        group=scores.group,
        n_cases=scores.n_cases,
        n=n,
        paper=sum(call.paper for call in calls),
        paper_corrected=sum(call.paper_corrected for call in calls),
        crossed=sum(call.crossed for call in calls),
        holds=sum(call.holds for call in calls),
        largest=max(call.gap for call in calls),
    )


@dataclass(frozen=True, slots=True)
class _Calls:
    """What one comparison of two sets found, and how far apart they are."""

    paper: bool
    paper_corrected: bool
    crossed: bool
    holds: bool
    gap: float


def _calls(track: Track, row: RowScores, deal: Deal, m: int, others: Sequence[RowScores]) -> _Calls:
    rule = track.evaluation
    sets = [
        RowScores(side, {seed: row.by_seed[seed] for seed in dealt}) for side, dealt in zip("AB", deal, strict=True)
    ]
    rows = [*sets, *others]
    paper = paired_tests(sets, rule.alpha, rule.power).p[0, 1]  # of a family of one
    verdicts = column_verdicts(rows, paired_tests(rows, rule.alpha, rule.power))
    crossed = verdicts.p[0, 1]
    family = comb(len(rows), 2) if others else m
    corrected = verdicts.holm[0, 1] if others else crossed * m
    return _Calls(
        paper=bool(paper < rule.alpha),
        paper_corrected=bool(paper * family < rule.alpha),
        crossed=bool(crossed < rule.alpha),
        holds=bool(corrected < rule.alpha),
        gap=abs(float(verdicts.difference[0, 1])),
    )
