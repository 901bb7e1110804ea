from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

from semidbench.errors import UserError
from semidbench.machine.device import check_gpus
from semidbench.results.cell_result import Environment
from semidbench.runs.evaluate import _environment
from semidbench.runs.run import run
from semidbench.runs.shared.session import open_session
from semidbench.runs.stages.train import _together_key
from semidbench.tracks.files import load_track


def test_one_is_always_there() -> None:
    check_gpus(1, "cpu")
    check_gpus(1, "cuda")


def test_more_than_there_are_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    check_gpus(2, "cuda")
    with pytest.raises(UserError, match="gpus 3: torch finds 2 CUDA"):
        check_gpus(3, "cuda")
    with pytest.raises(UserError, match="gpus must be 1 or more, not 0"):
        check_gpus(0, "cuda")


def test_a_run_says_so_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="gpus 2: the device is cpu"):
        run("smoke", out=tmp_path / "out", cache=tmp_path / "cache", device="cpu", gpus=2)
    assert not (tmp_path / "cache").exists()
    with pytest.raises(UserError, match=r"--gpus 2 .*not with --jobs 4"):
        run("smoke", out=tmp_path / "out", cache=tmp_path / "cache", gpus=2, jobs=4)


def test_a_result_says_how_many_trained_it_and_brought_together_by_what(tmp_path: Path) -> None:
    session = open_session(load_track("smoke"), "test", None, tmp_path, "cpu")
    one, two = (_environment(session, (), (), gpus=gpus) for gpus in (1, 2))
    assert (one.gpus, two.gpus) == (1, 2)
    assert two.libraries == {**one.libraries, "accelerate": version("accelerate")}
    assert _together_key(session) == {}
    key = _together_key(replace(session, gpus=2))
    assert (key["gpus"], key["accelerate"]) == (2, version("accelerate"))


def test_results_from_before_are_of_one() -> None:
    told = {"device": "cpu", "threads": 1, "machines": [], "libraries": {}}
    assert Environment.model_validate(told).gpus == 1
