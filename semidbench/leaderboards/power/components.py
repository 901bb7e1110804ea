"""What varies in a column of a board: seeds, units, and seeds on units.

These are the variance components of a design in which seeds and units are crossed, as estimated from the results. A
negative estimate counts as 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semidbench.leaderboards.board import Column
from semidbench.leaderboards.verdicts.seed_variance import shared_variance

Values = NDArray[np.float64]
Matrix = NDArray[np.float64]
MIN_SEEDS = 2  # of a row, for a variance over its seeds


@dataclass(frozen=True, slots=True, eq=False)
class Components:
    """What varies in R rows that are scored on the same units.

    Attributes:
        n: units.
        mean: float64 (R,), of the row.
        seeds: float64 (R,), variance of the mean of one seed: the seed's own, and its part of the residual.
        residual: float64 (R,), variance of a seed's score on a unit beyond what the seed and the unit explain.
        units: float64 (R, R), variance of the two rows' difference that comes from the units alone. More seeds do not
            lower it.
    """

    n: int
    mean: Values
    seeds: Values
    residual: Values
    units: Matrix


def components(column: Column) -> Components:
    """The components of the rows that have two seeds or more: none may be left, or no unit.

    A row's variance between seeds is the mean of its own and that of the column's trend, weighted by their degrees of
    freedom: from five seeds alone it would be too uncertain to plan with.
    """
    spread, n = column.verdicts.tests.spread, column.verdicts.n
    kept = np.flatnonzero(spread.seeds >= MIN_SEEDS)
    mean = np.array([np.mean(list(column.scores[row].by_seed.values())) if n else 0.0 for row in kept])
    k, residual = spread.seeds[kept].astype(np.float64), spread.residual[kept]
    seeds = shared_variance(spread.own[kept], k - 1, mean)
    of_residual = residual / (max(n, 1) * k)
    over_units = column.tests.spread[np.ix_(kept, kept)] ** 2 / max(n, 1)
    return Components(
        n=n,
        mean=mean,
        seeds=np.maximum(seeds, residual / max(n, 1)),
        residual=residual,
        units=np.maximum(over_units - of_residual[:, None] - of_residual, 0),
    )
