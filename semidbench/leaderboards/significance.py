"""Paired Student's t-tests between the rows of one table column, Bonferroni-corrected, and what they leave out.

The paper (section 4) tests with paired t-tests at 95% and, in Table 1, Bonferroni; it does not say what it pairs.
Ours: pairs are formed over units, test items for search (an item's queries are not independent) and users for
recommendation, after averaging over the seeds. That leaves the seeds' variance out, so every pair also says in how
many seeds the row was ahead. The other unit on offer is the seed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from semidbench.errors import UserError

Unit = Literal["case", "seed"]
Values = NDArray[np.float64]
Counts = NDArray[np.int64]
Matrix = NDArray[np.float64]
CountMatrix = NDArray[np.int64]
Mask = NDArray[np.bool_]

# Scores are fractions of whole cases; a spread below this is rounding.
_NO_SPREAD = 1e-12
_LARGEST_EFFECT = 10.0  # of a test, in standard deviations
_AT_ONCE = 2**17  # differences tested in one go: 1 MiB of them stays in a processor's cache


@dataclass(frozen=True, slots=True, eq=False)
class RowScores:
    """One row of one column: by seed, each unit's mean over its test cases, float64 (n,)."""

    name: str
    by_seed: Mapping[int, Values]


@dataclass(frozen=True, eq=False)  # no slots: there a cached property could not keep what it found
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

    @cached_property
    def significant(self) -> Mask:
        """Bool (R, R), whether row a is significantly better than row b."""
        return (self.p < self.alpha) & (self.difference > 0)

    @cached_property
    def holding(self) -> Mask:
        """Bool (R, R), whether a beats b and was also ahead in all common seeds but one at most, of two or more."""
        return self.significant & (self.n_seeds >= 2) & (self.seeds_ahead >= self.n_seeds - 1)

    def beats(self, a: int, b: int) -> bool:
        """Whether row a is significantly better than row b."""
        return bool(self.significant[a, b])

    def holds(self, a: int, b: int) -> bool:
        """Whether a beats b over the seeds too."""
        return bool(self.holding[a, b])


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """All M pairs of the rows of one column, the better row first; in a draw, the earlier one.

    Attributes:
        better: int64 (M,), places in `ColumnTests.rows`.
        worse: int64 (M,), the same of the other row. Pairs are in the order of the two places, the lower one first.
        difference, p, seeds_ahead, n_seeds, significant, holding: (M,) each, as the matrices have them.
    """

    better: Counts
    worse: Counts
    difference: Values
    p: Values
    seeds_ahead: Counts
    n_seeds: Counts
    significant: NDArray[np.bool_]
    holding: NDArray[np.bool_]


def ordered_pairs(tests: ColumnTests) -> Pairs:
    """Each pair of rows once, from what the tests say on both its orders."""
    a, b = np.triu_indices(len(tests.rows), 1)
    behind = tests.difference[a, b] < 0
    at = np.where(behind, b, a), np.where(behind, a, b)
    return Pairs(
        *at,
        tests.difference[at],
        tests.p[at],
        tests.seeds_ahead[at],
        tests.n_seeds[at],
        tests.significant[at],
        tests.holding[at],
    )


def paired_tests(rows: Sequence[RowScores], alpha: float, power: float, unit: Unit = "case") -> ColumnTests:
    """Test every pair of rows over their common seeds (Student's t and its power by scipy).

    Args:
        rows: R rows scored on the same n units (semidbench.results.metrics.unit_means).
        alpha: family-wise level.
        power: for the smallest detectable difference.
        unit: "case" pairs the units, averaged over seeds; "seed" pairs the seeds' means over the units.

    Raises:
        UserError: two rows have no seed in common.
        ValueError: a row lacks a unit.
    """
    n_units = _check_units(rows)
    size = len(rows)
    tested = _Tested(
        difference=np.zeros((size, size)),
        p=np.full((size, size), np.nan),
        spread=np.zeros((size, size)),
        seeds_ahead=np.zeros((size, size), np.int64),
        n_seeds=np.zeros((size, size), np.int64),
    )
    families = _by_common_seeds(rows) if n_units else {}
    for common, partners in families.items():
        _test(rows, common, partners, unit, tested)
    m, n = size * (size - 1) // 2, 0
    if families:
        n = n_units if unit == "case" else min(map(len, families))
    detectable = critical_t = None
    if n < 2:
        m, tested.p[:] = 0, np.nan
    else:
        detectable, critical_t = _correct(tested, n, alpha, power)
    return ColumnTests(
        rows=tuple(row.name for row in rows),
        unit=unit,
        n=n,
        m=m,
        alpha=alpha,
        p=tested.p,
        difference=tested.difference,
        seeds_ahead=tested.seeds_ahead,
        n_seeds=tested.n_seeds,
        detectable=detectable,
        critical_t=critical_t,
    )


def _check_units(rows: Sequence[RowScores]) -> int:
    """How many units all rows were scored on."""
    shapes = [values.shape for row in rows for values in row.by_seed.values()]
    for row in rows:
        for seed, values in row.by_seed.items():
            if values.shape != shapes[0] or not np.isfinite(values).all():
                raise ValueError(f"row {row.name!r} seed {seed} lacks a unit: {values.shape} scores for {shapes[0]}")
    return shapes[0][0] if shapes else 0


@dataclass(frozen=True, slots=True, eq=False)
class _Tested:
    """The matrices of `ColumnTests` while they are filled in, and `spread`: the differences' standard deviation."""

    difference: Matrix
    p: Matrix
    spread: Matrix
    seeds_ahead: CountMatrix
    n_seeds: CountMatrix


def _by_common_seeds(rows: Sequence[RowScores]) -> dict[tuple[int, ...], dict[int, list[int]]]:
    """The pairs of rows: by their common seeds and then by the first row, the rows after it."""
    seeds = [frozenset(row.by_seed) for row in rows]
    families: dict[tuple[int, ...], dict[int, list[int]]] = {}
    shared: dict[tuple[frozenset[int], frozenset[int]], tuple[int, ...]] = {}
    for a, b in combinations(range(len(rows)), 2):
        key = seeds[a], seeds[b]
        if key not in shared:
            shared[key] = _common_seeds(rows[a], rows[b])
        families.setdefault(shared[key], {}).setdefault(a, []).append(b)
    return families


def _test(
    rows: Sequence[RowScores], common: tuple[int, ...], partners: Mapping[int, list[int]], unit: Unit, tested: _Tested
) -> None:
    """Fill in the pairs of rows that have these seeds in common; p-values uncorrected."""
    involved = sorted({*partners, *chain(*partners.values())})
    by_seed = {i: np.array([rows[i].by_seed[seed].mean() for seed in common]) for i in involved}
    paired = by_seed
    if unit == "case":
        paired = {i: np.mean([rows[i].by_seed[seed] for seed in common], axis=0) for i in involved}
    means = {i: values.mean() for i, values in paired.items()}
    for a, others in partners.items():
        for b in _blocks(others, len(paired[a])):
            spread, p = _p_values(paired[a] - np.stack([paired[i] for i in b]))
            seeds = np.stack([by_seed[i] for i in b])
            tested.p[a, b] = tested.p[b, a] = p
            tested.spread[a, b] = spread
            tested.difference[a, b] = means[a] - np.array([means[i] for i in b])
            tested.difference[b, a] = -tested.difference[a, b]
            tested.n_seeds[a, b] = tested.n_seeds[b, a] = len(common)
            tested.seeds_ahead[a, b] = np.count_nonzero(by_seed[a] > seeds, axis=1)
            tested.seeds_ahead[b, a] = np.count_nonzero(seeds > by_seed[a], axis=1)


def _blocks(rows: list[int], n: int) -> Iterator[list[int]]:
    """The rows in parts that are tested in one go."""
    step = max(1, _AT_ONCE // n)
    return (rows[at : at + step] for at in range(0, len(rows), step))


def _p_values(differences: Matrix) -> tuple[Values, Values]:
    """Standard deviation and two-sided p of each row of paired differences (B, n): float64 (B,) each.

    As scipy.stats.ttest_rel has them, which takes six times as long over so many rows.
    """
    from scipy.special import stdtr

    tests, n = differences.shape
    if n < 2:
        return np.zeros(tests), np.full(tests, np.nan)
    mean, spread = differences.mean(axis=1), differences.std(axis=1, ddof=1)
    varied = spread > _NO_SPREAD
    t = np.divide(mean, spread / np.sqrt(n), out=np.zeros(tests), where=varied)
    return spread, 2 * stdtr(n - 1, -np.abs(t))


def _correct(tested: _Tested, n: int, alpha: float, power: float) -> tuple[float | None, float]:
    """Correct the p-values in place; the smallest detectable difference, and the critical |t|."""
    above = np.triu_indices(len(tested.p), 1)
    m, spread = len(above[0]), float(tested.spread.max())
    tested.p[above] = tested.p.T[above] = np.minimum(m * tested.p[above], 1)
    critical_t = _critical_t(n, alpha / m)
    effect = _detectable_effect(n, critical_t, power)
    return (effect * spread if effect is not None and spread > _NO_SPREAD else None), critical_t


def _critical_t(n: int, alpha: float) -> float:
    """|t| that a two-sided test of n paired differences must exceed."""
    from scipy.special import stdtrit

    return float(-stdtrit(n - 1, alpha / 2))


def _detectable_effect(n: int, critical_t: float, power: float) -> float | None:
    """A mean difference that a paired t-test finds with that power, in standard deviations; None above 10 of them.

    t is then noncentral with n - 1 degrees of freedom and noncentrality effect * sqrt(n), as in pingouin.power_ttest.
    """
    from scipy.optimize import brentq
    from scipy.stats import nct

    def lacking(effect: float) -> float:
        shift = effect * np.sqrt(n)
        above, below = nct.sf(critical_t, n - 1, shift), nct.cdf(-critical_t, n - 1, shift)
        return float(power - above - np.nan_to_num(below))  # far from 0 the lower tail is NaN in scipy, and nothing

    return float(brentq(lacking, 0, _LARGEST_EFFECT)) if lacking(_LARGEST_EFFECT) < 0 else None


def _common_seeds(a: RowScores, b: RowScores) -> tuple[int, ...]:
    common = tuple(sorted(set(a.by_seed) & set(b.by_seed)))
    if not common:
        raise UserError(
            f"{a.name!r} (seeds {sorted(a.by_seed)}) and {b.name!r} (seeds {sorted(b.by_seed)}) have no seed in "
            "common and cannot be compared: run both with the same --seeds"
        )
    return common
