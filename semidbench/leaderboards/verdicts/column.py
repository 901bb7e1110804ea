"""The verdicts of one column: which differences hold, which are likely, and which are unsettled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from semidbench.leaderboards.corrections import benjamini_hochberg, holm
from semidbench.leaderboards.significance import ColumnTests, RowScores
from semidbench.leaderboards.verdicts.crossed_test import CrossedTests, crossed_tests

Matrix = NDArray[np.float64]
Mask = NDArray[np.bool_]
PairVerdict = Literal["holds", "likely", "unsettled", "provisional", "not tested"]


@dataclass(frozen=True, eq=False)  # no slots: there a cached property could not keep what it found
class ColumnVerdicts:
    """All pairs of the R rows of one column; entry [a, b] of a matrix is about row a against row b.

    Attributes:
        tests: the test of each pair.
        difference: float64 (R, R), a's mean minus b's, each over all seeds of its row.
        n: units.
        m: pairs that were tested, the family of both corrections.
        alpha: level of the family.
        p: float64 (R, R), two-sided, uncorrected; NaN where not tested.
        holm: float64 (R, R), corrected so that at most alpha of all columns have a false difference that holds.
        fdr: float64 (R, R), corrected so that at most alpha of the differences below it are expected to be false.
    """

    tests: CrossedTests
    difference: Matrix
    n: int
    m: int
    alpha: float
    p: Matrix
    holm: Matrix
    fdr: Matrix

    @cached_property
    def holds(self) -> Mask:
        """Bool (R, R), whether it holds that row a is above row b."""
        return (self.holm < self.alpha) & (self.difference > 0)

    @cached_property
    def likely(self) -> Mask:
        """Bool (R, R), whether it is likely, and does not hold, that row a is above row b."""
        return (self.fdr < self.alpha) & (self.difference > 0) & ~self.holds

    @cached_property
    def margin_of_error(self) -> Matrix:
        """Float64 (R, R), half of the interval of each difference at level 1 - alpha; NaN where there is none."""
        return self._half_width(self.alpha)

    def equivalent(self, margin: float) -> Mask:
        """Bool (R, R), whether the interval at level 1 - 2 alpha lies within the margin on both sides of 0.

        Two one-sided tests, each at level alpha (Schuirmann 1987, doi:10.1007/BF01068419); uncorrected.
        """
        return np.abs(self.difference) + self._half_width(2 * self.alpha) < margin

    def _half_width(self, alpha: float) -> Matrix:
        from scipy.special import stdtrit

        half: Matrix = -stdtrit(self.tests.df, alpha / 2) * self.tests.standard_error
        return half

    def verdict(self, a: int, b: int) -> PairVerdict:
        """What is known about two rows, whichever is above."""
        if not self.tests.tested[a, b]:
            return "provisional" if self.n >= 2 else "not tested"
        if self.holds[a, b] or self.holds[b, a]:
            return "holds"
        return "likely" if self.likely[a, b] or self.likely[b, a] else "unsettled"


def column_verdicts(rows: Sequence[RowScores], paired: ColumnTests) -> ColumnVerdicts:
    """Judge every pair of rows: *holds* by Holm's correction, *likely* by Benjamini and Hochberg's.

    Args:
        rows: R rows scored on the same units.
        paired: their paired tests (`significance.paired_tests`).
    """
    tests = crossed_tests(rows, paired)
    p = 2 * np.minimum(tests.one_sided, tests.one_sided.T)
    pairs = np.nonzero(np.triu(tests.tested))
    corrected = []
    for correct in (holm, benjamini_hochberg):
        matrix = np.full(p.shape, np.nan)
        matrix[pairs] = matrix.T[pairs] = correct(p[pairs])
        corrected.append(matrix)
    n = max((len(values) for row in rows[:1] for values in row.by_seed.values()), default=0)
    return ColumnVerdicts(tests, paired.difference, n, len(pairs[0]), paired.alpha, p, *corrected)
