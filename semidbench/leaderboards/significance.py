"""The paper's test: paired Student's t-tests between the rows of one table column, Bonferroni-corrected.

The paper (section 4) tests with paired t-tests at 95% and, in Table 1, Bonferroni; it does not say what it pairs.
Ours: pairs are formed over units, test items for search (an item's queries are not independent) and users for
recommendation, after averaging over each row's own seeds. That leaves the seeds' variance out; `verdicts` puts it in.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from semidbench.leaderboards.corrections import bonferroni

Values = NDArray[np.float64]
Counts = NDArray[np.int64]
Matrix = NDArray[np.float64]
CountMatrix = NDArray[np.int64]
Mask = NDArray[np.bool_]

# Scores are fractions of whole cases; a spread below this is rounding.
_NO_SPREAD = 1e-12
_LARGEST_EFFECT = 10.0  # of a test, in standard deviations
_AT_ONCE = 2**17  # differences tested in one go: 1 MiB of them stays in a processor's cache
_MILLIONTHS = 1e6  # pingouin rounds an interval to two decimals


@dataclass(frozen=True, slots=True, eq=False)
class RowScores:
    """One row of one column: by seed, each unit's mean over its test cases, float64 (n,)."""

    name: str
    by_seed: Mapping[int, Values]

    def unit_means(self) -> Values:
        """Each unit's mean over the row's seeds: float64 (n,)."""
        means: Values = np.mean(list(self.by_seed.values()), axis=0)
        return means


@dataclass(frozen=True, eq=False)  # no slots: there a cached property could not keep what it found
class ColumnTests:
    """All pairs of the R rows of one column; entry [a, b] of a matrix is about row a against row b.

    Attributes:
        rows: their R names.
        n: paired units per test.
        m: tests in the column, the Bonferroni family; 0 where nothing could be tested.
        alpha: family-wise level.
        p: float64 (R, R), corrected p-values; NaN on the diagonal and where m is 0.
        uncorrected_p: float64 (R, R), the same before Bonferroni's correction.
        difference: float64 (R, R), a's mean minus b's.
        spread: float64 (R, R), standard deviation (ddof 1) of the paired differences; 0 where n is below 2.
        seeds_ahead: int64 (R, R), in how many common seeds a's mean over the units is above b's.
        n_seeds: int64 (R, R), common seeds.
        power: for `detectable`.
        critical_t: |t| that a test must exceed; None where m is 0.
    """

    rows: tuple[str, ...]
    n: int
    m: int
    alpha: float
    p: Matrix
    uncorrected_p: Matrix
    difference: Matrix
    spread: Matrix
    seeds_ahead: CountMatrix
    n_seeds: CountMatrix
    power: float
    critical_t: float | None

    @cached_property
    def detectable(self) -> float | None:
        """A difference that a test finds with the asked-for power.

        It takes the largest standard deviation of paired differences in the column. None where there is none (m is 0,
        or n too small at any effect).
        """
        spread = float(self.spread.max(initial=0))
        if self.critical_t is None or spread <= _NO_SPREAD:
            return None
        effect = _detectable_effect(self.n, self.critical_t, self.power)
        return None if effect is None else effect * spread

    @cached_property
    def significant(self) -> Mask:
        """Bool (R, R), whether row a is significantly better than row b."""
        return (self.p < self.alpha) & (self.difference > 0)

    def beats(self, a: int, b: int) -> bool:
        """Whether row a is significantly better than row b."""
        return bool(self.significant[a, b])

    def ordered_pairs(self) -> tuple[Counts, Counts]:
        """All pairs of rows once, the better row first; in a draw, the earlier one: int64 (M,) each.

        Pairs are in the order of their two places, the lower one first.
        """
        a, b = np.triu_indices(len(self.rows), 1)
        behind = self.difference[a, b] < 0
        return np.where(behind, b, a), np.where(behind, a, b)


def paired_tests(rows: Sequence[RowScores], alpha: float, power: float) -> ColumnTests:
    """Test every pair of rows, each over its own seeds (Student's t and its power by scipy).

    Args:
        rows: R rows scored on the same n units (semidbench.results.metrics.unit_means).
        alpha: family-wise level.
        power: for the smallest detectable difference.

    Raises:
        ValueError: a row lacks a unit.
    """
    n, size = _check_units(rows), len(rows)
    means = np.stack([row.unit_means() for row in rows]) if rows else np.zeros((0, 0))
    seeds_ahead, n_seeds = _seeds(rows)
    uncorrected, spread = _p_values(means)
    m = size * (size - 1) // 2 if n >= 2 else 0
    above = np.triu_indices(size, 1)
    p = np.full((size, size), np.nan)
    p[above] = p.T[above] = bonferroni(uncorrected[above]) if m else np.nan
    critical_t = _critical_t(n, alpha / m) if m else None
    level = means.mean(axis=1) if n else np.zeros(size)
    return ColumnTests(
        rows=tuple(row.name for row in rows),
        n=n if size > 1 else 0,
        m=m,
        alpha=alpha,
        p=p,
        uncorrected_p=uncorrected,
        difference=level[:, None] - level,
        spread=spread,
        seeds_ahead=seeds_ahead,
        n_seeds=n_seeds,
        power=power,
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


def _seeds(rows: Sequence[RowScores]) -> tuple[CountMatrix, CountMatrix]:
    """In how many common seeds each row is ahead of each other, and how many there are: int64 (R, R) each."""
    seeds = sorted({seed for row in rows for seed, values in row.by_seed.items() if len(values)})
    means = np.full((len(rows), len(seeds)), np.nan)  # NaN for a seed that the row has not
    for i, row in enumerate(rows):
        for seed, values in row.by_seed.items():
            if len(values):
                means[i, seeds.index(seed)] = values.mean()
    present = (~np.isnan(means)).astype(np.int64)
    ahead = np.array([np.count_nonzero(of_row > means, axis=1) for of_row in means], np.int64)
    common = present @ present.T
    np.fill_diagonal(common, 0)
    return ahead.reshape(common.shape), common


def _p_values(means: Matrix) -> tuple[Matrix, Matrix]:
    """Two-sided p, uncorrected, of each pair of rows of units' means (R, n), and the differences' standard deviations.

    As scipy.stats.ttest_rel and pingouin.ttest have them, which take 6 and 1,000 times as long over so many rows.
    """
    from scipy.special import stdtr

    size, n = means.shape
    p, spread = np.full((size, size), np.nan), np.zeros((size, size))
    if n < 2:
        return p, spread
    for a in range(size):
        for b in _blocks(range(a + 1, size), n):
            differences = means[a] - means[b]
            mean, deviation = differences.mean(axis=1), differences.std(axis=1, ddof=1)
            varied = deviation > _NO_SPREAD
            t = np.divide(mean, deviation / np.sqrt(n), out=np.zeros(len(mean)), where=varied)
            spread[a, b] = spread[b, a] = deviation
            p[a, b] = p[b, a] = 2 * stdtr(n - 1, -np.abs(t))
    return p, spread


def _blocks(rows: range, n: int) -> Iterator[slice]:
    """The rows in parts that are tested in one go."""
    step = max(1, _AT_ONCE // n)
    return (slice(at, min(at + step, rows.stop)) for at in range(rows.start, rows.stop, step))


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


@dataclass(frozen=True, slots=True)
class PairedTest:
    """The paper's test of one pair of rows, in full.

    Attributes:
        t: Student's t; 0 where the differences have no spread.
        df: degrees of freedom, n - 1.
        p: two-sided, uncorrected.
        effect_size: Cohen's d with the mean of the two rows' variances over units, with the difference's sign; 0 where
            the differences have no spread.
        low, high: of the 95% interval of the mean difference.
    """

    t: float
    df: int
    p: float
    effect_size: float
    low: float
    high: float

    def as_json(self) -> dict[str, JsonValue]:
        """For files: as many digits as no processor changes."""
        t, p, size = (float(f"{value:.10g}") for value in (self.t, self.p, self.effect_size))
        return {"t": t, "df": self.df, "p": p, "cohens_d": size, "interval": [round(self.low, 8), round(self.high, 8)]}


def paired_test(a: RowScores, b: RowScores) -> PairedTest | None:
    """The paper's test of row a against row b by pingouin, with effect size and interval; None for fewer than 2 units.

    `paired_tests` has the same p for all pairs at once.
    """
    import pingouin

    x, y = a.unit_means(), b.unit_means()
    if len(x) < 2:
        return None
    difference = float((x - y).mean())
    if (x - y).std(ddof=1) <= _NO_SPREAD:
        return PairedTest(0.0, len(x) - 1, 1.0, 0.0, difference, difference)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # pingouin also computes a Bayes factor, which may overflow
        found = pingouin.ttest(_MILLIONTHS * x, _MILLIONTHS * y, paired=True, confidence=0.95).iloc[0]
    low, high = (float(end) / _MILLIONTHS for end in found["CI95"])
    size = float(np.copysign(found["cohen_d"], difference))
    return PairedTest(float(found["T"]), int(found["dof"]), float(found["p_val"]), size, low, high)
