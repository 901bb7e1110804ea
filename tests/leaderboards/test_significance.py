"""p-values against scipy, power against the noncentral t distribution, and the cases where there is nothing to test."""

from __future__ import annotations

import warnings
from itertools import combinations

import numpy as np
import pingouin as pg
import pytest
from scipy import stats

from semidbench.leaderboards import significance
from semidbench.leaderboards.significance import ColumnTests, RowScores, paired_test, paired_tests
from semidbench.results.metrics import unit_means

ALPHA, POWER = 0.05, 0.8
UNITS = np.repeat(np.arange(50), 4)[::-1]  # 50 units of 4 cases each, not in order


def row(name: str, chance: float, seeds: range = range(3)) -> RowScores:
    """Scores of cases, not yet of units."""
    draws = {seed: np.random.default_rng([seed, len(name)]) for seed in seeds}
    return RowScores(name, {seed: (rng.random(len(UNITS)) < chance).astype(float) for seed, rng in draws.items()})


def compare(rows: list[RowScores]) -> ColumnTests:
    """The tests of rows of cases."""
    of_units = [
        RowScores(each.name, {seed: unit_means(values, UNITS, 50) for seed, values in each.by_seed.items()})
        for each in rows
    ]
    return paired_tests(of_units, ALPHA, POWER)


ROWS = [row("a", 0.5), row("bb", 0.35), row("ccc", 0.32)]


def by_hand(scores: RowScores, seeds: range = range(3)) -> np.ndarray:
    return np.array([np.mean([scores.by_seed[s][unit == UNITS].mean() for s in seeds]) for unit in range(50)])


def test_p_values_are_scipys_times_m() -> None:
    found = compare(ROWS)
    assert (found.n, found.m) == (50, 3)
    for a, b in combinations(range(3), 2):
        x, y = by_hand(ROWS[a]), by_hand(ROWS[b])
        expected = min(1.0, 3 * stats.ttest_rel(x, y).pvalue)
        assert found.p[a, b] == found.p[b, a] == pytest.approx(expected, rel=1e-9)
        assert found.difference[a, b] == -found.difference[b, a] == pytest.approx((x - y).mean())
    assert np.isnan(np.diag(found.p)).all()
    assert found.beats(0, 1)
    assert not found.beats(1, 0)
    assert not found.beats(1, 2)


def test_many_tests_at_once_are_pingouin_s_one_by_one() -> None:
    rng = np.random.default_rng(1)
    level = rng.random(200)
    rows = [
        RowScores(str(i), {seed: level + shift + spread * rng.random(200) for seed in range(2)})
        for i, (shift, spread) in enumerate([(0, 1), (0.1, 1), (0, 1e-3), (0.5, 0.3), (0.5, 0.3), (1e-4, 1e-3)])
    ]
    found = paired_tests(rows, ALPHA, POWER)
    means = [np.mean(list(scores.by_seed.values()), axis=0) for scores in rows]
    smallest = 1.0
    for a, b in combinations(range(len(rows)), 2):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # pingouin also computes Bayes factors, which may overflow
            p = pg.ttest(means[a], means[b], paired=True)["p_val"].iloc[0]
        assert found.p[a, b] == pytest.approx(min(1.0, 15 * p), rel=1e-12, abs=0)
        smallest = min(smallest, p)
    assert smallest < 1e-100


def test_no_bit_depends_on_what_is_tested_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row("x" * i, 0.3 + 0.02 * i, range(i % 2, 3)) for i in range(1, 8)]
    together = compare(rows)
    monkeypatch.setattr(significance, "_AT_ONCE", 1)
    apart = compare(rows)
    for name in ("p", "uncorrected_p", "difference", "spread", "seeds_ahead", "n_seeds", "significant"):
        np.testing.assert_array_equal(getattr(together, name), getattr(apart, name))
    assert (together.detectable, together.critical_t) == (apart.detectable, apart.critical_t)


def test_pairs_have_the_better_row_first() -> None:
    found = compare([*ROWS, row("dddd", 0.6), ROWS[0]])
    places = list(zip(*(side.tolist() for side in found.ordered_pairs()), strict=True))
    assert [tuple(sorted(pair)) for pair in places] == list(combinations(range(5), 2))
    assert all(found.difference[pair] >= 0 for pair in places)
    assert places[3] == (0, 4)  # a draw: the earlier row first
    assert any(a > b for a, b in places)


def test_one_test_in_full_is_pingouin_s_and_scipy_s() -> None:
    found = compare(ROWS)
    named = {each.name: RowScores(each.name, {0: by_hand(each)}) for each in ROWS}
    for a, b in combinations(ROWS, 2):
        one = paired_test(named[a.name], named[b.name])
        assert one is not None
        theirs = stats.ttest_rel(by_hand(a), by_hand(b))
        interval = theirs.confidence_interval(0.95)
        assert (one.t, one.df, one.p) == pytest.approx((theirs.statistic, theirs.df, theirs.pvalue), rel=1e-9)
        assert (one.low, one.high) == pytest.approx((interval.low, interval.high), abs=1e-8)
        x, y = by_hand(a), by_hand(b)
        size = (x.mean() - y.mean()) / np.sqrt((x.var(ddof=1) + y.var(ddof=1)) / 2)
        assert one.effect_size == pytest.approx(size, rel=1e-9)
        assert one.p == pytest.approx(found.uncorrected_p[ROWS.index(a), ROWS.index(b)], rel=1e-9)
        back = paired_test(named[b.name], named[a.name])
        assert back is not None
        assert (back.t, back.effect_size, back.low) == pytest.approx((-one.t, -one.effect_size, -one.high))


@pytest.mark.parametrize("shift", [0.0, 0.1])
def test_one_test_without_spread_has_p_1(shift: float) -> None:
    a = RowScores("a", {0: np.arange(5) / 10})
    one = paired_test(RowScores("b", {0: np.arange(5) / 10 + shift}), a)
    assert one is not None
    assert (one.t, one.p, one.effect_size) == (0, 1, 0)
    assert (one.low, one.high) == pytest.approx((shift, shift))
    assert paired_test(RowScores("b", {0: np.ones(1)}), RowScores("a", {0: np.ones(1)})) is None


def test_the_detectable_difference_has_the_power_asked_for() -> None:
    found = compare(ROWS)
    spread = max(np.std(by_hand(x) - by_hand(y), ddof=1) for x, y in combinations(ROWS, 2))
    assert found.detectable is not None
    assert found.critical_t is not None
    shift = found.detectable / spread * np.sqrt(50)
    power = stats.nct.sf(found.critical_t, 49, shift) + stats.nct.cdf(-found.critical_t, 49, shift)
    assert power == pytest.approx(POWER, abs=1e-6)


@pytest.mark.parametrize("n", [2, 3, 5, 58, 973])
@pytest.mark.parametrize("m", [1, 21, 19_900])
def test_the_detectable_difference_is_pingouin_s(n: int, m: int) -> None:
    noise = np.random.default_rng(n).standard_normal((2, n))
    rows = [RowScores(str(i), {0: noise[i % 2] * (i + 1)}) for i in range(2)]
    found = paired_tests(rows, ALPHA / m, POWER)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it tells nothing more than NaN does
        effect = pg.power_ttest(n=n, power=POWER, alpha=ALPHA / m, contrast="paired")
    spread = np.std(noise[0] - 2 * noise[1], ddof=1)
    assert found.detectable == (pytest.approx(effect * spread, rel=1e-9) if np.isfinite(effect) else None)


def test_seeds_ahead() -> None:
    noise = [np.random.default_rng(seed).random(len(UNITS)) * 0.1 for seed in range(4)]
    base = RowScores("base", dict(enumerate(noise)))
    for shifts, ahead in (
        ((0.5, 0.5, 0.5, 0.5), 4),
        ((0.5, 0.5, 0.5, -0.1), 3),
        ((0.9, 0.9, -0.1, -0.1), 2),
        ((0.5,), 1),
    ):
        found = compare([base, RowScores("other", {s: noise[s] + shift for s, shift in enumerate(shifts)})])
        assert (found.seeds_ahead[1, 0], found.n_seeds[1, 0]) == (ahead, len(shifts))
        assert found.seeds_ahead[0, 1] == len(shifts) - ahead


def test_each_row_is_tested_over_all_seeds_of_its_own() -> None:
    for others, common in ((range(1, 5), 2), (range(5, 7), 0)):
        rows = [row("a", 0.5), row("bb", 0.35, others)]
        found = compare(rows)
        x, y = by_hand(rows[0]), by_hand(rows[1], others)
        assert found.n_seeds[0, 1] == common
        assert found.difference[0, 1] == pytest.approx(x.mean() - y.mean())
        assert found.p[0, 1] == pytest.approx(stats.ttest_rel(x, y).pvalue, rel=1e-9)


@pytest.mark.parametrize("shift", [0.0, 0.1])
def test_no_variance_in_the_differences_gives_p_1(shift: float) -> None:
    a = row("a", 0.5)
    b = RowScores("b", {seed: values + shift for seed, values in a.by_seed.items()})
    found = compare([a, b, row("ccc", 0.1)])
    assert found.p[0, 1] == 1
    assert not found.beats(1, 0)
    assert found.beats(0, 2)
    assert found.m == 3


def test_nothing_to_test() -> None:
    alone = compare(ROWS[:1])
    one_unit = paired_tests([RowScores("a", {0: np.ones(1)}), RowScores("b", {0: np.zeros(1)})], ALPHA, POWER)
    no_case = paired_tests([RowScores(name, {0: np.zeros(0)}) for name in "ab"], ALPHA, POWER)
    for found in (alone, one_unit, no_case):
        assert (found.m, found.detectable, found.critical_t) == (0, None, None)
        assert np.isnan(found.p).all()
    assert one_unit.difference[0, 1] == 1


@pytest.mark.parametrize("values", [np.ones(49), np.full(50, np.nan)])
def test_a_row_that_lacks_a_unit_is_an_error(values: np.ndarray) -> None:
    with pytest.raises(ValueError, match="'b' seed 2 lacks a unit"):
        paired_tests([RowScores("a", {2: np.ones(50)}), RowScores("b", {2: values})], ALPHA, POWER)


def test_equal_rows_are_rarely_told_apart() -> None:
    """Family-wise error under the null: at most about alpha of 100 columns of three equal rows."""
    rng = np.random.default_rng(3)
    wrong = 0
    for _ in range(100):
        rows = [RowScores(str(i), {0: rng.random(40)}) for i in range(3)]
        found = paired_tests(rows, ALPHA, POWER)
        wrong += any(found.beats(a, b) for a in range(3) for b in range(3) if a != b)
    assert wrong <= 12  # 5 expected; more than 12 has a chance of .002
