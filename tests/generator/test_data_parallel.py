"""Two processes, gloo, CPU: what they compute is what one computes."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import T5ForConditionalGeneration

from semidbench.errors import UserError
from semidbench.generator.data_parallel import launch as data_parallel
from semidbench.generator.data_parallel.launch import train_together
from semidbench.generator.data_parallel.share import mapped_examples, save_examples
from semidbench.generator.examples import IGNORED, Examples, TokenRows
from semidbench.generator.training import train
from semidbench.tracks import track
from tests.processes import gone
from tests.tiny import tiny_generator

SECTION = track.Training(
    epochs=2, batch=32, learning_rate=0.01, weight_decay=0.01, schedule="linear", warmup=0.1, max_grad_norm=0.5
)


def examples(count: int) -> Examples:
    """IDs of one and of two tokens, so that shares of a batch hold different numbers of labels; short and long prompts,
    so that padding is left out.
    """
    rng = np.random.default_rng(0)
    lengths = np.where(rng.random(count) < 0.5, rng.integers(2, 9, count), 60)
    flat = rng.integers(3, 40, lengths.sum()).astype(np.int32)
    codes = flat[np.cumsum(lengths) - 1] % 4
    labels = np.stack([40 + codes, np.where(rng.random(count) < 0.4, IGNORED, 44 + codes)], axis=1)
    return Examples(TokenRows(flat, np.concatenate([[0], np.cumsum(lengths)])), labels.astype(np.int64))


def quiet(*_: object) -> None: ...


ROOT = Path(__file__).parents[2]
Progress = Callable[[str, int, int], None]


class Killed(Exception):
    pass


def test_examples_survive_the_way_to_the_processes(tmp_path: Path) -> None:
    before = examples(20)
    save_examples(before, tmp_path)
    after = mapped_examples(tmp_path)
    rows = np.array([3, 17, 0])
    assert all(
        np.array_equal(a, b) for a, b in zip(before.prompts.padded(rows), after.prompts.padded(rows), strict=True)
    )
    assert np.array_equal(before.labels, after.labels)


def killer(at: int) -> Progress:
    def progress(what: str, done: int, total: int) -> None:
        if done == at:
            raise Killed

    return progress


def test_two_processes_go_on_where_one_was_and_learn_what_it_learns(tmp_path: Path) -> None:
    rows = examples(97)  # the last batch of an epoch holds one row: a process has none
    alone, together, killed = (tiny_generator(8, dropout=0.0) for _ in range(3))
    expected = train(alone, rows, SECTION, seed=3, device="cpu", progress=quiet)
    checkpoint, seen = tmp_path / "here.safetensors", list[int]()
    with pytest.raises(Killed):
        train(
            killed,
            rows,
            SECTION,
            seed=3,
            device="cpu",
            progress=killer(2),
            checkpoint=checkpoint,
            checkpoint_seconds=0,
        )
    before = checkpoint.read_bytes()
    losses = train_together(
        together,
        rows,
        SECTION,
        processes=2,
        seed=3,
        device="cpu",
        progress=lambda what, done, total: seen.append(done),
        checkpoint=checkpoint,
        checkpoint_seconds=0,
    )
    assert seen == list(range(3, 9))  # 4 steps an epoch; nothing is done again
    assert losses == pytest.approx(expected, abs=1e-5)
    for name, weight in alone.named_parameters():
        torch.testing.assert_close(together.get_parameter(name), weight, atol=1e-5, rtol=1e-5, msg=name)
    assert not together.training
    assert checkpoint.read_bytes() != before
    again = tiny_generator(8, dropout=0.0)  # and one goes on where two were: at the last step
    assert train(again, rows, SECTION, seed=3, device="cpu", progress=quiet, checkpoint=checkpoint) == losses
    assert torch.equal(again.shared.weight, together.shared.weight)


def test_with_dropout_all_processes_end_on_equal_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each draws masks of its own."""
    monkeypatch.setattr(data_parallel, "_WORKER", write(tmp_path, monkeypatch, WEIGHTS))
    losses = together(tiny_generator(8, dropout=0.3), examples(40))
    assert len(losses) == 2
    assert np.isfinite(losses).all()
    first, second = (np.load(tmp_path / f"{rank}.npy") for rank in range(2))
    assert np.array_equal(first, second)


def together(model: T5ForConditionalGeneration, rows: Examples, progress: Progress = quiet) -> list[float]:
    return train_together(model, rows, SECTION, processes=2, seed=3, device="cpu", progress=progress)


def write(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> str:
    """A module that the processes run instead of `semidbench.generator.data_parallel.worker`."""
    (folder / "another_worker.py").write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    return "another_worker"


WEIGHTS = """
import os
import numpy as np
from semidbench.generator.data_parallel import share as shared_training
from semidbench.generator.data_parallel.worker import main as genuine

def train(model, *rest, **named):
    losses = shared.train(model, *rest, **named)
    path = os.path.join(os.path.dirname(__file__), os.environ["RANK"] + ".npy")
    np.save(path, np.concatenate([weight.detach().numpy().ravel() for weight in model.parameters()]))
    return losses

class shared:
    train = staticmethod(shared_training.train)

def main():
    shared_training.train = train
    genuine()
"""

AT_WORK = """
import os
from semidbench.machine.channels import channels

def main():
    orders, tell = channels(lambda: os._exit(1))
    orders.get()
    tell("progress", "train", 1, 9)
    orders.get()
"""

KILLED = """
import os, signal
from semidbench.generator.data_parallel.worker import main as genuine
from semidbench.generator import training

def step(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)

def main():
    if os.environ["RANK"] == "1":
        training._step = step
    genuine()
"""

ALONE = """
import os, signal, time
from semidbench.machine.channels import channels

MARK = __file__ + ".broken"

def main():
    orders, tell = channels(lambda: os._exit(1))
    if os.environ["RANK"] == "0":
        tell("broken", "connection closed by peer")
        open(MARK, "w").close()
        os._exit(1)
    while not os.path.exists(MARK):
        time.sleep(.001)
    os.kill(os.getpid(), signal.SIGKILL)
"""

FULL = """
import torch
from semidbench.generator.data_parallel.worker import main as genuine
from semidbench.generator.data_parallel import share as shared_training

def train_share(*arguments):
    raise torch.OutOfMemoryError("CUDA out of memory")

def main():
    shared_training.train_share = train_share
    genuine()
"""

PARENT = """
import subprocess, sys
from tests.generator.test_data_parallel import SECTION, examples, tiny_generator, train_together

class Popen(subprocess.Popen):
    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        print(self.pid, flush=True)

def progress(what, done, total):
    print("at work", flush=True)

subprocess.Popen = Popen
section = SECTION.model_copy(update={"epochs": 100_000})
train_together(tiny_generator(8), examples(40), section, processes=2, seed=3, device="cpu", progress=progress)
"""


def test_no_process_outlives_a_parent_that_is_killed() -> None:
    process = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    with process, ended_after(process, 60):
        assert process.stdout is not None
        pids = [int(process.stdout.readline()) for _ in range(2)]
        assert process.stdout.readline() == "at work\n"
        process.kill()
    assert all(gone(pid) for pid in pids)


@contextmanager
def ended_after(process: subprocess.Popen[str], seconds: float) -> Iterator[None]:
    """A deadline for what waits for the process's output."""
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def test_an_interrupted_training_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = list[subprocess.Popen[str]]()
    genuine = subprocess.Popen

    def start(*words: Any, **named: Any) -> subprocess.Popen[str]:
        begun.append(genuine(*words, **named))
        return begun[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    monkeypatch.setattr(data_parallel, "_WORKER", write(tmp_path, monkeypatch, AT_WORK))
    with pytest.raises(Killed):
        together(tiny_generator(8), examples(20), killer(1))
    assert len(begun) == 2
    assert all(process.returncode for process in begun)


def test_an_error_in_a_process_is_told_as_it_is(tmp_path: Path) -> None:
    checkpoint = tmp_path / "here.safetensors"
    checkpoint.write_bytes(b"garbage")
    with pytest.raises(UserError, match=r"here\.safetensors cannot be used.*Delete it") as caught:
        train_together(
            tiny_generator(8),
            examples(20),
            SECTION,
            processes=2,
            seed=3,
            device="cpu",
            progress=quiet,
            checkpoint=checkpoint,
        )
    assert "SafetensorError" in str(caught.value.__cause__)


@pytest.mark.parametrize(
    ("worker", "message"),
    [
        ("def main(): raise SystemExit(3)", r"process \d of 2 in training left with exit code 3\. The same command"),
        (KILLED, r"process 1 of 2 in training was ended by SIGKILL, as .* memory runs out\. The same command"),
        (ALONE, r"process 1 of 2 in training was ended by SIGKILL"),
        (FULL, r"training ran out of memory on graphics card \d of 2\. .*--gpus"),
    ],
    ids=["leaves", "killed", "broken by it", "out of memory"],
)
def test_a_process_that_cannot_go_on_is_an_error(
    worker: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_parallel, "_WORKER", write(tmp_path, monkeypatch, worker))
    with pytest.raises(UserError, match=message):
        together(tiny_generator(8), examples(20))
