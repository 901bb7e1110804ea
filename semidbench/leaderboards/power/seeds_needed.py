"""How many seeds settle a difference on a track, from the results of a board."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb

import numpy as np

from semidbench.api import TASKS, Task
from semidbench.errors import UserError
from semidbench.leaderboards.board import Column, Leaderboard
from semidbench.leaderboards.power.components import MIN_SEEDS, Components, components
from semidbench.leaderboards.power.pair_power import power, seeds_for
from semidbench.leaderboards.verdicts.crossed_test import MIN_SEEDS as MIN_SEEDS_TESTED
from semidbench.published import claims

DIFFERENCES = (0.01, 0.02, 0.03)
_QUARTERS = (0.25, 0.5, 0.75)


@dataclass(frozen=True, slots=True)
class Needed:
    """The answer for one true difference.

    Attributes:
        seeds: quartiles, over the pairs of rows, of the fewest seeds in each row with which the test has the wanted
            power; more than `pair_power.MOST_SEEDS` where no number tried is enough.
        power_now: mean over the pairs, with `SeedsNeeded.seeds_now` in each row.
    """

    difference: float
    seeds: tuple[int, int, int]
    power_now: float


@dataclass(frozen=True, slots=True)
class FamilyNeeds:
    """One column and family of tests.

    Attributes:
        family: what is tested.
        tests: how many tests the family has; each is held to alpha divided by it.
    """

    task: Task
    family: str
    tests: int
    needed: tuple[Needed, ...]


@dataclass(frozen=True, slots=True)
class SeedsNeeded:
    """What a board says about the seeds that a comparison needs.

    Attributes:
        rows: with two seeds or more; the variances are theirs.
        seeds_now: the fewest that one of these has, at least the 3 that a verdict needs.
        units: by task, of All, Head and Torso.
    """

    board: Leaderboard
    rows: int
    seeds_now: int
    units: Mapping[Task, tuple[int, int, int]]
    lines: tuple[FamilyNeeds, ...]


def seeds_needed(board: Leaderboard, differences: Sequence[float] = DIFFERENCES) -> SeedsNeeded:
    """Quartiles of the seeds that pairs of rows need, in All of both tasks, for three families of tests.

    Raises:
        UserError: fewer than two rows with two seeds.
    """
    track = board.track
    seeds = [len(row.seeds) for row in board.rows if len(row.seeds) >= MIN_SEEDS]
    if len(seeds) < 2:
        raise UserError(
            f"only {len(seeds)} rows of {track.name} have {MIN_SEEDS} seeds or more, and power needs the variance over "
            f"the seeds of 2: `semidbench run --track {track.name} --seeds 5` makes more"
        )
    seeds_now = max(MIN_SEEDS_TESTED, min(seeds))
    families = {
        "all pairs": comb(len(board.rows), 2),
        "claims": len(claims().claims),
        "one pair": 1,
    }
    lines = []
    for task in TASKS:
        column = board.column(task, "all")
        if column.verdicts.n < 2:
            continue
        found = components(column)
        lines += [
            FamilyNeeds(task, name, tests, _needs(found, column, seeds_now, tests, differences))
            for name, tests in families.items()
        ]
    units = {task: _units(board, task) for task in TASKS}
    return SeedsNeeded(board, len(seeds), seeds_now, units, tuple(lines))


def _needs(
    found: Components, column: Column, seeds_now: int, tests: int, differences: Sequence[float]
) -> tuple[Needed, ...]:
    alpha, pairs = column.verdicts.alpha / tests, np.triu_indices(len(found.mean), 1)
    needed = []
    for difference in differences:
        seeds = seeds_for(found, difference, alpha, column.tests.power)[pairs]
        low, middle, high = np.quantile(seeds, _QUARTERS, method="inverted_cdf").tolist()
        now = float(power(found, seeds_now, difference, alpha)[pairs].mean())
        needed.append(Needed(difference, (low, middle, high), now))
    return tuple(needed)


def _units(board: Leaderboard, task: Task) -> tuple[int, int, int]:
    of_all, head, torso = (board.column(task, group).verdicts.n for group in ("all", "head", "torso"))
    return of_all, head, torso
