"""Paired Student's t-tests between the rows of one table column, Bonferroni-corrected, and what they leave out.

The paper (section 4) tests with paired t-tests at 95% and, in Table 1, Bonferroni; it does not say what it pairs.
Ours: pairs are formed over units, test items for search (an item's queries are not independent) and users for
recommendation, after averaging over the seeds. That leaves the seeds' variance out, so every pair also says in how
many seeds the row was ahead. The other unit on offer is the seed.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from semidbench.errors import UserError

Unit = Literal["case", "seed"]
Values = NDArray[np.float64]
Matrix = NDArray[np.float64]
CountMatrix = NDArray[np.int64]

# Scores are fractions of whole cases; a spread below this is rounding.
_NO_SPREAD = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class RowScores:
    """One row of one column: by seed, each unit's mean over its test cases, float64 (n,)."""

    name: str
    by_seed: Mapping[int, Values]


@dataclass(frozen=True, slots=True, eq=False)
class ColumnTests:
    """All pairs of the R rows of one column; entry [a, b] of a matrix is about row a against row b.

    Attributes:
        rows: their R names.
        unit: what was paired.
        n: paired observations per test, the smallest over the pairs.
        m: tests in the column, the Bonferroni family; 0 where nothing could be tested.
        alpha: family-wise level.
        p: float64 (R, R), corrected p-values; NaN on the diagonal and where m is 0.
        difference: float64 (R, R), mean of a's paired observations minus mean of b's.
        seeds_ahead: int64 (R, R), in how many common seeds a's mean over the units is above b's.
        n_seeds: int64 (R, R), common seeds.
        detectable: a difference that a test finds with the asked-for power, taking the largest standard deviation of
            paired differences in the column; None where there is none (m is 0, or n too small at any effect).
        critical_t: |t| that a test must exceed; None where m is 0.
    """

    rows: tuple[str, ...]
    unit: Unit
    n: int
    m: int
    alpha: float
    p: Matrix
    difference: Matrix
    seeds_ahead: CountMatrix
    n_seeds: CountMatrix
    detectable: float | None
    critical_t: float | None

    def beats(self, a: int, b: int) -> bool:
        """Whether row a is significantly better than row b."""
        return bool(self.p[a, b] < self.alpha and self.difference[a, b] > 0)

    def holds(self, a: int, b: int) -> bool:
        """Whether a beats b and was also ahead in all common seeds but one at most, of two or more."""
        n_seeds = self.n_seeds[a, b]
        return self.beats(a, b) and bool(n_seeds >= 2 and self.seeds_ahead[a, b] >= n_seeds - 1)


def paired_tests(rows: Sequence[RowScores], alpha: float, power: float, unit: Unit = "case") -> ColumnTests:
    """Test every pair of rows over their common seeds (pingouin.ttest, paired; pingouin.multicomp, bonf).

    Args:
        rows: R rows scored on the same n units (semidbench.metrics.unit_means).
        alpha: family-wise level.
        power: for the smallest detectable difference (pingouin.power_ttest).
        unit: "case" pairs the units, averaged over seeds; "seed" pairs the seeds' means over the units.

    Raises:
        UserError: two rows have no seed in common.
        ValueError: a row lacks a unit.
    """
    n_units = _check_units(rows)
    size = len(rows)
    difference, p = np.zeros((size, size)), np.full((size, size), np.nan)
    ahead, n_seeds = np.zeros((size, size), np.int64), np.zeros((size, size), np.int64)
    pairs = list(combinations(range(size), 2)) if n_units else []
    by_seed = [{seed: values.mean() for seed, values in row.by_seed.items()} for row in rows] if pairs else []
    observed: dict[tuple[int, tuple[int, ...]], Values] = {}
    tested: dict[tuple[int, int], tuple[Values, Values]] = {}
    for a, b in pairs:
        common = _common_seeds(rows[a], rows[b])
        means_a, means_b = (np.array([by_seed[i][seed] for seed in common]) for i in (a, b))
        n_seeds[a, b] = n_seeds[b, a] = len(common)
        ahead[a, b], ahead[b, a] = np.count_nonzero(means_a > means_b), np.count_nonzero(means_b > means_a)
        if unit == "seed":
            tested[a, b] = means_a, means_b
        else:
            for i in (a, b):
                if (i, common) not in observed:
                    observed[i, common] = np.mean([rows[i].by_seed[seed] for seed in common], axis=0)
            tested[a, b] = observed[a, common], observed[b, common]
        x, y = tested[a, b]
        difference[a, b], difference[b, a] = x.mean() - y.mean(), y.mean() - x.mean()
    n = min((len(x) for x, _ in tested.values()), default=0)
    m = len(pairs) if n >= 2 else 0
    detectable = critical_t = None
    if m:
        corrected, detectable, critical_t = _test(list(tested.values()), n, alpha, power)
        for (a, b), value in zip(tested, corrected, strict=True):
            p[a, b] = p[b, a] = value
    return ColumnTests(
        tuple(row.name for row in rows), unit, n, m, alpha, p, difference, ahead, n_seeds, detectable, critical_t
    )


def _check_units(rows: Sequence[RowScores]) -> int:
    """How many units all rows were scored on."""
    shapes = [values.shape for row in rows for values in row.by_seed.values()]
    for row in rows:
        for seed, values in row.by_seed.items():
            if values.shape != shapes[0] or not np.isfinite(values).all():
                raise ValueError(f"row {row.name!r} seed {seed} lacks a unit: {values.shape} scores for {shapes[0]}")
    return shapes[0][0] if shapes else 0


def _test(pairs: list[tuple[Values, Values]], n: int, alpha: float, power: float) -> tuple[Values, float | None, float]:
    """Corrected p-values of the pairs, the smallest detectable difference, and the critical |t|."""
    import pingouin as pg
    from scipy import stats

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # pingouin also computes Bayes factors, which may overflow
        spreads = [float(np.std(x - y, ddof=1)) for x, y in pairs]
        p = [
            1.0 if spread <= _NO_SPREAD else float(pg.ttest(x, y, paired=True)["p_val"].iloc[0])
            for (x, y), spread in zip(pairs, spreads, strict=True)
        ]
        corrected = np.asarray(pg.multicomp(p, alpha=alpha, method="bonf")[1], dtype=np.float64)
        effect = float(pg.power_ttest(d=None, n=n, power=power, alpha=alpha / len(pairs), contrast="paired"))
    detectable = effect * max(spreads) if np.isfinite(effect) and max(spreads) > _NO_SPREAD else None
    return corrected, detectable, float(stats.t.ppf(1 - alpha / len(pairs) / 2, n - 1))


def _common_seeds(a: RowScores, b: RowScores) -> tuple[int, ...]:
    common = tuple(sorted(set(a.by_seed) & set(b.by_seed)))
    if not common:
        raise UserError(
            f"{a.name!r} (seeds {sorted(a.by_seed)}) and {b.name!r} (seeds {sorted(b.by_seed)}) have no seed in "
            "common and cannot be compared: run both with the same --seeds"
        )
    return common
