"""Training beside Seq2SeqTrainer, on the same weights and examples.

    python -m benchmarks.training --data FOLDER --peer-python .venv-peer/bin/python
    python -m benchmarks.training --data FOLDER --what loss --seeds 3
    python -m benchmarks.training --what base --batch 128 --length 40 --device cuda

`speed`: examples a second at the ml-small mix and shape, against dynamic padding and against batches grouped by length.
`loss`: the loss over all examples after a whole training by each. `base`: a few steps at flan-t5-base's shape. On a
graphics card both sides train under bfloat16 autocast, the clock is read when the card has done its work, and a row has
the peak of its memory.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections.abc import Sequence
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
from benchmarks.products import LIBRARIES, forced_name, products_by
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
DYNAMIC, GROUPED = "Seq2SeqTrainer, dynamic padding", "Seq2SeqTrainer, grouped by length"
OURS = "semidbench"
PACKED = "packed"  # in the place of a share of padding: linear layers run over the real tokens alone


@dataclass(frozen=True, slots=True)
class Task:
    """A model, examples and settings, with where the peer finds them."""

    folder: Path
    examples: Examples
    section: track.Training


@dataclass(frozen=True, slots=True)
class Rounds:
    """How often all sides are timed, and on which steps: `steps` after the first `warm`."""

    repetitions: int
    warm: int
    steps: int


@dataclass(frozen=True, slots=True)
class Timing:
    """Of some steps.

    Attributes:
        rate: examples a second.
        padding: the share among the prompts' tokens, 0 where they are packed.
        peak_gib: of a graphics card's memory, 0 on a CPU.
    """

    rate: float
    padding: float = 0.0
    peak_gib: float = 0.0


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


def our_steps(task: Task, device: str, warm: int, steps: int, seed: int, library: str | None = None) -> Timing:
    """Time `steps` steps of semidbench's trainer after `warm`.

    Args:
        library: of `products.LIBRARIES`, None for semidbench's own choice.
    """
    times: list[float] = []

    def progress(what: str, done: int, total: int) -> None:
        if done in (warm, warm + steps):
            times.append(_now(device))
        if done == warm + steps:
            raise _Enough

    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    model = load_generator(task.folder)
    try:
        with products_by(library):
            train(model, task.examples, task.section, seed=seed, device=device, progress=progress)
    except _Enough:
        peak = torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else 0.0
        return Timing(steps * task.section.batch / (times[1] - times[0]), peak_gib=peak)
    raise ValueError(f"{warm} + {steps} steps are more than a training has")


def _now(device: str) -> float:
    """The clock, once the device has done all that it was given."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def their_steps(peer: Peer, task: Task, warm: int, steps: int, seed: int, by_length: bool) -> Timing:
    """Time `steps` steps of Seq2SeqTrainer after `warm`."""
    found = peer.ask(warm=warm, steps=steps, seed=seed, by_length=by_length)
    rate = steps * task.section.batch / found["seconds"]
    return Timing(rate, 1 - found["real"] / found["padded"], found["peak_gib"])


def speed(
    task: Task, python: Path, threads: int, device: str, rounds: Rounds, libraries: Sequence[str] = ()
) -> dict[str, Timing]:
    """Medians of each side, timed in turn; semidbench once more for each library that is forced on it."""
    found: list[dict[str, Timing]] = []
    with started_peer(python, SCRIPT, task.folder, threads, device) as peer, held_threads(threads):
        for number in range(rounds.repetitions):
            span = (rounds.warm, rounds.steps, number)
            ours = {forced_name(library): our_steps(task, device, *span, library) for library in libraries}
            found.append(
                {
                    DYNAMIC: their_steps(peer, task, *span, by_length=False),
                    GROUPED: their_steps(peer, task, *span, by_length=True),
                    OURS: our_steps(task, device, *span),
                    **ours,
                }
            )
    return {name: _median([each[name] for each in found]) for name in found[0]}


def _median(timings: Sequence[Timing]) -> Timing:
    return Timing(
        median(each.rate for each in timings),
        mean(each.padding for each in timings),
        max(each.peak_gib for each in timings),
    )


def speed_rows(found: dict[str, Timing], batch: int, threads: int, device: str) -> list[tuple[str, ...]]:
    """Rows of the table, with their ratios."""
    return [
        (
            str(threads),
            name,
            f"{timing.rate:,.0f}",
            f"{1e3 * batch / timing.rate:.1f}",
            PACKED if name.startswith(OURS) else f"{timing.padding:.1%}",
            f"{found[OURS].rate / timing.rate:.2f}",
            *([f"{timing.peak_gib:.1f}"] if device == "cuda" else []),
        )
        for name, timing in found.items()
    ]


def whole_loss(model: Any, examples: Examples, device: str = "cpu") -> float:
    """Mean over all label tokens, in nats, by transformers' own forward pass."""
    total, counted = 0.0, 0
    order = np.argsort(examples.prompts.lengths, kind="stable")
    model.to(device).eval()
    with torch.inference_mode():
        for rows in np.array_split(order, math.ceil(len(order) / 512)):
            arrays = (*examples.prompts.padded(rows), examples.labels[rows])
            tokens, mask, labels = (torch.from_numpy(array).to(device) for array in arrays)
            counts = int((labels != IGNORED).sum())
            total += counts * model(input_ids=tokens, attention_mask=mask, labels=labels).loss.item()
            counted += counts
    return total / counted


def losses(task: Task, python: Path, threads: int, device: str, seeds: int) -> list[tuple[str, ...]]:
    """Rows: a seed, and each side's loss over all examples and seconds after a whole training."""
    rows, found = [], []
    with started_peer(python, SCRIPT, task.folder, threads, device) as peer, held_threads(threads):
        for seed in range(seeds):
            saved = task.folder / f"peer-{seed}"
            their_seconds = peer.ask(warm=0, steps=0, seed=seed, by_length=False, save=str(saved))["seconds"]
            model = load_generator(task.folder)
            started = _now(device)
            train(model, task.examples, task.section, seed=seed, device=device, progress=lambda *_: None)
            our_seconds = _now(device) - started
            found.append(tuple(whole_loss(each, task.examples, device) for each in (load_generator(saved), model)))
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
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="default: %(default)s")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2], help="of each side; default: %(default)s")
    parser.add_argument("--repetitions", type=int, default=5, help="rounds of all sides; default: %(default)s")
    parser.add_argument("--warm", type=int, default=20, help="steps before the clock runs; default: %(default)s")
    parser.add_argument("--steps", type=int, default=150, help="steps that are timed; default: %(default)s")
    parser.add_argument("--seeds", type=int, default=3, help="whole trainings by each side; default: %(default)s")
    parser.add_argument("--epochs", type=int, help="of a whole training; default: the track's")
    parser.add_argument("--batch", type=int, default=8, help="of `base`; default: %(default)s")
    parser.add_argument("--length", type=int, default=32, help="tokens of a prompt of `base`; default: %(default)s")
    options = parser.parse_args()
    if options.data is None and {"speed", "loss"} & set(options.what):
        parser.error("the ml-small mix needs --data FOLDER (docs/how-to/data.md); --what base does without")
    if min(options.warm, options.steps, options.repetitions) < 1:
        parser.error("--warm, --steps and --repetitions are 1 or more: the clock starts at the end of a step")
    if options.device == "cuda" and torch.cuda.device_count() != 1:
        parser.error(
            f"--device cuda compares on one card, and torch finds {torch.cuda.device_count()}: Seq2SeqTrainer would "
            "use all. Set CUDA_VISIBLE_DEVICES to one of them"
        )
    if not options.peer_python.is_file():
        parser.error(f"no Python at {options.peer_python}: see benchmarks/peer-requirements.txt")
    return options


def main() -> None:
    """Print a table for each part."""
    options = _options()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if {"speed", "loss"} & set(options.what):
            (folder / "small").mkdir()
            task = small_task(options.data, options.cache or default_store(), options.epochs, folder / "small")
        if "speed" in options.what:
            _print_speed(task, options)
        if "loss" in options.what:
            rows = losses(task, options.peer_python, options.threads[0], options.device, options.seeds)
            heads = ("seed", "Seq2SeqTrainer's loss", "semidbench's loss", "its seconds", "our seconds")
            print(tabulate(rows, heads, tablefmt="pipe", disable_numparse=True))
        if "base" in options.what:
            (folder / "base").mkdir()
            _print_speed(base_task(options.batch, options.length, folder / "base"), options)
    print(f"\nSpeeds are medians of {options.repetitions}. {machine(device=options.device)}.")


def _print_speed(task: Task, options: argparse.Namespace) -> None:
    headers = ["threads", "trainer", "examples/s", "ms a step", "padding", "semidbench / it"]
    if options.device == "cuda":
        headers.append("peak GiB")
    rounds, rows = Rounds(options.repetitions, options.warm, options.steps), []
    for threads in options.threads:
        found = speed(task, options.peer_python, threads, options.device, rounds, list(LIBRARIES))
        rows += speed_rows(found, task.section.batch, threads, options.device)
    print(tabulate(rows, headers, tablefmt="pipe", disable_numparse=True))


if __name__ == "__main__":
    main()
