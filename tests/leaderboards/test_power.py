"""Seeds for power: the formula against the test itself on tables of known truth, its limits, and the command."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pingouin as pg
import pytest
from typer.testing import CliRunner

from semidbench.cli import app
from semidbench.errors import UserError
from semidbench.leaderboards.board import Column, leaderboard
from semidbench.leaderboards.power.components import Components, components
from semidbench.leaderboards.power.pair_power import MOST_SEEDS, power, seeds_for
from semidbench.leaderboards.power.seeds_needed import seeds_needed
from semidbench.leaderboards.power.tables import needed_caption, needed_grid, to_json
from semidbench.leaderboards.significance import RowScores, paired_tests
from semidbench.leaderboards.verdicts.column import column_verdicts
from tests.leaderboards.test_leaderboard import CONTENT, REC, SEARCH, write

ALPHA = 0.05
N = 40


def column_of(scores: np.ndarray) -> Column:
    """Rows of scores, float64 (rows, seeds, units), as a column of a board."""
    rows = tuple(RowScores(str(i), dict(enumerate(of_row))) for i, of_row in enumerate(scores))
    tests = paired_tests(rows, ALPHA, 0.8)
    return Column("search", "all", "R@30", scores.shape[2], rows, tests, column_verdicts(rows, tests))


def draw(rng: np.random.Generator, mean: np.ndarray, k: int, sd: tuple[np.ndarray, float, float]) -> np.ndarray:
    """Scores, float64 (rows, k, N), where seeds, units and seeds on units have these standard deviations."""
    seeds, units, residual = sd
    size = len(mean)
    return (
        mean[:, None, None]
        + rng.normal(0, 1, (size, k, 1)) * seeds[:, None, None]
        + rng.normal(0, units, (size, 1, N))
        + rng.normal(0, residual, (size, k, N))
    )


def truth(mean: np.ndarray, sd: tuple[np.ndarray, float, float]) -> Components:
    seeds, units, residual = sd
    size = len(mean)
    return Components(
        n=N,
        mean=mean,
        seeds=seeds**2 + residual**2 / N,
        residual=np.full(size, residual**2),
        units=np.full((size, size), 2 * units**2 / N),
    )


@pytest.mark.parametrize(
    ("rows", "k", "units", "tests", "difference"),
    [
        (8, 3, 0.05, 1, 0.06),
        (8, 5, 0.05, 28, 0.08),
        (8, 5, 0.2, 1, 0.1),
        (2, 4, 0.05, 1, 0.08),
        (6, 10, 0.02, 15, 0.05),
    ],
)
def test_it_is_the_share_that_the_test_finds_in_tables_of_known_truth(
    rows: int, k: int, units: float, tests: int, difference: float
) -> None:
    """300 tables; the rows of the second half are above those of the first by the difference."""
    rng = np.random.default_rng(rows)
    above = np.arange(rows) >= rows // 2
    mean, sd = 0.4 + difference * above, (np.linspace(0.02, 0.05, rows), units, 0.1)
    found = np.zeros((rows, rows))
    for _ in range(300):
        verdicts = column_of(draw(rng, mean, k, sd)).verdicts
        found += (verdicts.p < ALPHA / tests) & (verdicts.difference > 0)
    pairs = np.ix_(above, ~above)
    expected = power(truth(mean, sd), k, difference, ALPHA / tests)[pairs]
    assert 0.2 < expected.mean() < 0.9
    assert expected.mean() == pytest.approx((found / 300)[pairs].mean(), abs=0.04)
    assert np.abs(expected - (found / 300)[pairs]).max() < 0.1  # a pair's own share has a standard error of .03


def test_components_are_recovered() -> None:
    rng = np.random.default_rng(0)
    mean, sd = np.full(6, 0.4), (np.full(6, 0.04), 0.1, 0.2)
    drawn = [components(column_of(draw(rng, mean, 6, sd))) for _ in range(100)]
    expected, off = truth(mean, sd), ~np.eye(6, dtype=bool)
    assert np.mean([one.residual for one in drawn]) == pytest.approx(expected.residual.mean(), rel=0.03)
    assert np.mean([one.units[off] for one in drawn]) == pytest.approx(expected.units[0, 1], rel=0.1)
    assert np.mean([one.seeds for one in drawn]) == pytest.approx(expected.seeds.mean(), rel=0.15)


def test_a_negative_component_counts_as_none() -> None:
    """Seeds and units that differ less than their residual does."""
    rng = np.random.default_rng(1)
    alike = rng.permuted(np.tile(np.linspace(0, 1, N), (3, 4, 1)), axis=2)  # every seed has the same mean
    found = components(column_of(alike))
    assert found.seeds == pytest.approx(found.residual / N)
    assert (found.units >= 0).all()


def test_with_units_alone_it_is_the_power_of_a_paired_t_test() -> None:
    given = Components(N, np.full(2, 0.4), np.zeros(2), np.zeros(2), np.full((2, 2), 0.3**2 / N))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = power(given, 5, 0.1, ALPHA)[0, 1]
    assert found == pytest.approx(pg.power_ttest(d=0.1 / 0.3, n=N, contrast="paired"), abs=1e-4)  # theirs: both sides


def test_with_seeds_alone_it_is_the_power_of_a_t_test_over_the_seeds() -> None:
    given = Components(N, np.full(2, 0.4), np.full(2, 0.04**2), np.zeros(2), np.zeros((2, 2)))
    expected = pg.power_ttest(d=0.05 / 0.04, n=7, contrast="two-samples")
    assert power(given, 7, 0.05, ALPHA)[0, 1] == pytest.approx(expected, abs=1e-4)


def test_where_nothing_varies_the_test_finds_nothing() -> None:
    given = Components(N, np.full(2, 0.4), np.zeros(2), np.zeros(2), np.zeros((2, 2)))
    assert (power(given, 5, 0.1, ALPHA) == 0).all()  # as there: p is 1
    assert (seeds_for(given, 0.1, ALPHA, 0.8) == MOST_SEEDS + 1).all()


def test_the_fewest_seeds_are_those_that_a_search_one_by_one_finds() -> None:
    given = truth(np.full(5, 0.3), (np.linspace(0.0, 0.09, 5), 0.05, 0.2))
    by_k = np.array([power(given, k, 0.06, ALPHA / 10) for k in range(3, MOST_SEEDS + 1)])
    assert (np.diff(by_k, axis=0) > -1e-9).all()
    expected = np.where((by_k >= 0.8).any(axis=0), 3 + (by_k >= 0.8).argmax(axis=0), MOST_SEEDS + 1)
    found = seeds_for(given, 0.06, ALPHA / 10, 0.8)
    assert (found == expected).all()
    assert found.min() > 3
    assert found.max() == MOST_SEEDS + 1


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out")
    for seed in range(4):
        for name, *skill in ((REC, 0.1, 0.6), (SEARCH, 0.6, 0.2), (CONTENT, 0.3, 0.3)):
            write(folder, name, seed, *skill)
    return folder


def test_a_board_s_answer(out: Path) -> None:
    board = leaderboard("smoke", out)
    found = seeds_needed(board)
    assert [(line.task, line.family, line.tests) for line in found.lines[:3]] == [
        ("search", "all pairs", 3), ("search", "claims", 44), ("search", "one pair", 1)
    ]  # fmt: skip
    given = components(board.column("search", "all"))
    for line in found.lines[:3]:
        for needed in line.needed:
            each = seeds_for(given, needed.difference, ALPHA / line.tests, 0.8)
            assert list(needed.seeds) == sorted(each[a, b] for a, b in ((0, 1), (0, 2), (1, 2)))
            now = power(given, 4, needed.difference, ALPHA / line.tests)
            assert needed.power_now == pytest.approx((now[0, 1] + now[0, 2] + now[1, 2]) / 3)
    assert [cell.text for cell in needed_grid(found).rows[1][:2]] == ["Search All", "claims (44)"]
    assert "first step of Holm's correction" in " ".join(needed_caption(found))
    raw = json.loads(to_json(found))
    assert raw["units"]["search"]["all"] == board.column("search", "all").verdicts.n
    counts = [count for line in raw["families"] for of in line["needed"] for count in of["seeds_quartiles"]]
    assert all(count is None or 3 <= count <= MOST_SEEDS for count in counts)


def test_the_command_reads_results_and_measures_no_time(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "semidbench.preview.plan", None)  # to import it would fail
    ask = ["plan", "--track", "smoke", "--power", "--out", str(out)]
    done = CliRunner().invoke(app, ask)
    assert done.exit_code == 0, done.output
    assert "Seeds in each row for power 0.8" in done.output
    done = CliRunner().invoke(app, [*ask, "--json"])
    assert json.loads(done.output)["semidbench_power"] == 1
    refused = CliRunner().invoke(app, [*ask, "--seeds", "3"]).exception
    assert isinstance(refused, UserError)
    assert "takes no --seeds" in str(refused)
    assert "--out names results for --power" in str(CliRunner().invoke(app, ["plan", "--out", str(out)]).exception)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    asked = CliRunner().invoke(app, ["plan", "--track", "smoke", "--power", "--out", str(tmp_path)])
    assert isinstance(asked.exception, UserError)
    assert f"no results in {tmp_path / 'smoke' / 'results'}: `semidbench run" in str(asked.exception)
    write(tmp_path, REC, 0, 0.1, 0.6)
    with pytest.raises(UserError, match=r"only 0 rows of smoke have 2 seeds or more.*--seeds 5` makes more"):
        seeds_needed(leaderboard("smoke", tmp_path))
