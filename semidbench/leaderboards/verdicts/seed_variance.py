"""How much a row's mean varies from seed to seed, estimated with help from the other rows of the column.

A variance from five seeds is itself uncertain. So each row's variance is moderated: combined with what the rows of the
column say about a row with such a mean. This is limma's moderated variance with a trend (Smyth 2004,
doi:10.2202/1544-6115.1027; Law, Chen, Shi and Smyth 2014, doi:10.1186/gb-2014-15-2-r29), with two restrictions. The
other rows always lend four degrees of freedom, and they never lower a row's own variance: calm rows cannot make a
restless one look calm.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

LENT = 4.0  # degrees of freedom that the other rows lend
MIN_ROWS = 4  # with a variance of their own, to fit the trend to; with fewer nothing is lent
TINY = 1e-24  # a variance below is rounding
_SAME = 1e-9  # a range of log means below is rounding


def moderated(variance: Values, freedom: Values, mean: Values) -> tuple[Values, Values]:
    """The variance of a seed's mean that the tests use, and its degrees of freedom.

    The trend is a straight line through ln variance against ln mean. Rows without a variance (a single seed, or seeds
    that are all alike) and rows that find nothing are not part of its fit.

    Args:
        variance: float64 (R,), of each row's means over its seeds (ddof 1); 0 for a single seed.
        freedom: float64 (R,), the row's seeds less one.
        mean: float64 (R,), the row's mean.

    Returns:
        float64 (R,) each; what was given where fewer than four rows can be fitted.
    """
    fitted = (freedom > 0) & (variance > TINY) & (mean > 0)
    if np.count_nonzero(fitted) < MIN_ROWS:
        return variance, freedom
    x = np.log(np.maximum(mean, mean[fitted].min()))
    x -= x[fitted].mean()
    y = np.log(variance[fitted]) - _bias(freedom[fitted])
    slope = x[fitted] @ (y - y.mean()) / (x[fitted] @ x[fitted]) if np.ptp(x[fitted]) > _SAME else 0.0
    trend = np.exp(y.mean() + slope * x + _bias(np.array(LENT)))
    shared = (LENT * trend + freedom * variance) / (LENT + freedom)
    return np.maximum(variance, shared), np.minimum(LENT + freedom, freedom.sum())


def _bias(freedom: Values) -> Values:
    """By how much the expected logarithm of a variance's estimate lies beside the logarithm of the variance."""
    from scipy.special import digamma

    bias: Values = digamma(freedom / 2) - np.log(freedom / 2)
    return bias
