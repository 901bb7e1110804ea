from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from semidbench.errors import UserError
from semidbench.machine.identity import this_machine
from semidbench.methods.plugin_code import plugin_code
from semidbench.store.stages import StageKey, run_stage


def test_a_stage_is_computed_once_and_its_key_holds_every_input(tmp_path: Path) -> None:
    calls: list[Path] = []

    def make(folder: Path) -> None:
        calls.append(folder)
        (folder / "x").write_text("1")

    first = run_stage(tmp_path, StageKey("toy", {"a": 1}), make)
    again = run_stage(tmp_path, StageKey("toy", {"a": 1}), make)
    other = run_stage(tmp_path, StageKey("toy", {"a": 2}), make)
    assert first.computed
    assert not again.computed
    assert (again.folder, again.key, again.seconds) == (first.folder, first.key, first.seconds)
    assert other.key != first.key
    assert len(calls) == 2
    assert (again.folder / "x").read_text() == "1"


def test_a_failed_stage_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise UserError("no")

    with pytest.raises(UserError, match="no"):
        run_stage(tmp_path, StageKey("toy", {}), fail)
    assert not list(tmp_path.rglob("half"))
    assert run_stage(tmp_path, StageKey("toy", {}), lambda folder: None).computed


def _killed_half_way(store: Path) -> None:
    def make(folder: Path) -> None:
        (folder / "half").write_text("x")
        os.kill(os.getpid(), signal.SIGKILL)

    run_stage(store, StageKey("toy", {}), make)


def test_a_killed_stage_is_computed_again(tmp_path: Path) -> None:
    process = multiprocessing.get_context("fork").Process(target=_killed_half_way, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert list((tmp_path / "unfinished").rglob("half"))

    def make(folder: Path) -> None:
        assert not list(folder.iterdir())
        (folder / "whole").write_text("x")

    stage = run_stage(tmp_path, StageKey("toy", {}), make)
    assert stage.computed
    assert sorted(path.name for path in stage.folder.iterdir()) == ["stage.json", "whole"]


def test_a_damaged_stage_is_named(tmp_path: Path) -> None:
    stage = run_stage(tmp_path, StageKey("toy", {}), lambda folder: None)
    (stage.folder / "stage.json").write_text("{")
    with pytest.raises(UserError, match="Delete that folder"):
        run_stage(tmp_path, StageKey("toy", {}), lambda folder: None)


def test_keys_do_not_depend_on_order() -> None:
    assert StageKey("toy", {"a": 1, "b": [1, 2]}).hash == StageKey("toy", {"b": (1, 2), "a": 1}).hash


def test_hashing_code_imports_none_of_it() -> None:
    hashing = "from semidbench.store.fingerprint import core_code; core_code('runs.evaluate')"
    code = f"import sys; {hashing}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "semidbench.store.fingerprint" in loaded
    assert not {"torch", "transformers", "numpy", "semidbench.runs.evaluate"} & set(loaded)


def test_an_edited_plugin_has_another_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "edited_plugin"
    package.mkdir()
    (package / "__init__.py").write_text("class Thing: ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    from edited_plugin import Thing  # type: ignore[import-not-found]

    before = plugin_code(Thing, "edited-plugin", "1")
    (package / "more.py").write_text("x = 1\n")
    assert plugin_code(Thing, "edited-plugin", "1").code_sha256 != before.code_sha256


def test_a_partial_factory_is_hashed_as_what_it_calls() -> None:
    from functools import partial

    from semidbench_popularity.ranker import Popularity

    plain = plugin_code(Popularity, "semidbench-popularity", "1")
    assert plugin_code(partial(Popularity), "semidbench-popularity", "1") == plain


def test_a_cut_file_in_the_cache_is_noticed(tmp_path: Path) -> None:
    def make(folder: Path) -> None:
        (folder / "weights").write_bytes(b"0123456789")

    stage = run_stage(tmp_path, StageKey("toy", {}), make)
    (stage.folder / "weights").write_bytes(b"01234")
    with pytest.raises(UserError, match=r"is damaged\. Delete that folder"):
        run_stage(tmp_path, StageKey("toy", {}), make)


def test_a_stage_remembers_where_it_was_computed(tmp_path: Path) -> None:
    computed = run_stage(tmp_path, StageKey("toy", {}), lambda folder: None)
    assert run_stage(tmp_path, StageKey("toy", {}), lambda folder: None).machine == computed.machine == this_machine()
