"""The whole path on the smoke track, with this repository's plugins: the Python API and the command line."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import semidbench
from semidbench.dataset import RawData
from semidbench.dataset.prepare import Prepared, prepare
from semidbench.errors import UserError
from semidbench.isolation.resolver import resolve_here
from semidbench.methods.registry import Registered, Registry, load_registry
from semidbench.results.files import cell_bytes, cell_paths, read_cells, stamped
from semidbench.runs.reporter import Silent
from semidbench.runs.run import Run, run
from semidbench.runs.shared import dataset as dataset_module
from semidbench.runs.shared.session import open_session
from semidbench.text.tokenizer import load_text_tokens
from semidbench.tracks.files import load_track
from semidbench.tracks.track import Track
from tests import spy_plugin

ROW = "content/rq-kmeans/shared"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def smoke(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return semidbench.run("smoke", out=tmp_path_factory.mktemp("out"), cache=cache, debug_plugins=True)


class Notebook(Silent):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)

    def done(self, summary: str | None = None) -> None:
        self.lines.append(str(summary))


def cli(*words: str, cache: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "SEMIDBENCH_CACHE": str(cache or ""), "COLUMNS": "120", **environment}
    command = [sys.executable, "-c", "from semidbench.cli import main; main()", *words]
    return subprocess.run(command, capture_output=True, text=True, env=variables, stdin=subprocess.DEVNULL)


def test_a_plain_run_ranks_the_rows_of_the_track(smoke: Any) -> None:
    assert [row.name for row in smoke.leaderboard.rows] == list(load_track("smoke").plan.rows)
    assert [row.name for row in smoke.leaderboard.references] == list(load_track("smoke").plan.references)
    assert all(path.is_file() for path in smoke.files)
    assert {path.suffix for path in smoke.files} == {".md", ".csv", ".json", ".tex"}
    for cell in read_cells(smoke.folder / "results"):
        recall = cell.metrics["search"]["all"].recall[30]
        assert recall is not None
        assert 0 <= recall <= 1
        assert cell.distributions[0].name == "semidbench"


def test_a_second_run_computes_nothing_and_writes_the_same_bytes(smoke: Any, cache: Path, tmp_path: Path) -> None:
    before = {path.relative_to(cache): path.stat().st_mtime_ns for path in cache.rglob("stage.json")}
    told = Notebook()
    again = run("smoke", out=tmp_path, cache=cache, reporter=told)
    assert {path.relative_to(cache): path.stat().st_mtime_ns for path in cache.rglob("stage.json")} == before
    assert all(line.endswith("(kept)") for line in told.lines)
    ours = sorted(path.relative_to(smoke.folder) for path in smoke.folder.rglob("*") if path.is_file())
    assert ours == sorted(path.relative_to(again.folder) for path in again.folder.rglob("*") if path.is_file())
    for path in ours:
        assert (smoke.folder / path).read_bytes() == (again.folder / path).read_bytes()


def test_from_an_empty_cache_with_plugins_in_processes_every_number_repeats_to_the_bit(
    smoke: Any, tmp_path: Path
) -> None:
    again = run("smoke", [ROW], 1, out=tmp_path / "out", cache=tmp_path / "cache", jobs=1)

    def of(folder: Path) -> Any:
        return next(cell for cell in read_cells(folder / "results") if cell.name == ROW)

    first, second = of(smoke.folder), of(again.folder)
    for field in ("metrics", "id_table_sha256", "rankings_sha256", "placements_sha256"):
        assert getattr(first, field) == getattr(second, field)


def test_a_killed_run_goes_on_at_the_stage_where_it_was(smoke: Any, cache: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "cache"
    shutil.copytree(cache, copy)
    shutil.rmtree(copy / "beams")  # as if killed while decoding
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("stage.json")}
    run("smoke", [ROW], out=tmp_path / "out", cache=copy)
    after = {path: path.stat().st_mtime_ns for path in copy.rglob("stage.json")}
    assert before.items() <= after.items()
    assert {path.parent.parent.name for path in after.keys() - before.keys()} == {"beams"}


def test_options_make_another_row_and_another_cell(smoke: Any, cache: Path, tmp_path: Path) -> None:
    done = run("smoke", ["content/rq-kmeans[beam=1]/shared"], out=tmp_path, cache=cache)
    cell = next(cell for cell in read_cells(done.folder / "results") if cell.kind == "scheme")
    assert cell.options["quantizer"] == {"beam": 1}
    assert cell.name == "content/rq-kmeans[beam=1]/shared"


def planted(track: Track, data: Path | None) -> Prepared:
    """The track's data with a canary in every test query and one user's last interaction at a marked time."""
    raw = prepare(track, data).raw
    test = dataclasses.replace(
        raw.test_queries, texts=tuple(f"{spy_plugin.CANARY} {text}" for text in raw.test_queries.texts)
    )
    last = np.append(np.diff(raw.interactions.users) > 0, True)
    times = np.where(last, spy_plugin.TIME, raw.interactions.timestamps)
    return Prepared(
        RawData(raw.catalogue, dataclasses.replace(raw.interactions, timestamps=times), raw.train_queries, test), ()
    )


@pytest.mark.parametrize("debug_plugins", [False, True])
def test_nothing_that_a_plugin_is_handed_holds_test_data(
    debug_plugins: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry()
    for kind in registry.methods:
        registry.methods[kind]["spy"] = Registered(kind, "spy", spy_plugin.Spy, "spy-plugin", "1")
    monkeypatch.setattr("semidbench.isolation.resolver.load_registry", lambda: registry)
    monkeypatch.setattr("semidbench.runs.run.resolve_isolated", resolve_here)
    monkeypatch.setattr(dataset_module, "prepare", planted)
    monkeypatch.setenv("SPY_NOTES", str(tmp_path / "notes"))
    track = load_track("smoke")
    plan = track.plan.model_copy(update={"references": ("spy",)})
    monkeypatch.setattr("semidbench.runs.run.load_track", lambda _: track.model_copy(update={"plan": plan}))
    monkeypatch.setattr("semidbench.runs.run.leaderboard", lambda *_: None)
    monkeypatch.setattr("semidbench.runs.run.write_tables", lambda *_: [])
    monkeypatch.setattr("semidbench.runs.run.write_comparison", lambda *_: [])
    places: dict[str, Any] = {"out": tmp_path / "out", "cache": tmp_path / "cache"}
    done = run("smoke", ["spy/spy/spy"], 1, **places, jobs=1, debug_plugins=debug_plugins)
    assert not done.failures
    assert len(read_cells(done.folder / "results")) == 2
    notes = [json.loads(line) for line in (tmp_path / "notes").read_text().splitlines()]
    assert [note["what"] for note in notes] == ["embed", "assign", "fit", "fit", "search", "recommend"]
    assert [note["what"] for note in notes if note["handed"]] == ["search"]  # and there it must be
    assert not any(note["writable"] for note in notes)
    if not debug_plugins:
        assert len({note["pid"] for note in notes} | {os.getpid()}) == 4
        assert not any(note["memory"] for note in notes if note["what"] not in ("search", "recommend"))
        assert notes[4]["memory"]  # the scan finds it where it is
        assert not any(note["environment"] for note in notes)
        opened = [path for note in notes for path in note["opened"]]
        assert any(path.endswith("histories.npz") for path in opened)  # what it is asked with
        assert not any("held-out" in path for path in opened)
    session = open_session(track, "test", None, tmp_path / "cache", "cpu")
    assert spy_plugin.has_canary(session.dataset.held_out())
    assert spy_plugin.CANARY not in load_text_tokens(session.tokenizer.folder).tokenizer.to_str()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run", "--track", "dem"), "unknown track 'dem'. Did you mean 'demo'?"),
        (("run", "--track", "smoke", "--scheme", "contnt/rq-kmeans/shared"), "Did you mean 'content'?"),
        (("run", "--track", "smoke", "--scheme", "content/shared"), "has 2 parts, not 3"),
        (("run", "--track", "smoke", "--scheme", "-/rq-kmeans/shared"), "needs one embedder"),
        (("run", "--track", "smoke", "--scheme", "content/-/shared"), "needs one quantizer"),
        (("run", "--track", "smoke", "--scheme", "search[epoch=1]/rq-kmeans/shared"), "Did you mean 'epochs'?"),
        (("run", "--track", "smoke", "--table", "1", "--scheme", "content/rq-kmeans/shared"), "--table names the rows"),
        (("run", "--track", "smoke", "--seeds", "0"), "seeds must be 1 or more, not 0"),
        (("run", "--track", "smoke", "--jobs", "0"), "jobs must be 1 or more, not 0"),
        (("run", "--track", "smoke", "--data", "somewhere"), "reads no files"),
        (("run", "--track", "ml-small"), "--data DIR must hold"),
        (("run", "--track", "ml-small", "--data", "nowhere"), "nowhere does not exist"),
        (("run", "--track", "smoke", "--out", "/proc/no"), "cannot write results to /proc/no"),
        (("leaderboard", "show", "--track", "smoke", "--out", "empty"), "semidbench run"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    if "--out" not in words:
        words = (*words, "--out", str(tmp_path / "out"))
    done = cli(*words, cache=tmp_path / "cache")
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""
    assert not list(tmp_path.rglob("*.json"))


def test_a_missing_plugin_is_said_before_any_work_and_can_be_left_out(
    cache: Path, smoke: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = load_registry()
    del registry.methods["embedder"]["rec"]
    monkeypatch.setattr("semidbench.isolation.resolver.load_registry", lambda: registry)
    monkeypatch.setattr("semidbench.runs.run.resolve_isolated", resolve_here)
    with pytest.raises(
        UserError, match=r"needs the embedder 'rec', which comes with semidbench-recbole.*--skip-missing"
    ):
        run("smoke", out=tmp_path, cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
    told = Notebook()
    done = run("smoke", out=tmp_path, cache=cache, skip_missing=True, reporter=told)
    assert "rec/rq-kmeans/shared" not in [row.name for row in done.leaderboard.rows]
    assert told.lines[0].startswith("left out: rec/rq-kmeans/shared")


def test_results_of_another_protocol_stop_a_run_before_it_works(smoke: Any, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(smoke.folder, tmp_path / "smoke")
    results = tmp_path / "smoke" / "results"
    for cell in read_cells(results):
        other = cell.track.model_copy(update={"version": 1, "protocol_sha256": "0" * 64})
        changed = stamped(cell.model_copy(update={"track": other}))
        cell_paths(results, cell)[0].write_bytes(cell_bytes(changed))
    with pytest.raises(UserError, match="Move that folder away"):
        run("smoke", out=tmp_path, cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_the_command_line_prints_the_table_and_where_the_files_are(smoke: Any, cache: Path, tmp_path: Path) -> None:
    done = cli("run", "--track", "smoke", "--out", str(tmp_path), cache=cache)
    assert done.returncode == 0, done.stderr
    assert "content/rq-kmeans/shared" in done.stdout
    assert str(tmp_path / "smoke" / "leaderboard.md") in done.stdout
    shown = cli("leaderboard", "show", "--track", "smoke", "--out", str(tmp_path), "--format", "md")
    assert shown.stdout == (tmp_path / "smoke" / "leaderboard.md").read_text()
