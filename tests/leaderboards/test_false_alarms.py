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
from semidbench.leaderboards.false_alarm_tables import aa_caption, alarms_grid, interval, to_json, to_markdown
from semidbench.leaderboards.false_alarms import FalseAlarms, false_alarms
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

TRACK = load_track("smoke")
NAME = "a/q/l"
N_CASES, N_SEEDS, SIZE, REPEATS = 120, 24, 3, 60
ALPHA, M = 0.05, 3


def hits(seed: int, spread: float) -> np.ndarray:
    """Whether each case was found, in a seed whose chance is .4 give or take `spread`; bool (2, N_CASES)."""
    rng = np.random.default_rng([7, seed])
    return rng.random((2, N_CASES)) < 0.4 + spread * rng.uniform(-1, 1)


def write_seed(out: Path, seed: int, spread: float, options: dict[str, JsonValue] | None = None) -> None:
    cases = {}
    for task, found in zip(TASKS, hits(seed, spread), strict=True):
        start = found.astype(np.int32)
        ones = np.ones(N_CASES, np.int32)
        units = np.arange(N_CASES, dtype=np.int32)
        cases[task] = Cases(Placements(start, ones, start, 30 * ones, 30 * ones), units, np.zeros(N_CASES, bool))
    cell = CellResult(
        kind="scheme",
        track=TrackStamp(name=TRACK.name, version=TRACK.version, protocol_sha256=protocol_sha256(TRACK)),
        split="test",
        name=NAME,
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
    assert column.uncorrected <= 9  # 3 expected; more than 9 has a chance of .0008 were the repeats independent
    assert column.holds <= column.corrected <= 5  # 1 expected


def test_seeds_that_differ_as_wholes_raise_many_more_and_the_seed_rule_fewer(shaky: FalseAlarms) -> None:
    """Why a difference must also be ahead in nearly all seeds, and why that is still not enough with few of them."""
    for column in (shaky.columns[0], shaky.columns[3]):
        assert column.uncorrected > 5 * ALPHA * REPEATS
        assert column.uncorrected >= column.corrected > column.holds


def test_counts_are_scipys_on_the_same_deals(shaky: FalseAlarms) -> None:
    rng = np.random.default_rng(0)
    found = {seed: hits(seed, 0.25).astype(float) for seed in range(N_SEEDS)}
    counts, largest = np.zeros((2, 3), int), np.zeros(2)
    for _ in range(REPEATS):
        order = rng.permutation(N_SEEDS)
        a, b = order[:SIZE], order[SIZE : 2 * SIZE]
        for i in range(2):
            x, y = (np.mean([found[seed][i] for seed in side], axis=0) for side in (a, b))
            p = stats.ttest_rel(x, y).pvalue
            lead = [np.sign(found[s][i].mean() - found[t][i].mean()) for s, t in zip(a, b, strict=True)]
            ahead = lead.count(np.sign(x.mean() - y.mean())) >= SIZE - 1
            counts[i] += [p < ALPHA, p * M < ALPHA, p * M < ALPHA and ahead]
            largest[i] = max(largest[i], abs(x.mean() - y.mean()))
    for i, column in enumerate((shaky.columns[0], shaky.columns[3])):
        assert [column.uncorrected, column.corrected, column.holds] == counts[i].tolist()
        assert column.largest == pytest.approx(largest[i], abs=1e-12)


def test_a_column_without_cases_is_never_called(shaky: FalseAlarms) -> None:
    head = shaky.columns[1]
    assert (head.group, head.n_cases, head.n) == ("head", 0, 0)
    assert (head.uncorrected, head.corrected, head.holds, head.largest) == (0, 0, 0, 0.0)


def test_how_many_pairs_there_are(shaky: FalseAlarms) -> None:
    assert shaky.independent == 4  # 24 seeds make four pairs of two sets of three
    assert shaky.possible == comb(24, 6) * comb(6, 3) // 2


def test_same_seed_same_answer_and_another_deals_otherwise(shaky: FalseAlarms, shaky_out: Path) -> None:
    few = [false_alarms("smoke", NAME, shaky_out, size=SIZE, repeats=9, seed=seed, family=M) for seed in (4, 4, 5)]
    assert to_json(few[0]) == to_json(few[1])
    assert few[0].columns != few[2].columns


def test_the_family_and_the_seed_as_unit(shaky: FalseAlarms, shaky_out: Path) -> None:
    plain = false_alarms("smoke", NAME, shaky_out, size=SIZE, repeats=20, family=M)
    strict = false_alarms("smoke", NAME, shaky_out, size=SIZE, repeats=20, family=10**6)
    assert strict.columns[0].uncorrected == plain.columns[0].uncorrected
    assert strict.columns[0].corrected < plain.columns[0].corrected
    by_seed = false_alarms("smoke", NAME, shaky_out, size=SIZE, repeats=20, family=M, unit="seed")
    assert by_seed.columns[0].n == SIZE
    assert by_seed.columns[0].uncorrected < plain.columns[0].uncorrected / 2


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
    for seed in range(4):
        write_seed(tmp_path, seed, 0.0, {"quantizer": {"beam": 5 if seed < 3 else 1}})
    with pytest.raises(UserError, match=r"seeds 0 and 3 of 'a/q/l' ran with different options"):
        false_alarms("smoke", NAME, tmp_path, size=2)


def test_the_report(shaky: FalseAlarms) -> None:
    line = alarms_grid(shaky).rows[0]
    alarms = shaky.columns[0].holds
    low, high = interval(alarms, REPEATS)
    assert low < alarms / REPEATS < high
    assert line[5].text == f"{alarms / REPEATS:.3f} ({low:.2f}–{high:.2f})"
    text = " ".join(aa_caption(shaky))
    assert line[6].text == f"{shaky.columns[0].largest:.3f}"
    for words in ("24 seeds", "dealt 60 times", "at most 4 share none", "2 or 3 of 3 pairs of seeds"):
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
        ({"size": 1}, "size must be 2 or more, not 1"),
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
