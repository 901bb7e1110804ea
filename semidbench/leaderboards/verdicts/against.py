"""One row against all others: fewer tests than all pairs of a table, and so more that hold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semidbench.leaderboards.corrections import holm
from semidbench.leaderboards.verdicts.column import ColumnVerdicts


def holm_against(verdicts: ColumnVerdicts, row: int) -> NDArray[np.float64]:
    """p of this row against each other one, corrected (Holm) for these R - 1 tests alone: float64 (R,), NaN where none.

    It keeps its level for a row that was chosen before its results were seen, such as a plugin of one's own.
    """
    p: NDArray[np.float64] = verdicts.p[row].copy()
    tested = ~np.isnan(p)
    p[tested] = holm(p[tested])
    return p
