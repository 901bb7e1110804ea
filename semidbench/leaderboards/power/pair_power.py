"""The power of the verdicts' test of a pair of rows, and the seeds that it needs.

The difference of two means is normal, and its squared standard error is nearly a chi-square variable with
Satterthwaite's degrees of freedom, so t is nearly noncentral (Judd, Westfall and Kenny 2017,
doi:10.1146/annurev-psych-122414-033702). The test's variance of a row is on average above the true one, because the
other rows lend variance and never lower it: the expected value is used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semidbench.leaderboards.power.components import Components
from semidbench.leaderboards.verdicts.crossed_test import MIN_SEEDS
from semidbench.leaderboards.verdicts.seed_variance import LENT, TINY, lent_variance

Values = NDArray[np.float64]
Matrix = NDArray[np.float64]
MOST_SEEDS = 80


@dataclass(frozen=True, slots=True, eq=False)
class _Tests:
    """All pairs of rows with k seeds each, float64 (R, R): the true standard error, the test's, and its df."""

    true_error: Matrix
    error: Matrix
    df: Matrix


def power(given: Components, k: int, difference: float, alpha: float) -> Matrix:
    """The chance that the test finds that a row is above another one if it is, by this difference.

    Args:
        given: of R rows.
        k: seeds of each row, 3 or more.
        difference: the true one, above 0.
        alpha: two-sided level of the test: that of the family divided by its size gives the power at the first step of
            Holm's correction. The later steps are less strict, so the power is that or more.

    Returns:
        float64 (R, R), symmetric; of no meaning on the diagonal.
    """
    from scipy.special import stdtrit
    from scipy.stats import nct

    tests = _tests(given, k)
    least = -stdtrit(tests.df, alpha / 2) * tests.error  # difference that is found if the error is as expected
    certain = (least > 0) & (difference > least)  # where the difference itself does not vary
    varies = tests.true_error**2 > TINY
    true = np.where(varies, tests.true_error, 1)
    found: Matrix = np.where(varies, nct.sf(least / true, tests.df, difference / true), certain)
    return found


def seeds_for(given: Components, difference: float, alpha: float, wanted: float) -> NDArray[np.int64]:
    """The fewest seeds, from 3 to 80, with which the test has the wanted power: int64 (R, R), 81 where none has.

    Found by bisection: the power grows with the seeds.
    """
    shape = given.units.shape
    low, high = np.full(shape, MIN_SEEDS), np.full(shape, MOST_SEEDS + 1)
    while (open_ := low < high).any():
        middle = (low + high) // 2
        reached = np.zeros(shape, bool)
        for k in np.unique(middle[open_]):
            at = open_ & (middle == k)
            reached[at] = power(given, int(k), difference, alpha)[at] >= wanted
        high, low = np.where(open_ & reached, middle, high), np.where(open_ & ~reached, middle + 1, low)
    return low


def _tests(given: Components, k: int) -> _Tests:
    n, own = given.n, k - 1.0
    used, freedom = _expected(given, own)
    seeds, residual = given.seeds / k, given.residual / (n * k)
    true = seeds[:, None] + seeds + given.units
    variance = (used[:, None] + used) / k + given.units
    over_units = given.units + residual[:, None] + residual
    parts, rest = (used / k) ** 2 / freedom, residual**2 / (own * (n - 1))
    with_units = over_units**2 / (n - 1) + rest[:, None] + rest
    squares = parts[:, None] + parts + np.where(given.units > 0, with_units, 0)
    df = np.divide(variance**2, squares, out=np.ones(squares.shape), where=squares > 0)
    return _Tests(np.sqrt(true), np.sqrt(variance), df)


def _expected(given: Components, own: float) -> tuple[Values, float]:
    """The expected variance of a seed's mean that the tests use, float64 (R,), and its degrees of freedom.

    The test takes the larger of a row's own variance s (a chi-square variable) and the mean of it and the lent one, so
    on average it adds to the true variance a share of what s lacks of the lent one.
    """
    from scipy.stats import chi2

    true, lent = given.seeds, lent_variance(given.seeds, given.mean)
    if lent is None:
        return true, own
    at = np.divide(own * lent, true, out=np.full(true.shape, np.inf), where=true > 0)
    lacking = lent * chi2.cdf(at, own) - true * chi2.cdf(at, own + 2)
    return true + LENT / (LENT + own) * lacking, min(LENT + own, len(true) * own)
