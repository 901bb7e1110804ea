"""The test of a pair of rows in which both seeds and units are drawn at random.

Seeds and units (test items, or users) are crossed: each seed of a row is scored on the same units. A test that averages
over the seeds takes them for fixed, and one over the seeds' means takes the units for fixed; both call too much (Clark
1973, doi:10.1016/S0022-5371(73)80014-3). Here both are random, by a quasi-F test (Judd, Westfall and Kenny 2012,
doi:10.1037/a0028347). Each row has seeds of its own, which are not paired with another row's; degrees of freedom are
Satterthwaite's, as in Welch's test. The test is never more lenient than the paired t-test over units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semidbench.leaderboards.significance import ColumnTests, RowScores
from semidbench.leaderboards.verdicts.seed_variance import TINY, moderated

Values = NDArray[np.float64]
Matrix = NDArray[np.float64]
Mask = NDArray[np.bool_]
MIN_SEEDS = 3  # of each row of a pair, for a verdict
_TIE = 1e-12  # variances that differ by a smaller share are equal but for rounding


@dataclass(frozen=True, slots=True, eq=False)
class SeedSpread:
    """How each of R rows varies from seed to seed.

    Attributes:
        seeds: int64 (R,), k, how many seeds the row has.
        own: float64 (R,), variance (ddof 1) of the seeds' means; 0 for a single seed.
        used: float64 (R,), the variance that the tests use (`seed_variance.moderated`).
        freedom: float64 (R,), its degrees of freedom.
        residual: float64 (R,), mean square of the interaction of seeds and units.
    """

    seeds: NDArray[np.int64]
    own: Values
    used: Values
    freedom: Values
    residual: Values


@dataclass(frozen=True, slots=True, eq=False)
class CrossedTests:
    """The tests of all pairs of the R rows of a column; entry [a, b] is about row a against row b.

    Attributes:
        tested: bool (R, R), pairs with three seeds or more in each row and two units or more.
        standard_error: float64 (R, R), of the difference of two means; NaN where not tested, 0 where nothing varies.
        df: float64 (R, R), degrees of freedom; NaN where not tested, and where nothing varies.
        one_sided: float64 (R, R), p of the hypothesis that a is not above b; NaN where not tested.
        spread: how the rows vary from seed to seed.
    """

    tested: Mask
    standard_error: Matrix
    df: Matrix
    one_sided: Matrix
    spread: SeedSpread


def crossed_tests(rows: Sequence[RowScores], paired: ColumnTests) -> CrossedTests:
    """Test every pair of rows.

    Args:
        rows: R rows scored on the same n units.
        paired: their paired tests, which have the variances of the differences over units.
    """
    from scipy.special import stdtr

    spread, size = seed_spread(rows), len(rows)
    n = max((len(values) for row in rows[:1] for values in row.by_seed.values()), default=0)
    enough = spread.seeds >= MIN_SEEDS
    tested = enough[:, None] & enough & ~np.eye(size, dtype=bool) & (n >= 2)
    if not tested.any():
        none = np.full((size, size), np.nan)
        return CrossedTests(tested, none, none, none, spread)
    variance, df = _variances(spread, paired.spread**2 / n, n)
    varies = variance >= TINY
    standard_error = np.sqrt(np.where(varies, variance, 0))
    t = np.divide(paired.difference, standard_error, out=np.zeros((size, size)), where=varies)
    return CrossedTests(
        tested=tested,
        standard_error=np.where(tested, standard_error, np.nan),
        df=np.where(tested & varies, df, np.nan),
        one_sided=np.where(tested, stdtr(np.where(varies, df, 1), -t), np.nan),  # where nothing varies t is 0, p a half
        spread=spread,
    )


def seed_spread(rows: Sequence[RowScores]) -> SeedSpread:
    """How the rows vary from seed to seed."""
    seeds = np.array([len(row.by_seed) for row in rows], np.int64)
    own, residual, mean = (np.zeros(len(rows)) for _ in range(3))
    for at, row in enumerate(rows):
        scores = np.stack(list(row.by_seed.values()))
        k, n = scores.shape
        if not n:
            continue
        by_seed, by_unit = scores.mean(axis=1), scores.mean(axis=0)
        mean[at] = by_seed.mean()
        if k > 1:
            own[at] = by_seed.var(ddof=1)
        if k > 1 and n > 1:
            left = scores - by_seed[:, None] - by_unit + mean[at]
            residual[at] = (left**2).sum() / ((k - 1) * (n - 1))
    used, freedom = moderated(own, (seeds - 1).astype(np.float64), mean)
    return SeedSpread(seeds, own, used, freedom, residual)


def _variances(spread: SeedSpread, over_units: Matrix, n: int) -> tuple[Matrix, Matrix]:
    """The squared standard error of each pair's difference, and its degrees of freedom: float64 (R, R) each.

    Args:
        spread: of the R rows.
        over_units: float64 (R, R), squared standard errors of the paired tests over units: units and residual.
        n: units, 2 or more.
    """
    k, freedom = spread.seeds, np.maximum(spread.freedom, 1)  # a row with one seed is not tested
    of_seeds, of_residual = spread.used / k, spread.residual / (n * k)
    seeds, residual = of_seeds[:, None] + of_seeds, of_residual[:, None] + of_residual
    units = np.maximum(over_units - residual, 0)  # both others contain the residual
    units[units <= _TIE * over_units] = 0
    parts = of_seeds**2 / freedom
    squares = parts[:, None] + parts
    rest = of_residual**2 / (np.maximum(k - 1, 1) * (n - 1))
    squares = squares + np.where(units > 0, over_units**2 / (n - 1) + rest[:, None] + rest, 0)
    variance = seeds + units
    df = np.divide(variance**2, squares, out=np.full(variance.shape, np.nan), where=squares > 0)
    lenient = variance < (1 - _TIE) * over_units
    return np.where(lenient, over_units, variance), np.where(lenient, n - 1.0, df)
