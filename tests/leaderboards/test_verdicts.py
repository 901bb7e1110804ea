"""The verdicts' test: its limits are scipy's tests, its level is kept, each edge case, and nothing depends on order."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pingouin as pg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from semidbench.leaderboards.corrections import benjamini_hochberg, bonferroni, holm
from semidbench.leaderboards.significance import RowScores, paired_tests
from semidbench.leaderboards.verdicts.against import holm_against
from semidbench.leaderboards.verdicts.column import ColumnVerdicts, column_verdicts
from semidbench.leaderboards.verdicts.conjunction import p_decided, p_fails, p_holds
from semidbench.leaderboards.verdicts.seed_variance import moderated
from tests.oracles import crossed_verdicts as oracle

ALPHA, POWER = 0.05, 0.8
Scores = np.ndarray  # (seeds, units)


def row_of(name: str, scores: Scores, first_seed: int = 0) -> RowScores:
    return RowScores(name, dict(enumerate(scores, first_seed)))


def judged(rows: Sequence[Scores]) -> ColumnVerdicts:
    """The verdicts of rows of scores; no two rows have a seed of the same number."""
    named = [row_of(str(i), scores, 100 * i) for i, scores in enumerate(rows)]
    return column_verdicts(named, paired_tests(named, ALPHA, POWER))


def table(rng: np.random.Generator, seeds: Sequence[int], n: int = 80, shift: float = 0.0) -> list[Scores]:
    """Rows whose seeds, units, and seeds on units vary; `shift` from row to row."""
    level = rng.random(n)
    return [
        0.3 + i * shift + 0.2 * level + rng.normal(0, s, (k, 1)) + rng.normal(0, 0.1, n) + rng.normal(0, 0.2, (k, n))
        for i, (k, s) in enumerate(zip(seeds, rng.uniform(0.01, 0.05, len(seeds)), strict=True))
    ]


def assert_is_the_oracle_s(rows: Sequence[Scores], near: float = 1e-9) -> None:
    found = judged(rows)
    for pair in oracle.pairs_of(rows):
        at = pair.a, pair.b
        assert found.difference[at] == pytest.approx(pair.difference, abs=1e-12)
        for ours, theirs in (
            (found.tests.standard_error[at], pair.standard_error),
            (found.tests.df[at], pair.df),
            (found.p[at], pair.p),
            (found.holm[at], pair.holm),
            (found.fdr[at], pair.fdr),
        ):
            assert ours == pytest.approx(np.nan if theirs is None else theirs, rel=near, abs=1e-300, nan_ok=True)


def test_the_whole_is_what_one_pair_at_a_time_gives() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        rows = table(rng, rng.integers(1, 7, rng.integers(2, 9)).tolist(), int(rng.integers(2, 60)), 0.03)
        assert_is_the_oracle_s(rows)


def test_without_units_of_their_own_it_is_welch_s_test_over_the_seeds() -> None:
    rng = np.random.default_rng(0)
    a = np.repeat(rng.normal(0.5, 0.1, (5, 1)), 200, axis=1)  # every unit alike: no variance between units
    b = np.repeat(rng.normal(0.6, 0.05, (4, 1)), 200, axis=1)
    found, means = judged([a, b]), (a.mean(axis=1), b.mean(axis=1))
    welch = stats.ttest_ind(*means, equal_var=False)
    assert found.p[0, 1] == pytest.approx(welch.pvalue, rel=1e-9)
    assert found.tests.df[0, 1] == pytest.approx(welch.df, rel=1e-9)
    assert found.p[0, 1] == pytest.approx(pg.ttest(*means, correction=True)["p_val"].iloc[0], rel=1e-9)
    low, high = welch.confidence_interval(0.95)
    assert found.difference[0, 1] - found.margin_of_error[0, 1] == pytest.approx(low, rel=1e-9)
    assert found.difference[0, 1] + found.margin_of_error[0, 1] == pytest.approx(high, rel=1e-9)


def test_with_seeds_that_are_all_alike_it_is_the_paired_test_over_units() -> None:
    rng = np.random.default_rng(1)
    rows = [np.repeat(rng.random((1, 50)), k, axis=0) for k in (3, 5, 4)]
    found = judged(rows)
    for a, b in combinations(range(3), 2):
        paired = stats.ttest_rel(rows[a][0], rows[b][0])
        assert found.p[a, b] == pytest.approx(paired.pvalue, rel=1e-9)
        assert found.tests.df[a, b] == 49
        interval = paired.confidence_interval(0.95)
        assert found.margin_of_error[a, b] == pytest.approx((interval.high - interval.low) / 2, rel=1e-9)


def test_it_is_never_more_lenient_than_the_paired_test() -> None:
    for seed in range(10):
        rows = table(np.random.default_rng(seed), (3, 4, 5, 6, 5), 30, 0.05)
        named = [row_of(str(i), scores) for i, scores in enumerate(rows)]
        paired = paired_tests(named, ALPHA, POWER)
        found = column_verdicts(named, paired)
        off = ~np.eye(5, dtype=bool)
        assert (found.tests.standard_error[off] >= paired.spread[off] / np.sqrt(30) * (1 - 1e-12)).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.lists(st.integers(1, 6), min_size=2, max_size=7), st.integers(2, 25))
def test_no_number_depends_on_the_order_of_units_seeds_and_rows(seed: int, seeds: list[int], n: int) -> None:
    rng = np.random.default_rng(seed)
    rows = table(rng, seeds, n)
    order, units = rng.permutation(len(rows)), rng.permutation(n)
    mixed = [rows[i][rng.permutation(len(rows[i]))][:, units] for i in order]
    straight, shuffled = judged(rows), judged(mixed)
    for name in ("p", "holm", "fdr", "margin_of_error", "difference"):
        expected = getattr(straight, name)[np.ix_(order, order)]
        np.testing.assert_allclose(getattr(shuffled, name), expected, rtol=1e-6, atol=1e-9)


def test_the_level_under_a_true_null() -> None:
    """2,000 tables of 8 equal rows of 5 seeds: seeds' deviations from .01 to .05, random units, and seeds on units.

    Of each pair alone, .03 to .06 are called; in at most .06 of the tables some difference holds.
    """
    rng = np.random.default_rng(15)
    a, b = np.triu_indices(8, 1)
    calls, tables_with_one = 0.0, 0
    for _ in range(2_000):
        found = judged(table(rng, [5] * 8, 60))
        calls += float((found.p[a, b] < ALPHA).mean()) / 2_000
        tables_with_one += bool(found.holds.any())
    assert 0.03 <= calls <= 0.06
    assert tables_with_one / 2_000 <= 0.06


def test_the_paper_s_test_does_not_keep_that_level() -> None:
    """The same tables: what the seeds add, it calls. So the test above can fail."""
    rng = np.random.default_rng(15)
    some = 0
    for _ in range(100):
        rows = [row_of(str(i), scores) for i, scores in enumerate(table(rng, [5] * 8, 600))]
        some += bool(paired_tests(rows, ALPHA, POWER).significant.any())
    assert some > 30


# The edge cases, one by one.

MANY = table(np.random.default_rng(2), (5, 5, 5, 5, 5), 60)  # five rows with five seeds each


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_row_with_one_or_two_seeds_is_provisional(seeds: int) -> None:
    found = judged([*MANY, MANY[0][:seeds] + 0.3])
    assert np.isnan(found.p[5]).all()
    assert {found.verdict(5, b) for b in range(5)} == {"provisional"}
    assert found.m == 10
    assert not found.holds[5].any()
    assert not found.likely[5].any()
    np.testing.assert_array_equal(np.isnan(found.p[:5, :5]), np.eye(5, dtype=bool))


def test_one_seed_is_no_part_of_the_trend_and_two_are() -> None:
    alone, with_one, with_two = (judged([*MANY, *more]) for more in ([], [MANY[0][:1]], [MANY[0][:2]]))
    np.testing.assert_array_equal(alone.p, with_one.p[:5, :5])
    assert (alone.p != with_two.p[:5, :5])[0, 1]


def test_three_seeds_have_a_verdict_and_rows_need_no_common_seed() -> None:
    assert_is_the_oracle_s([MANY[0][:3], MANY[1][2:], MANY[2], MANY[3], MANY[4][:4]])
    named = [row_of("a", MANY[0][:3]), row_of("b", MANY[1][:4] + 1.0, 50)]
    paired = paired_tests(named, ALPHA, POWER)
    assert column_verdicts(named, paired).verdict(0, 1) == "holds"
    assert paired.n_seeds[0, 1] == 0


def test_a_row_with_a_missing_seed_is_compared_over_all_that_it_has() -> None:
    found = judged([MANY[0], MANY[1][:4]])
    assert found.difference[0, 1] == pytest.approx(MANY[0].mean() - MANY[1][:4].mean())


def test_with_fewer_than_four_rows_nothing_is_lent() -> None:
    found = judged(MANY[:3])
    np.testing.assert_allclose(found.tests.spread.own, found.tests.spread.used)
    assert found.tests.spread.freedom.tolist() == [4, 4, 4]
    assert judged(MANY[:4]).tests.spread.freedom.tolist() == [8, 8, 8, 8]


def test_a_row_whose_seeds_are_alike_borrows_all_its_variance_and_is_tested() -> None:
    still = np.repeat(np.random.default_rng(3).random((1, 60)) * 0.4, 5, axis=0)
    found = judged([*MANY, still])
    spread = found.tests.spread
    assert spread.own[5] < 1e-24
    assert spread.used[5] > 1e-6
    assert np.isfinite(found.p[5, :5]).all()
    others, freedom, mean = spread.own[:5], np.full(5, 4.0), np.array([scores.mean() for scores in MANY])
    np.testing.assert_allclose(moderated(others, freedom, mean)[0], spread.used[:5])  # it is no part of the trend
    assert_is_the_oracle_s([*MANY, still])


@pytest.mark.parametrize("shift", [0.0, 0.1])
def test_where_nothing_varies_there_is_no_evidence(shift: float) -> None:
    still = np.full((5, 20), 0.25)
    found = judged([still, still + shift])
    assert (found.p[0, 1], found.holm[0, 1], found.verdict(0, 1)) == (1, 1, "unsettled")
    assert found.tests.standard_error[0, 1] == 0
    assert np.isnan(found.margin_of_error[0, 1])
    assert not found.equivalent(0.5)[0, 1]
    assert found.tests.one_sided[0, 1] == found.tests.one_sided[1, 0] == 0.5


def test_a_row_that_finds_nothing_has_the_trend_at_the_smallest_mean() -> None:
    found = judged([*MANY, np.zeros((5, 60))])
    assert found.holds[:5, 5].all()
    smallest = min(scores.mean() for scores in MANY)
    spread = found.tests.spread
    mean = np.array([*(scores.mean() for scores in MANY), smallest])
    own = np.array([*spread.own[:5], 0.0])
    assert spread.used[5] == pytest.approx(moderated(own, np.full(6, 4.0), mean)[0][5])
    assert_is_the_oracle_s([*MANY, np.zeros((5, 60))])


def test_a_row_with_mean_0_is_no_part_of_the_trend() -> None:
    mean, own = np.array([0.1, 0.2, 0.3, 0.4, 0.0]), np.array([1e-4, 4e-4, 2e-4, 1e-3, 1e-4])
    with_it, without = moderated(own, np.full(5, 4.0), mean)[0], moderated(own[:4], np.full(4, 4.0), mean[:4])[0]
    np.testing.assert_allclose(with_it[:4], without)
    assert np.isfinite(with_it[4])


@pytest.mark.parametrize("n", [0, 1])
def test_with_fewer_than_two_units_nothing_is_tested(n: int) -> None:
    found = judged([scores[:, :n] for scores in MANY])
    assert (found.m, found.n) == (0, n)
    assert np.isnan(found.p).all()
    assert found.verdict(0, 1) == "not tested"
    assert not found.holds.any()


def test_two_units_and_ten_are_tested() -> None:
    for n in (2, 10):
        assert_is_the_oracle_s([scores[:, :n] for scores in MANY])
    assert np.nanmax(judged([scores[:, :10] for scores in MANY]).tests.df) < 30


def test_with_equal_means_the_trend_is_level() -> None:
    own = np.array([1e-4, 4e-4, 2e-4, 1e-3])
    used, freedom = moderated(own, np.full(4, 4.0), np.full(4, 0.3))
    shared = (4 * np.exp(np.log(own).mean()) + 4 * own) / 8
    np.testing.assert_allclose(used, np.maximum(own, shared))
    assert freedom.tolist() == [8, 8, 8, 8]


def test_a_trend_is_followed_and_a_row_s_own_variance_is_never_lowered() -> None:
    mean = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    own = (0.1 * mean) ** 2
    used, _ = moderated(own, np.full(5, 4.0), mean)
    np.testing.assert_allclose(used, own)  # ln variance lies on a straight line in ln mean
    calm, _ = moderated(own * np.array([1, 1, 25, 1, 1]), np.full(5, 4.0), mean)
    assert calm[2] == 25 * own[2]
    assert (calm[[0, 1, 3, 4]] > own[[0, 1, 3, 4]]).all()


def test_lent_degrees_of_freedom_are_no_more_than_the_column_has() -> None:
    _, freedom = moderated(np.full(4, 1e-4), np.ones(4), np.array([0.1, 0.2, 0.3, 0.4]))
    assert freedom.tolist() == [4, 4, 4, 4]


def test_very_many_seeds_leave_the_units_own_noise() -> None:
    rng = np.random.default_rng(4)
    own = [rng.normal(0, 0.1, 40), rng.normal(0, 0.1, 40)]
    found = judged([unit + rng.normal(0, 0.02, (4_000, 40)) for unit in own])
    floor = np.std(own[0] - own[1], ddof=1) / np.sqrt(40)
    assert found.tests.standard_error[0, 1] == pytest.approx(floor, rel=0.02)


def test_two_hundred_rows_at_once() -> None:
    rows = table(np.random.default_rng(5), [5] * 200, 50, 0.01)
    found = judged(rows)
    assert found.m == 19_900
    used = oracle.used_variances(rows)
    for a, b in ((0, 1), (3, 150), (199, 20)):
        assert found.p[a, b] == pytest.approx(oracle.pair_of(rows, a, b, used).p, rel=1e-9)


# What follows from the tests.


def test_holds_is_holm_s_likely_is_benjamini_and_hochberg_s() -> None:
    found = judged(table(np.random.default_rng(6), [5] * 9, 60, 0.02))
    a, b = np.triu_indices(9, 1)
    p = found.p[a, b]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        by_holm, by_bh = (pg.multicomp(p, method=method)[0] for method in ("holm", "fdr_bh"))
    assert ((found.holds | found.holds.T)[a, b] == by_holm).all()
    assert ((found.likely | found.likely.T)[a, b] == (by_bh & ~by_holm)).all()
    assert by_holm.any()
    assert (by_bh & ~by_holm).any()
    assert not by_bh.all()
    for i, j in zip(a, b, strict=True):
        above, below = (i, j) if found.difference[i, j] > 0 else (j, i)
        assert not found.holds[below, above]
        assert not found.likely[below, above]
        said = "holds" if found.holds[above, below] else "likely" if found.likely[above, below] else "unsettled"
        assert found.verdict(i, j) == found.verdict(j, i) == said


@given(st.lists(st.floats(0, 1), max_size=12))
def test_corrections_are_their_definitions(p: list[float]) -> None:
    values = np.array(p)
    np.testing.assert_allclose(holm(values), oracle.holm(p), rtol=1e-12)
    np.testing.assert_allclose(benjamini_hochberg(values), oracle.benjamini_hochberg(p), rtol=1e-12)
    np.testing.assert_allclose(bonferroni(values), np.minimum(len(p) * values, 1))


def test_equivalent_is_two_one_sided_tests() -> None:
    found = judged(table(np.random.default_rng(7), [5] * 6, 30))
    for a, b in combinations(range(6), 2):
        error, df, d = found.tests.standard_error[a, b], found.tests.df[a, b], found.difference[a, b]
        just = abs(d) + stats.t.ppf(0.95, df) * error
        for margin in (0.999 * just, 1.001 * just):
            larger, smaller = stats.t.sf((d + margin) / error, df), stats.t.cdf((d - margin) / error, df)
            assert found.equivalent(margin)[a, b] == found.equivalent(margin)[b, a] == (max(larger, smaller) < 0.05)
            assert found.equivalent(margin)[a, b] == (margin > just)


def test_one_row_against_the_rest_is_corrected_for_its_own_tests() -> None:
    found = judged([*MANY, MANY[0][:2]])
    p = holm_against(found, 1)
    others = [0, 2, 3, 4]
    np.testing.assert_allclose(p[others], oracle.holm(found.p[1, others].tolist()))
    assert np.isnan(p[[1, 5]]).all()


def test_a_conjunction_holds_with_its_weakest_statement_and_fails_with_the_best_supported_opposite() -> None:
    p = np.array([0.01, 0.2, 0.001])
    assert p_holds(p) == 0.2
    assert p_fails(1 - p) == pytest.approx(1.0)
    assert p_fails(np.array([0.99, 0.004, 0.5])) == pytest.approx(0.012)
    assert p_decided(0.2, 0.012) == pytest.approx(0.024)
    assert p_decided(0.9, 0.8) == 1
    untested = np.array([0.01, np.nan])
    assert p_holds(untested) == 1
    assert p_fails(untested) == pytest.approx(0.02)
    assert p_fails(np.array([np.nan])) == 1
