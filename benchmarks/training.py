"""Training beside Seq2SeqTrainer, on the same weights and examples.

    python -m benchmarks.training --data FOLDER --peer-python .venv-peer/bin/python
    python -m benchmarks.training --data FOLDER --what loss --seeds 3
    python -m benchmarks.training --what base

`speed`: examples a second at the ml-small mix and shape, against dynamic padding and against batches grouped by length.
`loss`: the loss over all examples after a whole training by each. `base`: a few steps at flan-t5-base's shape.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
import torch
from tabulate import tabulate

from benchmarks.measure import machine
from benchmarks.mix import random_examples, track_examples
from benchmarks.peer import PEER, Peer, started_peer
from benchmarks.shapes import SHAPES, random_t5
from semidbench.generator.data_parallel.share import save_examples
from semidbench.generator.examples import IGNORED, Examples
from semidbench.generator.model import add_tokens, load_generator, new_generator, save_generator
from semidbench.generator.training import train
from semidbench.machine.device import held_threads
from semidbench.store.stages import default_store
from semidbench.tracks import track
from semidbench.tracks.files import load_track

TRACK = "ml-small"
SCRIPT = "peer_training.py"
BASE = "flan-t5-base"
OURS = "semidbench"
PACKED = "packed"  # in the place of a share of padding: linear layers run over the real tokens alone


@dataclass(frozen=True, slots=True)
class Task:
    """A model, examples and settings, with where the peer finds them."""

    folder: Path
    examples: Examples
    section: track.Training


@dataclass(frozen=True, slots=True)
class Timing:
    """Of some steps: examples a second, and the share of padding among the prompts' tokens, 0 where they are packed."""

    rate: float
    padding: float = 0.0


class _Enough(Exception):
    pass


def small_task(data: Path, store: Path, epochs: int | None, folder: Path) -> Task:
    """The ml-small mix and shape; its own number of epochs with None."""
    chosen = load_track(TRACK)
    assert isinstance(chosen.generator, track.ScratchGenerator)
    examples, text_size = track_examples(chosen, data, store, torch.get_num_threads())
    model = new_generator(chosen.generator, text_size, seed=0)
    add_tokens(model, sum(chosen.ids.codebook_sizes), seed=0)
    section = chosen.training.model_copy(update={"epochs": epochs or chosen.training.epochs})
    return _written(Task(folder, examples, section), model)


def base_task(batch: int, length: int, folder: Path) -> Task:
    """flan-t5-base's shape with random weights, prompts of one length."""
    shape = SHAPES[BASE]
    section = load_track(TRACK).training.model_copy(update={"batch": batch})
    examples = random_examples(batch * 100, length, shape.vocabulary, len(shape.sizes), seed=0)
    return _written(Task(folder, examples, section), random_t5(shape, seed=0))


def _written(task: Task, model: Any) -> Task:
    save_generator(model, task.folder)
    save_examples(task.examples, task.folder)
    (task.folder / "training.json").write_text(task.section.model_dump_json() + "\n", "utf-8")
    return task


def our_steps(task: Task, warm: int, steps: int, seed: int) -> Timing:
    """Time `steps` steps of semidbench's trainer after `warm`."""
    times: list[float] = []

    def progress(what: str, done: int, total: int) -> None:
        if done in (warm, warm + steps):
            times.append(time.perf_counter())
        if done == warm + steps:
            raise _Enough

    model = load_generator(task.folder)
    try:
        train(model, task.examples, task.section, seed=seed, device="cpu", progress=progress)
    except _Enough:
        return Timing(steps * task.section.batch / (times[1] - times[0]))
    raise ValueError(f"{warm} + {steps} steps are more than a training has")


def their_steps(peer: Peer, task: Task, warm: int, steps: int, seed: int, by_length: bool) -> Timing:
    """Time `steps` steps of Seq2SeqTrainer after `warm`."""
    told = peer.ask(warm=warm, steps=steps, seed=seed, by_length=by_length)
    return Timing(steps * task.section.batch / told["seconds"], 1 - told["real"] / told["padded"])


def speed(task: Task, python: Path, threads: int, options: argparse.Namespace) -> list[tuple[str, ...]]:
    """Rows of the table: medians of examples a second, and their ratios."""
    rounds = []
    with started_peer(python, SCRIPT, task.folder, threads) as peer, held_threads(threads):
        for number in range(options.repetitions):
            span = {"warm": options.warm, "steps": options.steps, "seed": number}
            rounds.append(
                {
                    "Seq2SeqTrainer, dynamic padding": their_steps(peer, task, **span, by_length=False),
                    "Seq2SeqTrainer, grouped by length": their_steps(peer, task, **span, by_length=True),
                    OURS: our_steps(task, **span),
                }
            )
    rates = {name: median(each[name].rate for each in rounds) for name in rounds[0]}
    return [
        (
            str(threads),
            name,
            f"{rate:,.0f}",
            f"{1e3 * task.section.batch / rate:.1f}",
            PACKED if name == OURS else f"{mean(each[name].padding for each in rounds):.1%}",
            f"{rates[OURS] / rate:.2f}",
        )
        for name, rate in rates.items()
    ]


def whole_loss(model: Any, examples: Examples) -> float:
    """Mean over all label tokens, in nats, by transformers' own forward pass."""
    total, counted = 0.0, 0
    order = np.argsort(examples.prompts.lengths, kind="stable")
    model.eval()
    with torch.inference_mode():
        for rows in np.array_split(order, math.ceil(len(order) / 512)):
            tokens, mask = (torch.from_numpy(array) for array in examples.prompts.padded(rows))
            labels = torch.from_numpy(examples.labels[rows])
            counts = int((labels != IGNORED).sum())
            total += counts * model(input_ids=tokens, attention_mask=mask, labels=labels).loss.item()
            counted += counts
    return total / counted


def losses(task: Task, python: Path, threads: int, seeds: int) -> list[tuple[str, ...]]:
    """Rows: a seed, and each side's loss over all examples and seconds after a whole training."""
    rows, found = [], []
    with started_peer(python, SCRIPT, task.folder, threads) as peer, held_threads(threads):
        for seed in range(seeds):
            saved = task.folder / f"peer-{seed}"
            their_seconds = peer.ask(warm=0, steps=0, seed=seed, by_length=False, save=str(saved))["seconds"]
            model = load_generator(task.folder)
            started = time.perf_counter()
            train(model, task.examples, task.section, seed=seed, device="cpu", progress=lambda *_: None)
            our_seconds = time.perf_counter() - started
            found.append((whole_loss(load_generator(saved), task.examples), whole_loss(model, task.examples)))
            rows.append(
                (str(seed), *(f"{loss:.4f}" for loss in found[-1]), f"{their_seconds:.0f}", f"{our_seconds:.0f}")
            )
    rows.append(("mean", *(f"{mean(side):.4f}" for side in zip(*found, strict=True)), "", ""))
    return rows


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__.splitlines()[0])
    parser.add_argument("--what", nargs="+", choices=("speed", "loss", "base"), default=["speed"])
    parser.add_argument("--data", type=Path, help="folder with ml-latest-small and descriptions")
    parser.add_argument("--cache", type=Path, help="default: the user's cache")
    parser.add_argument("--peer-python", type=Path, default=PEER, help="default: %(default)s")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2], help="of each side; default: %(default)s")
    parser.add_argument("--repetitions", type=int, default=5, help="rounds of all sides; default: %(default)s")
    parser.add_argument("--warm", type=int, default=20, help="steps before the clock runs; default: %(default)s")
    parser.add_argument("--steps", type=int, default=150, help="steps that are timed; default: %(default)s")
    parser.add_argument("--seeds", type=int, default=3, help="whole trainings by each side; default: %(default)s")
    parser.add_argument("--epochs", type=int, help="of a whole training; default: the track's")
    parser.add_argument("--batch", type=int, default=8, help="of `base`; default: %(default)s")
    options = parser.parse_args()
    if options.data is None and {"speed", "loss"} & set(options.what):
        parser.error("the ml-small mix needs --data FOLDER (docs/how-to/data.md); --what base does without")
    if min(options.warm, options.steps, options.repetitions) < 1:
        parser.error("--warm, --steps and --repetitions are 1 or more: the clock starts at the end of a step")
    if not options.peer_python.is_file():
        parser.error(f"no Python at {options.peer_python}: see benchmarks/peer-requirements.txt")
    return options


def main() -> None:
    """Print a table for each part."""
    options = _options()
    headers = ("threads", "trainer", "examples/s", "ms a step", "padding", "semidbench / it")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if {"speed", "loss"} & set(options.what):
            (folder / "small").mkdir()
            task = small_task(options.data, options.cache or default_store(), options.epochs, folder / "small")
        if "speed" in options.what:
            rows = [row for count in options.threads for row in speed(task, options.peer_python, count, options)]
            print(tabulate(rows, headers, tablefmt="pipe", disable_numparse=True))
        if "loss" in options.what:
            rows = losses(task, options.peer_python, options.threads[0], options.seeds)
            heads = ("seed", "Seq2SeqTrainer's loss", "semidbench's loss", "its seconds", "our seconds")
            print(tabulate(rows, heads, tablefmt="pipe", disable_numparse=True))
        if "base" in options.what:
            (folder / "base").mkdir()
            task = base_task(options.batch, 32, folder / "base")
            rows = [row for count in options.threads for row in speed(task, options.peer_python, count, options)]
            print(tabulate(rows, headers, tablefmt="pipe", disable_numparse=True))
    print(f"\nSpeeds are medians of {options.repetitions}. {machine()}.")


if __name__ == "__main__":
    main()
