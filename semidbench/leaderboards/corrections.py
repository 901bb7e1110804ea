"""Corrections of p-values for many tests at once, by pingouin; float64 (m,) to float64 (m,), in the order given."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def bonferroni(p: Values) -> Values:
    """m times each p, at most 1: the correction of the paper's Table 1."""
    return _corrected(p, "bonf")


def holm(p: Values) -> Values:
    """Holm's step-down correction (1979): the family-wise level of Bonferroni's, and never a larger p."""
    return _corrected(p, "holm")


def benjamini_hochberg(p: Values) -> Values:
    """Benjamini and Hochberg's correction (1995): of the tests below alpha, such a share is expected to be false."""
    return _corrected(p, "fdr_bh")


def _corrected(p: Values, method: Literal["bonf", "holm", "fdr_bh"]) -> Values:
    if not len(p):
        return p
    import pingouin  # takes a second

    return np.asarray(pingouin.multicomp(p, method=method)[1], np.float64)
