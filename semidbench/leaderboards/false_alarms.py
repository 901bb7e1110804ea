"""A/A: how often do the tests and the `holds` rule tell a scheme from itself?

The seeds of one scheme are dealt into two disjoint sets of k, which are compared as if they were two schemes, many
times. There is nothing to find, so every call is a false alarm. The t-tests pair over cases after averaging over
seeds, and so leave out that two sets of seeds differ as wholes; the rule on seeds is there to make up for that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import comb
from pathlib import Path

import numpy as np

from semidbench.api import Task
from semidbench.errors import UserError
from semidbench.leaderboards.board import check_options, check_track, results_folder
from semidbench.leaderboards.column_scores import ColumnScores, column_scores
from semidbench.leaderboards.significance import ColumnTests, RowScores, Unit, paired_tests
from semidbench.methods.scheme import parse_scheme
from semidbench.published import published_order
from semidbench.results.files import read_cells
from semidbench.results.metrics import Group
from semidbench.tracks.files import load_track
from semidbench.tracks.track import Track


@dataclass(frozen=True, slots=True)
class ColumnAlarms:
    """False alarms in one column, out of as many comparisons as there were repeats.

    Attributes:
        n_cases: test cases.
        n: paired observations per test; 0 where nothing could be tested.
        uncorrected: p < alpha.
        corrected: p times m, the family, < alpha.
        holds: corrected, and one set ahead in all of the k pairs of seeds but one at most.
        largest: the largest absolute difference between the means of two sets that were compared.
    """

    task: Task
    group: Group
    n_cases: int
    n: int
    uncorrected: int
    corrected: int
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
        family: m of the Bonferroni correction.
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
    unit: Unit
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
    unit: Unit = "case",
) -> FalseAlarms:
    """Compare disjoint sets of a scheme's seeds as if they were two schemes. Trains nothing.

    Args:
        out: where `semidbench run` wrote.
        scheme: its string; it needs results of 2 * size seeds or more.
        size: seeds per set, 2 or more.
        repeats: random pairs of sets, drawn with replacement.
        seed: of the draws, 0 or more. Same results and seed: same answer.
        family: m of the Bonferroni correction; None means the pairs of all published and extra rows.
        unit: what the t-tests pair, as for `leaderboard`.

    Raises:
        UserError: too few seeds, a number out of range, results that cannot be read, ones of another track version
            or protocol, or seeds that ran with different options.
    """
    track = load_track(track) if isinstance(track, str) else track
    m = comb(len(published_order()), 2) if family is None else family
    for name, value, least in (("size", size, 2), ("repeats", repeats, 1), ("seed", seed, 0), ("family", m, 1)):
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
    columns = column_scores(track, [name], cells, folder)
    return FalseAlarms(
        track=track,
        split=cells[0].split,
        scheme=name,
        seeds=seeds,
        size=size,
        repeats=repeats,
        possible=comb(len(seeds), size) * comb(len(seeds) - size, size) // 2,
        independent=len(seeds) // (2 * size),
        family=m,
        unit=unit,
        columns=tuple(_alarms(track, scores, deals, m, unit) for scores in columns),
    )


Deal = tuple[Sequence[int], Sequence[int]]


def _deals(seeds: Sequence[int], size: int, repeats: int, rng: np.random.Generator) -> Iterable[Deal]:
    for _ in range(repeats):
        order = rng.permutation(seeds).tolist()
        yield order[:size], order[size : 2 * size]


def _alarms(track: Track, scores: ColumnScores, deals: Sequence[Deal], m: int, unit: Unit) -> ColumnAlarms:
    all_tests = [_tests(track, scores, deal, m, unit) for deal in deals]
    return ColumnAlarms(
        task=scores.task,
        group=scores.group,
        n_cases=scores.n_cases,
        n=all_tests[0].n,
        uncorrected=sum(bool(one.p[0, 1] / m < one.alpha) for one in all_tests),
        corrected=sum(one.beats(0, 1) or one.beats(1, 0) for one in all_tests),
        holds=sum(one.holds(0, 1) or one.holds(1, 0) for one in all_tests),
        largest=max(abs(float(one.difference[0, 1])) for one in all_tests),
    )


def _tests(track: Track, scores: ColumnScores, deal: Deal, m: int, unit: Unit) -> ColumnTests:
    """The tests of two rows, corrected as in a column with m pairs.

    Rows are compared over equal seeds, so each set's seeds are renumbered in the order in which they were dealt.
    """
    by_seed, rule = scores.rows[0].by_seed, track.evaluation
    rows = [
        RowScores(side, {i: by_seed[seed] for i, seed in enumerate(dealt)})
        for side, dealt in zip("AB", deal, strict=True)
    ]
    tests = paired_tests(rows, rule.alpha, rule.power, unit)
    return replace(tests, m=m, p=tests.p * m)
