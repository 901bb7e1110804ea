"""The A/A run on synthetic cells with a known null: seeds that differ by chance alone, or as wholes."""

from __future__ import annotations

import json
from math import comb
from pathlib import Path

import numpy as np
import pytest
from pydantic import JsonValue
from scipy import stats

from semidbench.api import TASKS
from semidbench.errors import UserError
from semidbench.leaderboards.false_alarms.measure import FalseAlarms, false_alarms
from semidbench.leaderboards.false_alarms.tables import aa_caption, alarms_grid, interval, to_json, to_markdown
from semidbench.published import table_rows
from semidbench.results.cases import Cases
from semidbench.results.cell_metrics import compute_metrics
from semidbench.results.cell_result import (
    CellResult,
    Distribution,
    Environment,
    MachineStamp,
    TrackStamp,
    protocol_sha256,
)
from semidbench.results.files import write_cell
from semidbench.results.placements import Placements
from semidbench.tracks.files import load_track
from tests.facts import FACTS, IDS
from tests.oracles.crossed_verdicts import pairs_of

TRACK = load_track("smoke")
NAME = "a/q/l"
N_CASES, N_SEEDS, SIZE, REPEATS = 120, 24, 3, 60
ALPHA, M = 0.05, 3


def hits(seed: int, spread: float) -> np.ndarray:
    """Whether each case was found, in a seed whose chance is .4 give or take `spread`; bool (2, N_CASES)."""
    rng = np.random.default_rng([7, seed])
    return rng.random((2, N_CASES)) < 0.4 + spread * rng.uniform(-1, 1)


def write_seed(out: Path, seed: int, spread: float, options: dict[str, JsonValue] | None = None) -> None:
    write_hits(out, NAME, seed, hits(seed, spread), options)


def hits_of(name: str, seed: int, chance: float) -> np.ndarray:
    """Whether each case was found, in a seed of another row; bool (2, N_CASES)."""
    return np.random.default_rng([seed, *name.encode()]).random((2, N_CASES)) < chance


def write_hits(
    out: Path, name: str, seed: int, found_by_task: np.ndarray, options: dict[str, JsonValue] | None = None
) -> None:
    cases = {}
    for task, found in zip(TASKS, found_by_task, strict=True):
        start = found.astype(np.int32)
        ones = np.ones(N_CASES, np.int32)
        units = np.arange(N_CASES, dtype=np.int32)
        cases[task] = Cases(Placements(start, ones, start, 30 * ones, 30 * ones), units, np.zeros(N_CASES, bool))
    cell = CellResult(
        kind="scheme",
        track=TrackStamp(name=TRACK.name, version=TRACK.version, protocol_sha256=protocol_sha256(TRACK)),
        split="test",
        name=name,
        dataset=FACTS,
        models={},
        options=options or {},
        seed=seed,
        metrics=compute_metrics(cases, TRACK.evaluation),
        ids=IDS,
        id_table_sha256="1" * 64,
        rankings_sha256="0" * 64,
        distributions=(Distribution(name="some-plugin", version="1", code_sha256="0" * 64),),
        environment=Environment(
            device="cpu", threads=1, machines=(MachineStamp(python="3", platform="p", cpu="c"),), libraries={}
        ),
        timings={},
        peak_memory_mib=1,
    )
    write_cell(out / TRACK.name / "results", cell, cases)


def run(folder: Path, spread: float) -> FalseAlarms:
    for seed in range(N_SEEDS):
        write_seed(folder, seed, spread)
    return false_alarms("smoke", NAME, folder, size=SIZE, repeats=REPEATS, family=M)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> FalseAlarms:
    return run(tmp_path_factory.mktemp("calm"), 0.0)


@pytest.fixture(scope="module")
def shaky_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shaky")


@pytest.fixture(scope="module")
def shaky(shaky_out: Path) -> FalseAlarms:
    return run(shaky_out, 0.25)


def test_seeds_that_differ_by_chance_raise_about_alpha(calm: FalseAlarms) -> None:
    column = calm.columns[0]
    assert (column.n_cases, column.n, calm.family) == (N_CASES, N_CASES, M)
    assert column.paper <= 9  # 3 expected; more than 9 has a chance of .0008 were the repeats independent
    assert column.paper_corrected <= 5  # 1 expected
    assert column.holds <= column.crossed <= column.paper  # the verdicts' test is never more lenient


def test_seeds_that_differ_as_wholes_mislead_the_paper_s_test_alone(shaky: FalseAlarms) -> None:
    for column in (shaky.columns[0], shaky.columns[3]):
        assert column.paper > 5 * ALPHA * REPEATS
        assert column.paper_corrected > 3 * ALPHA * REPEATS
        assert column.crossed <= 9
        assert column.holds <= 3


def test_counts_are_those_of_other_computations_on_the_same_deals(shaky: FalseAlarms) -> None:
    rng = np.random.default_rng(0)
    found = {seed: hits(seed, 0.25).astype(float) for seed in range(N_SEEDS)}
    counts, largest = np.zeros((2, 4), int), np.zeros(2)
    for _ in range(REPEATS):
        order = rng.permutation(N_SEEDS)
        for i in range(2):
            a, b = (np.stack([found[seed][i] for seed in side]) for side in (order[:SIZE], order[SIZE : 2 * SIZE]))
            p = stats.ttest_rel(a.mean(axis=0), b.mean(axis=0)).pvalue
            crossed = pairs_of([a, b])[0].p
            assert crossed is not None
            counts[i] += [p < ALPHA, p * M < ALPHA, crossed < ALPHA, crossed * M < ALPHA]
            largest[i] = max(largest[i], abs(a.mean() - b.mean()))
    for i, column in enumerate((shaky.columns[0], shaky.columns[3])):
        assert [column.paper, column.paper_corrected, column.crossed, column.holds] == counts[i].tolist()
        assert column.largest == pytest.approx(largest[i], abs=1e-12)


def test_beside_other_rows_the_sets_are_two_rows_of_their_table(
    shaky: FalseAlarms, shaky_out: Path, tmp_path: Path
) -> None:
    """The others lend variance, and the verdict is that of the whole column."""
    for name, chance in (("b/q/l", 0.2), ("c/q/l", 0.5), ("d/q/l", 0.7), (NAME, 0.1)):
        for seed in range(3):
            write_hits(tmp_path, name, seed, hits_of(name, seed, chance))
    among = false_alarms("smoke", NAME, shaky_out, size=SIZE, repeats=5, beside=tmp_path)
    assert (among.beside, among.family) == (3, 10)  # its own row there is left out
    rng, expected = np.random.default_rng(0), np.zeros(2, int)
    others = [
        np.stack([hits_of(name, seed, chance)[0].astype(float) for seed in range(3)])
        for name, chance in (("b/q/l", 0.2), ("c/q/l", 0.5), ("d/q/l", 0.7))
    ]
    for _ in range(5):
        order = rng.permutation(N_SEEDS)
        a, b = (
            np.stack([hits(s, 0.25)[0].astype(float) for s in side]) for side in (order[:SIZE], order[SIZE : 2 * SIZE])
        )
        pair = pairs_of([a, b, *others])[0]
        assert pair.p is not None
        assert pair.holm is not None
        expected += [pair.p < ALPHA, pair.holm < ALPHA]
    assert [among.columns[0].crossed, among.columns[0].holds] == expected.tolist()
    assert "among 3 other rows" in " ".join(aa_caption(among))
    assert json.loads(to_json(among))["other_rows"] == 3
    with pytest.raises(UserError, match="--family goes without --beside"):
        false_alarms("smoke", NAME, shaky_out, beside=tmp_path, family=3)
    with pytest.raises(UserError, match="--beside names a folder like --out"):
        false_alarms("smoke", NAME, shaky_out, beside=tmp_path / "none")


def test_a_column_without_cases_is_never_called(shaky: FalseAlarms) -> None:
    head = shaky.columns[1]
    assert (head.group, head.n_cases, head.n) == ("head", 0, 0)
    assert (head.paper, head.paper_corrected, head.crossed, head.holds, head.largest) == (0, 0, 0, 0, 0.0)


def test_how_many_pairs_there_are(shaky: FalseAlarms) -> None:
    assert shaky.independent == 4  # 24 seeds make four pairs of two sets of three
    assert shaky.possible == comb(24, 6) * comb(6, 3) // 2


def test_same_seed_same_answer_and_another_deals_otherwise(shaky: FalseAlarms, shaky_out: Path) -> None:
    few = [false_alarms("smoke", NAME, shaky_out, size=SIZE, repeats=9, seed=seed, family=M) for seed in (4, 4, 5)]
    assert to_json(few[0]) == to_json(few[1])
    assert few[0].columns != few[2].columns


def test_a_larger_family_calls_less(shaky: FalseAlarms, shaky_out: Path) -> None:
    plain = false_alarms("smoke", NAME, shaky_out, size=SIZE, repeats=20, family=M)
    strict = false_alarms("smoke", NAME, shaky_out, size=SIZE, repeats=20, family=10**6)
    assert (strict.columns[0].paper, strict.columns[0].crossed) == (plain.columns[0].paper, plain.columns[0].crossed)
    assert strict.columns[0].paper_corrected < plain.columns[0].paper_corrected
    assert strict.columns[0].holds <= plain.columns[0].holds


def test_the_family_is_that_of_a_table_with_all_published_rows(shaky: FalseAlarms, shaky_out: Path) -> None:
    """Whatever the track plans, even a single row."""
    one_row = TRACK.model_copy(update={"plan": TRACK.plan.model_copy(update={"rows": (NAME,)})})
    for track in (TRACK, one_row):
        found = false_alarms(track, NAME, shaky_out, size=SIZE, repeats=2)
        assert found.family == comb(len(table_rows("all")), 2) == 136
    assert "corrected, m = 136" in alarms_grid(found).headers


def test_results_of_another_track_version_or_protocol_are_refused(shaky: FalseAlarms, shaky_out: Path) -> None:
    with pytest.raises(UserError, match=r"results of smoke version 2, and the track is now smoke version 3"):
        false_alarms(TRACK.model_copy(update={"version": 3}), NAME, shaky_out)
    decoding = TRACK.decoding.model_copy(update={"diversity_penalty": 0.75})
    with pytest.raises(UserError, match="other protocol numbers"):
        false_alarms(TRACK.model_copy(update={"decoding": decoding}), NAME, shaky_out)


def test_seeds_with_other_options_are_another_scheme(tmp_path: Path) -> None:
    for seed in range(6):
        write_seed(tmp_path, seed, 0.0, {"quantizer": {"beam": 5 if seed < 3 else 1}})
    with pytest.raises(UserError, match=r"seeds 0 and 3 of 'a/q/l' ran with different options"):
        false_alarms("smoke", NAME, tmp_path, size=3)


def test_the_report(shaky: FalseAlarms) -> None:
    line = alarms_grid(shaky).rows[0]
    alarms = shaky.columns[0].holds
    low, high = interval(alarms, REPEATS)
    assert low < alarms / REPEATS < high
    assert line[5].text == f"{alarms / REPEATS:.3f} ({low:.2f}–{high:.2f})"
    text = " ".join(aa_caption(shaky))
    assert line[6].text == f"{shaky.columns[0].largest:.3f}"
    for words in ("24 seeds", "dealt 60 times", "at most 4 share none", "seeds and units both random"):
        assert words in text
    raw = json.loads(to_json(shaky))
    assert raw["columns"][0]["holds"]["alarms"] == alarms
    assert raw["columns"][0]["largest_difference"] == pytest.approx(shaky.columns[0].largest, rel=1e-9)
    assert raw["independent_pairs"] == 4
    assert NAME in to_markdown(shaky)


def test_wilsons_interval_by_its_formula() -> None:
    k, n, z = 7, 60, stats.norm.ppf(0.975)
    centre = (k + z**2 / 2) / (n + z**2)
    half = z / (n + z**2) * np.sqrt(k * (n - k) / n + z**2 / 4)
    assert interval(k, n) == pytest.approx((centre - half, centre + half))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 13}, "24 seeds of 'a/q/l'; two disjoint sets of 13 need 26: `semidbench run --track smoke"),
        ({"size": 2}, "size must be 3 or more, not 2"),
        ({"repeats": 0}, "repeats must be 1 or more, not 0"),
        ({"family": 0}, "family must be 1 or more, not 0"),
        ({"seed": -1}, "seed must be 0 or more, not -1"),
    ],
)
def test_too_little_to_deal_is_an_error(
    changes: dict[str, int], message: str, shaky: FalseAlarms, shaky_out: Path
) -> None:
    with pytest.raises(UserError, match=message):
        false_alarms("smoke", NAME, shaky_out, **changes)  # type: ignore[arg-type]
