"""Scripts of benchmarks/ that measure the whole program, run once at a tiny size."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import cells, products, queries, scale, training
from benchmarks.mix import random_examples
from benchmarks.shapes import SHAPES, random_t5
from semidbench.leaderboards.board import results_folder
from semidbench.tracks.files import load_track

SMALL = ["--schemes", "2", "--seeds", "2", "--items", "50", "--queries-per-item", "2", "--users", "50"]


def run_scale(monkeypatch: pytest.MonkeyPatch, folder: Path, *more: str) -> None:
    monkeypatch.setattr(sys, "argv", ["scale", *SMALL, "--repetitions", "1", "--keep", str(folder), *more])
    scale.main()


def test_scale_measures_and_keeps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = replace(scale.WORK["paper"], commands={"leaderboard": scale.WORK["paper"].commands["leaderboard"]})
    monkeypatch.setitem(scale.WORK, "paper", small)
    run_scale(monkeypatch, tmp_path)
    table = capsys.readouterr()
    assert "2 schemes x 2 seeds x 150 queries" in table.out
    assert [line.split(" | ")[0] for line in table.out.splitlines() if line.startswith("| ")][1:] == [
        "| ---",
        "| leaderboard",
    ]
    assert "cores" in table.out.splitlines()[-1]
    assert "made 4 cells" in table.err
    monkeypatch.setitem(scale.WORK, "paper", replace(small, commands={}))
    run_scale(monkeypatch, tmp_path)
    assert "made" not in capsys.readouterr().err


def test_scale_refuses_a_folder_of_another_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scale.mark(scale.WORK["rows"].size, results_folder("paper", tmp_path))
    with pytest.raises(SystemExit, match="says another size"):
        run_scale(monkeypatch, tmp_path)


def test_scale_refuses_a_folder_of_real_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = results_folder("paper", tmp_path)
    results.mkdir(parents=True)
    (results / "a-cell.json").write_text("{}")
    with pytest.raises(SystemExit, match="these are not made-up results"):
        run_scale(monkeypatch, tmp_path)
    assert [path.name for path in results.iterdir()] == ["a-cell.json"]


def test_queries_measures_every_step(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(queries, "BATCH", 5)
    monkeypatch.setattr(sys, "argv", ["queries", "--queries", "200", "--items", "400", "--repetitions", "1"])
    queries.main()
    printed = capsys.readouterr().out
    assert printed.count("\n| ") == 10  # head, rule and eight steps
    assert "Medians of 1." in printed


def test_cells_hands_on_each_number_of_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def run(arguments: list[str], cache: Path, out: Path) -> float:
        assert not cache.exists()
        cache.mkdir()
        asked.append(arguments)
        return float(len(asked))

    monkeypatch.setattr(cells, "run", run)
    found = cells.whole_table(["--seeds", "3"], [1, 2], 3, tmp_path)
    assert asked == [["--seeds", "3", "--jobs", "1"], ["--seeds", "3", "--jobs", "2"]] * 3
    assert found == {"--jobs 1": 3.0, "--jobs 2": 4.0}
    assert list(cells.whole_table([], [], 1, tmp_path)) == ["its own --jobs"]
    assert asked[-1] == []


PEER = """
import json, sys
print(json.dumps({}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    print(json.dumps({"seconds": 1.0 + request["by_length"], "real": 3, "padded": 4, "peak_gib": 0}), flush=True)
"""


def peer_python(folder: Path) -> Path:
    (folder / "peer.py").write_text(PEER)
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{folder / "peer.py"}"\n')
    python.chmod(0o755)
    return python


def small_task(folder: Path) -> training.Task:
    shape = SHAPES["tiny"]
    section = load_track("smoke").training.model_copy(update={"batch": 4, "epochs": 1})
    folder.mkdir()
    return training._written(
        training.Task(folder, random_examples(40, 5, shape.vocabulary, 2, seed=0), section), random_t5(shape, seed=0)
    )


def test_speed_prints_ratios_of_medians(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = {None: iter([9.0, 2.0, 3.0]), "one": iter([8.0, 6.0, 5.0])}
    monkeypatch.setattr(
        training,
        "our_steps",
        lambda *given: training.Timing(next(ours["one" if given[-1] == "one" else None]), peak_gib=2.5),
    )
    python, rounds = peer_python(tmp_path), training.Rounds(repetitions=3, warm=1, steps=2)
    found = training.speed(small_task(tmp_path / "task"), python, 1, "cpu", rounds, ["one"])
    rows = training.speed_rows(found, 4, 1, "cpu")
    assert [row[2:] for row in rows] == [  # 8 examples in 1 s and in 2
        ("8", "500.0", "25.0%", "0.38"),
        ("4", "1000.0", "25.0%", "0.75"),
        ("3", "1333.3", "packed", "1.00"),
        ("6", "666.7", "packed", "0.50"),
    ]
    assert rows[3][1] == "semidbench, one forced"
    assert [row[-1] for row in training.speed_rows(found, 4, 1, "cuda")] == ["0.0", "0.0", "2.5", "2.5"]


def test_our_steps_are_timed_behind_the_warm_ones(tmp_path: Path) -> None:
    task = small_task(tmp_path / "task")
    assert training.our_steps(task, "cpu", warm=1, steps=3, seed=0).rate > 0
    with pytest.raises(ValueError, match="more than a training has"):
        training.our_steps(task, "cpu", warm=9, steps=3, seed=0)


def test_steps_run_inside_the_library_that_is_forced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside: list[bool] = [False]
    trained: list[bool] = []

    @contextmanager
    def library() -> Iterator[None]:
        inside[0] = True
        yield
        inside[0] = False

    def train(*_: Any, progress: Any, **__: Any) -> None:
        trained.append(inside[0])
        for done in (1, 2):
            progress("train", done, 2)

    monkeypatch.setitem(products.LIBRARIES, "another", library)
    monkeypatch.setattr(training, "train", train)
    task = small_task(tmp_path / "task")
    for name in (None, "another"):
        training.our_steps(task, "cpu", warm=1, steps=1, seed=0, library=name)
    assert trained == [False, True]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_clock_waits_for_the_card(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[bool] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: waited.append(True))
    assert training._now(device) > 0
    assert waited == [True] * (device == "cuda")


def test_training_at_flan_t5_bases_shape_takes_batch_and_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(SHAPES, "flan-t5-base", SHAPES["tiny"])
    options = ["--what", "base", "--batch", "3", "--length", "7", "--threads", "1", "--device", "cpu"]
    quick = ["--repetitions", "1", "--warm", "1", "--steps", "1", "--peer-python", str(peer_python(tmp_path))]
    monkeypatch.setattr(sys, "argv", ["training", *options, *quick])
    seen: list[training.Task] = []
    monkeypatch.setattr(training, "our_steps", lambda task, *_, **__: seen.append(task) or training.Timing(1.0))
    training.main()
    shapes = [(task.section.batch, set(task.examples.prompts.lengths.tolist())) for task in seen]
    assert shapes == [(3, {7})] * (1 + len(products.LIBRARIES))  # with semidbench's own library, and with each other
    printed = capsys.readouterr().out
    assert "| semidbench" in printed
    assert "peak GiB" not in printed


def test_training_refuses_no_warm_steps(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["training", "--what", "base", "--warm", "0"])
    with pytest.raises(SystemExit) as ended:
        training.main()
    assert ended.value.code == 2
    assert "--warm, --steps and --repetitions are 1 or more" in capsys.readouterr().err


def test_whole_loss_is_the_mean_over_all_labels(tmp_path: Path) -> None:
    task, model = small_task(tmp_path / "task"), random_t5(SHAPES["tiny"], seed=0)
    tokens, mask = (torch.from_numpy(array) for array in task.examples.prompts.padded(np.arange(40)))
    with torch.inference_mode():
        loss = model(input_ids=tokens, attention_mask=mask, labels=torch.from_numpy(task.examples.labels)).loss
    assert training.whole_loss(model, task.examples) == pytest.approx(loss.item(), rel=1e-5)


def test_the_wheel_holds_the_package_alone(tmp_path: Path) -> None:
    pytest.importorskip("hatchling.build", reason="an editable install builds in an environment of its own")
    root = Path(__file__).parents[2]
    code = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=root, check=True, timeout=60)
    (wheel,) = tmp_path.glob("*.whl")
    names = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"semidbench"}
