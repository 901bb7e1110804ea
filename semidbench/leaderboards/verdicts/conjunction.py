"""A claim of several statements: the p with which it holds, and the p with which it fails."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def p_holds(one_sided: Values) -> float:
    """p of the hypothesis that some statement is false, from each one's one-sided p; 1 if one was not tested (NaN).

    An intersection-union test (Berger 1982, doi:10.1080/00401706.1982.10487790): all statements must be significant,
    and none needs a correction for the others.
    """
    return 1.0 if np.isnan(one_sided).any() else float(one_sided.max())


def p_fails(reversed_one_sided: Values) -> float:
    """p of the hypothesis that all statements are true, from the one-sided p of each statement's opposite.

    The smallest, Bonferroni-corrected for all s statements; 1 if none was tested (NaN).
    """
    if np.isnan(reversed_one_sided).all():
        return 1.0
    return min(1.0, len(reversed_one_sided) * float(np.nanmin(reversed_one_sided)))


def p_decided(holds: float, fails: float) -> float:
    """p of the better supported of the two answers, corrected for the choice between them."""
    return min(1.0, 2 * min(holds, fails))
