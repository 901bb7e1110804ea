"""Cells side by side: the same bits, the right order, as many as fit, and no process left behind."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semidbench.errors import UserError
from semidbench.machine.memory import free_mib
from semidbench.methods.registry import load_registry
from semidbench.methods.resolve import resolve, resolve_scheme
from semidbench.methods.resolved import Wanted
from semidbench.runs.reporter import Silent
from semidbench.runs.run import run
from semidbench.runs.shared.session import open_session, shared_inputs
from semidbench.runs.workers.capacity import Capacity, count_workers, visible_cards, worker_mib
from semidbench.runs.workers.jobs import Job, next_job, plan_jobs
from semidbench.runs.workers.scheduler import Setup, worker_environments
from semidbench.runs.workers.worker import check_inputs
from semidbench.tracks.files import load_track
from tests import trap_plugin
from tests.processes import gone, removed, wait_for
from tests.smoke_tracks import smoke_track

FUSED, SEARCH = "fused-svd/rq-kmeans/shared", "search/rq-kmeans/shared"


@pytest.fixture(scope="module")
def track(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A track like `smoke`, with little to train and few references."""
    return smoke_track(tmp_path_factory.mktemp("track"), "quick", ["popularity"], epochs=5)


def told_of(folder: Path) -> dict[str, Any]:
    """All that a run says of its cells, but what depends on the hour."""
    cells = {
        path.name: {key: value for key, value in json.loads(path.read_text()).items() if key not in UNSTEADY}
        for path in folder.glob("*.json")
    }
    return {**cells, **{path.name: path.read_bytes() for path in folder.glob("*.parquet")}}


UNSTEADY = ("timings", "peak_memory_mib", "result_sha256")


class Notebook(Silent):
    """Keeps what it is told of."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.lost: list[str] = []

    def begin(self, label: str) -> Notebook:
        self.begun.append(label)
        return self

    def done(self, summary: str | None = None) -> None:
        self.ended.append(summary or "shared")

    def failed(self, told: str) -> None:
        self.lost.append(told)


def test_two_processes_change_no_bit_of_any_cell(track: str, tmp_path: Path) -> None:
    alone = run(track, [FUSED, SEARCH], 1, out=tmp_path / "1", cache=tmp_path / "cache-1", debug_plugins=True)
    told = Notebook()
    both = run(track, [FUSED, SEARCH], 1, out=tmp_path / "2", cache=tmp_path / "cache-2", jobs=2, reporter=told)
    found = told_of(both.folder / "results")
    assert len(found) == 2 * 3
    assert found == told_of(alone.folder / "results")
    # what cells share is computed once, as work of its own, and first
    shared = ["embedder search seed 0", "embedder rec seed 0"]
    assert sorted(told.begun[:2]) == sorted(shared)
    assert len(told.begun) == len(set(told.begun)) == 3 + 3
    assert told.ended.count("shared") == 3
    for stage in ("embedding", "ids", "generator", "beams", "ranker"):
        keys = [{path.name for path in (tmp_path / cache / stage).iterdir()} for cache in ("cache-1", "cache-2")]
        assert keys[0] == keys[1]
    kept = Notebook()
    run(track, [FUSED, SEARCH], 1, out=tmp_path / "2", cache=tmp_path / "cache-2", reporter=kept)
    assert len(kept.ended) == 3
    assert all(summary.endswith("(kept)") for summary in kept.ended)


@pytest.fixture
def marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)  # as for users
    yield trap_plugin.install(tmp_path, monkeypatch)
    sys.modules.pop("trap_plugin", None)


def test_a_plugins_failure_costs_the_cells_that_need_it(track: str, marks: Path, tmp_path: Path) -> None:
    rows = ["trap[deed=raise]/rq-kmeans/shared", "-/-/trap[deed=kill]", "trap[deed=raise]/kmeans/shared", "-/-/trap"]
    told, places = Notebook(), {"out": tmp_path / "out", "cache": tmp_path / "cache"}
    done = run(track, rows, 1, **places, jobs=2, reporter=told)
    assert done.leaderboard is not None
    assert [row.name for row in done.leaderboard.rows] == ["-/-/trap"]
    assert {one.row: (one.seed, one.stage, one.message) for one in done.failures} == {
        rows[0]: (0, "embed", "embedder 'trap' of trap-plugin 1 failed: ValueError: caught"),
        rows[2]: (0, "embed", "embedder 'trap' of trap-plugin 1 failed: ValueError: caught"),
        rows[1]: (0, "assign IDs", KILLED),
    }
    assert (marks / "embedded").read_text() == "raise 0\n"  # once for both rows
    assert told.begun.count("embedder trap[deed=raise] seed 0") <= 1
    assert sorted(told.lost) == sorted(one.message for one in done.failures)
    assert len(told.ended) == 2 + 1  # two cells, and the embedder
    reports = {path.read_text().splitlines()[0] for path in (done.folder / "failures").iterdir()}
    assert reports == {one.line for one in done.failures}


KILLED = (
    "layout 'trap' of trap-plugin 1 failed: its process was ended by SIGKILL, as the system does when memory runs out"
)


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_an_interrupt_ends_all_processes_with_one_line(jobs: str, track: str, marks: Path, tmp_path: Path) -> None:
    words = [
        *("run", "--track", track, "--seeds", "1", "--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")),
        *("--jobs", jobs, "--scheme", "-/-/trap[deed=hang]", "--scheme", "-/-/trap"),
        *("--scheme", "-/-/random"),
    ]
    heeding = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # as at a terminal
    command = [sys.executable, "-c", f"{heeding}; from semidbench.cli import main; main()", *words]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    wait_for(marks / "pid", process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert out == ""
    assert [line for line in err.splitlines() if not line.startswith(("[", "the trap"))] == [
        "interrupted: finished stages are kept, the same command goes on from there"
    ]
    assert gone(int((marks / "pid").read_text()), within=0.1)
    assert not list((tmp_path / "cache" / "unfinished").iterdir())
    assert not Path((marks / "hang-scratch").read_text()).exists()


@pytest.mark.parametrize(("jobs", "by"), [("1", signal.SIGTERM), ("2", signal.SIGKILL)])
def test_processes_leave_when_nobody_listens_any_more(
    jobs: str, by: signal.Signals, track: str, marks: Path, tmp_path: Path
) -> None:
    words = ["--track", track, "--seeds", "1", "--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]
    rows = ["--jobs", jobs, "--scheme", "-/-/trap[deed=hang]", "--scheme", "-/-/random"]
    command = [sys.executable, "-c", "from semidbench.cli import main; main()", "run", *words, *rows]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    wait_for(marks / "pid", process)
    process.send_signal(by)
    process.wait()
    assert gone(int((marks / "pid").read_text()))
    assert removed(Path((marks / "hang-scratch").read_text()))


def test_embeddings_are_planned_once_and_in_order(track: str, tmp_path: Path) -> None:
    chosen, registry = load_track(track), load_registry()
    schemes = [resolve_scheme(registry, row, chosen) for row in (SEARCH, FUSED, "-/-/random")]
    rankers = [resolve(registry, Wanted("ranker", "popularity"), chosen)]
    session = open_session(chosen, "test", None, tmp_path, "cpu")
    jobs = plan_jobs(session, [*schemes, *rankers], 2)
    key = {job.label: job.key for job in jobs}
    needs = {job.label: job.needs for job in jobs if job.seed == 1}
    assert len(jobs) == 2 * (3 + 4)
    assert needs == {
        "embedder search seed 1": set(),
        "embedder rec seed 1": set(),
        "embedder fused-svd seed 1": {key["embedder search seed 1"], key["embedder rec seed 1"]},
        f"{SEARCH} seed 1": {key["embedder search seed 1"]},
        f"{FUSED} seed 1": {key[f"embedder {name} seed 1"] for name in ("search", "rec", "fused-svd")},
        "-/-/random seed 1": set(),
        "popularity seed 1": set(),
    }
    assert not any(job.kept for job in jobs)


def job(kind: str, what: str, seed: int = 0, needs: tuple[str, ...] = ()) -> Job:
    return Job(kind, what, seed, None, what, f"{what} {seed}", frozenset(needs))  # type: ignore[arg-type]


def test_what_others_wait_for_comes_first_and_the_longest_of_a_kind() -> None:
    waiting = [
        job("ranker", "quick"),
        job("ranker", "slow"),
        job("scheme", "a", needs=("e 0",)),
        job("embedder", "e"),
        job("embedder", "f", needs=("e 0",)),
        job("embedder", "e", 1),
    ]
    seconds, done, order = {"quick": 1.0, "slow": 2.0}, set[str](), []
    while (chosen := next_job(waiting, done, seconds)) is not None:
        waiting.remove(chosen)
        done.add(chosen.key)
        order.append(chosen.key)
    assert order == ["e 0", "f 0", "a 0", "slow 0", "quick 0", "e 1"]
    assert next_job([job("scheme", "a", needs=("e 0",))], set(), {}) is None


CPU = Capacity(cores=8, threads=2, free_mib=100_000, worker_mib=1000, cards=())


@pytest.mark.parametrize(
    ("asked", "unfinished", "change", "count", "remark"),
    [
        (None, 20, {}, 4, None),
        (None, 3, {}, 3, None),
        (None, 0, {}, 1, None),
        (None, 20, {"threads": 16}, 1, None),
        (None, 20, {"free_mib": None}, 4, None),
        (None, 20, {"free_mib": 2500}, 2, "cells at a time: 2, not 4, for 2,500 MiB"),
        (None, 20, {"free_mib": 10}, 1, "cells at a time: 1, for 10 MiB of memory are free"),
        (None, 1, {"free_mib": 10}, 1, "cells at a time: 1, for 10 MiB of memory are free"),
        (None, 0, {"free_mib": 10}, 1, None),
        (None, 20, {"cards": ("0", "1")}, 2, None),
        (None, 20, {"cards": ("0", "1"), "free_mib": 1500}, 1, "cells at a time: 1, not 2, for 1,500 MiB"),
        (3, 20, {"free_mib": 10}, 3, None),
        (4, 20, {}, 4, None),
        (9, 5, {}, 5, "5 cells at a time on 8 cores with 2 for each: 4 would do"),
        (9, 1, {}, 1, None),
        (3, 20, {"cards": ("0",)}, 3, "3 cells at a time on 1 graphics card"),
    ],
)
def test_as_many_as_fit(
    asked: int | None, unfinished: int, change: dict[str, Any], count: int, remark: str | None
) -> None:
    found, said = count_workers(asked, unfinished, dataclasses.replace(CPU, **change))
    assert found == count
    assert said is None if remark is None else (said or "").startswith(remark)


@given(st.integers(1, 200), st.integers(1, 64), st.integers(0, 500), st.floats(0, 1e6), st.floats(1, 1e5))
def test_the_default_never_oversubscribes(cores: int, threads: int, unfinished: int, free: float, each: float) -> None:
    found, _ = count_workers(None, unfinished, Capacity(cores, threads, free, each, ()))
    assert found == 1 or (found * threads <= cores and found * each <= free * 1.001 and found <= unfinished)


def test_free_memory_is_what_the_container_leaves(tmp_path: Path) -> None:
    meminfo, groups = tmp_path / "meminfo", tmp_path / "cgroup"
    assert free_mib(meminfo, groups) is None
    meminfo.write_text("MemTotal:  9000000 kB\nMemAvailable:    4194304 kB\n")
    assert free_mib(meminfo, groups) == 4096
    groups.mkdir()
    (groups / "memory.max").write_text("max\n")
    (groups / "memory.current").write_text(f"{600 * 2**20}\n")
    (groups / "memory.stat").write_text(f"anon 1\ninactive_file {100 * 2**20}\n")
    assert free_mib(meminfo, groups) == 4096
    (groups / "memory.max").write_text(f"{2**30}\n")
    assert free_mib(meminfo, groups) == 1024 - 600 + 100


def test_a_bigger_track_is_reckoned_to_take_more(track: str, tmp_path: Path) -> None:
    chosen = load_track(track)
    session = open_session(chosen, "test", None, tmp_path, "cpu")
    wide = chosen.generator.model_copy(update={"d_model": 768, "d_ff": 2048, "encoder_layers": 12, "heads": 12})
    big = dataclasses.replace(session, track=chosen.model_copy(update={"generator": wide}))
    assert 1000 < worker_mib(session) < 1500  # 650 MiB were measured, on demo, whose tables are larger, 1,210
    assert worker_mib(big) > worker_mib(session) + 2000
    assert worker_mib(session) < worker_mib(dataclasses.replace(big, device="cuda")) < worker_mib(big)


def test_cards_are_named_as_the_environment_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert visible_cards("cpu") == ()
    assert visible_cards("cuda") == ("0", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-9b")
    assert visible_cards("cuda") == ("3", "GPU-9b")


def test_a_card_is_seen_by_its_worker_alone() -> None:
    assert [one["CUDA_VISIBLE_DEVICES"] for one in worker_environments(1, 3, ["2", "GPU-9b"])] == ["2", "GPU-9b", "2"]


def test_inputs_that_change_while_workers_start_are_an_error(tmp_path: Path, track: str) -> None:
    session = open_session(load_track(track), "test", None, tmp_path, "cpu")
    check_inputs(shared_inputs(session), shared_inputs(session))
    other = open_session(load_track(track), "development", None, tmp_path, "cpu")
    with pytest.raises(UserError, match=r"^data.*: changed after the run began"):
        check_inputs(shared_inputs(session), shared_inputs(other))


def test_a_worker_refuses_other_inputs(track: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = Setup.as_json

    def changed(setup: Setup) -> dict[str, Any]:
        return {**genuine(setup), "inputs": {**setup.inputs, "data": "of yesterday"}}

    monkeypatch.setattr(Setup, "as_json", changed)
    with pytest.raises(UserError, match=r"^data: changed after the run began"):
        run(track, ["-/-/random"], 1, out=tmp_path / "out", cache=tmp_path / "cache", jobs=2)
