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

    Args:
        variance: float64 (R,), of each row's means over its seeds (ddof 1); 0 for a single seed.
        freedom: float64 (R,), the row's seeds less one.
        mean: float64 (R,), the row's mean.

    Returns:
        float64 (R,) each; what was given where fewer than four rows can be fitted.
    """
    lent = lent_variance(variance, mean, _bias(freedom))
    if lent is None:
        return variance, freedom
    return np.maximum(variance, _shared(variance, freedom, lent)), np.minimum(LENT + freedom, freedom.sum())


def shared_variance(variance: Values, freedom: Values, mean: Values) -> Values:
    """The same without the restriction that a row's own variance is never lowered: float64 (R,)."""
    lent = lent_variance(variance, mean, _bias(freedom))
    return variance if lent is None else _shared(variance, freedom, lent)


def lent_variance(variance: Values, mean: Values, bias: Values | float = 0.0) -> Values | None:
    """What the trend says of each row's variance: float64 (R,); None where fewer than four rows can be fitted.

    The trend is a straight line through ln variance against ln mean. Rows without a variance (a single seed, or seeds
    that are all alike) and rows that find nothing are not part of its fit.

    Args:
        variance: float64 (R,), estimates, or true values.
        mean: float64 (R,), the row's mean.
        bias: float64 (R,), of the estimates' logarithms; 0 for true values.
    """
    fitted = (variance > TINY) & (mean > 0)
    if np.count_nonzero(fitted) < MIN_ROWS:
        return None
    x = np.log(np.maximum(mean, mean[fitted].min()))
    x -= x[fitted].mean()
    y = np.log(variance[fitted]) - np.broadcast_to(bias, variance.shape)[fitted]
    slope = x[fitted] @ (y - y.mean()) / (x[fitted] @ x[fitted]) if np.ptp(x[fitted]) > _SAME else 0.0
    lent: Values = np.exp(y.mean() + slope * x + _bias(np.array(LENT)))
    return lent


def _shared(variance: Values, freedom: Values, lent: Values) -> Values:
    shared: Values = (LENT * lent + freedom * variance) / (LENT + freedom)
    return shared


def _bias(freedom: Values) -> Values:
    """By how much the expected logarithm of a variance's estimate lies beside the logarithm of the variance.

    NaN where there is no degree of freedom.
    """
    from scipy.special import digamma

    some = np.where(freedom > 0, freedom, np.nan)
    bias: Values = digamma(some / 2) - np.log(some / 2)
    return bias
