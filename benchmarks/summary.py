"""One machine in one table: what matters to compare machines, each figure beside its peer's.

    python -m benchmarks.summary --data FOLDER --peer-python .venv-peer/bin/python
    python -m benchmarks.summary --device cuda --peer-python .venv-peer/bin/python --keep KEPT
    python -m benchmarks.summary --quick

Rows are printed as soon as they are known. What stands on stdout is a section of docs/reference/performance.md, to be
pasted as it is. With --keep, parts that a stopped run finished are not measured again.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn
from transformers.utils import logging

from benchmarks import cells, decode, growth, linear, startup, training
from benchmarks.measure import machine, machine_name
from benchmarks.peer import PEER
from benchmarks.products import LIBRARIES, forced_name
from semidbench.machine.products import library
from semidbench.machine.products import linear as linear_layer
from semidbench.store.stages import default_store


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the table.

    Attributes:
        what: was measured.
        unit: of both figures.
        ours: semidbench's figure.
        peer: the peer's, None where there is none.
        whose: the peer.
        more: whether more of it is better; else less is.
        note: stands in the peer's place where there is no figure.
    """

    what: str
    unit: str
    ours: float
    peer: float | None = None
    whose: str = ""
    more: bool = False
    note: str = ""

    def cells(self) -> tuple[str, ...]:
        """With how many times as good semidbench's figure is."""
        if self.peer is None:
            return self.what, self.unit, digits(self.ours), self.note, ""
        ratio = self.ours / self.peer if self.more else self.peer / self.ours
        return self.what, self.unit, digits(self.ours), f"{digits(self.peer)} ({self.whose})", f"{ratio:.2f}"


HEADERS = ("what", "unit", "semidbench", "peer", "times as good")
Lines = Iterator[Line]


def digits(value: float) -> str:
    """Three that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


@dataclass(frozen=True, slots=True)
class Asked:
    """The options that parts read."""

    data: Path | None
    python: Path
    device: str
    threads: int
    rounds: int
    quick: bool


def start(asked: Asked) -> Lines:
    """The command line."""
    startup.found(1)  # warms the disk
    took = startup.found(asked.rounds)
    for name in ("semidbench --help", "semidbench list"):
        yield Line(f"start of `{name}`", "s", took[name], took["python -c pass"], "python -c pass")


def products(asked: Asked) -> Lines:
    """Linear layers on a CPU, one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    repetitions = 3 if asked.quick else 25
    for name, (count, width, out) in linear.SHAPES.items():
        layer, rows = linear_layer(nn.Linear(width, out, bias=False).weight), torch.randn(count, width)
        with torch.inference_mode():
            yield _product(f"linear layer, {name}, 1 thread", linear.ratio(layer, rows, None, repetitions))
        both = linear.ratio(layer, rows.requires_grad_(), torch.randn(count, out), repetitions)
        yield _product(f"linear layer with gradients, {name}, 1 thread", both)
    torch.set_num_threads(threads)


def _product(what: str, ratio: list[str]) -> Line:
    """The library that semidbench takes here, beside the other."""
    speeds = dict(zip(linear.LIBRARIES, map(float, ratio), strict=False))
    own = speeds.pop(library())
    ((other, peer),) = speeds.items()
    return Line(what, "GFLOP/s", own, peer, f"{other}'s products", more=True)


def training_small(asked: Asked) -> Lines:
    """ml-small's mix and shape, each number of threads."""
    if asked.data is None:
        print("no --data: training at ml-small's mix is left out", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory() as folder:
        task = training.small_task(asked.data, default_store(), None, Path(folder))
        rounds = training.Rounds(asked.rounds, *((2, 5) if asked.quick else (20, 60)))
        for threads in sorted({1, asked.threads}):
            yield from _training(asked, task, rounds, threads, "training, ml-small's shape and mix")


def training_base(asked: Asked) -> Lines:
    """flan-t5-base's shape: the paper's batch on a card, a small one on a CPU."""
    batch, length = (128, 40) if asked.device == "cuda" else (8, 32)
    few = training.Rounds(min(3, asked.rounds), 1, 2)
    rounds = few if asked.device == "cpu" else training.Rounds(asked.rounds, 10, 40)
    with tempfile.TemporaryDirectory() as folder:
        task = training.base_task(batch, length, Path(folder))
        what = f"training, flan-t5-base's shape, batch {batch}, {length} tokens"
        yield from _training(asked, task, rounds, asked.threads, what)


def _training(asked: Asked, task: training.Task, rounds: training.Rounds, threads: int, what: str) -> Lines:
    """Against both peers, and semidbench with each library forced on it."""
    libraries = list(LIBRARIES) if asked.device == "cpu" else []
    found = training.speed(task, asked.python, threads, asked.device, rounds, libraries)
    what = f"{what}, {threads} {'thread' if threads == 1 else 'threads'}"
    for name, timing in found.items():
        if name != training.OURS:
            yield Line(what, "examples/s", found[training.OURS].rate, timing.rate, name, more=True)
    if asked.device == "cuda":
        peer = found[training.DYNAMIC].peak_gib
        yield Line(f"{what}: peak memory", "GiB", found[training.OURS].peak_gib, peer, training.DYNAMIC)


def decoding(asked: Asked) -> Lines:
    """Two shapes, 12 first tokens at most, and the small one's other numbers."""
    cases = {"tiny": [12]} if asked.quick else {"width-128": [12, 30, 60], "flan-t5-base": [12]}
    for name, numbers in cases.items():
        best: dict[str, int] = {}
        for distinct in numbers:
            compared = decode.compare(
                name,
                distinct,
                best,
                python=asked.python,
                threads=asked.threads,
                device=asked.device,
                repetitions=asked.rounds,
            )
            best = compared.best
            took = {timer: 1e3 * seconds for timer, seconds in compared.found.items()}
            what = f"decoding, {name}, {distinct} first tokens"
            unit = "ms a prompt"
            yield Line(what, unit, took[decode.OURS], took[decode.THEIRS], decode.THEIRS)
            yield Line(what, unit, took[decode.OURS], took[decode.OUR_ENCODER], "semidbench's encoder alone")
            for other in (each for each in LIBRARIES if forced_name(each) in took):
                yield Line(what, unit, took[decode.OURS], took[forced_name(other)], forced_name(other))
            asked_of = compared.task.shape.prompts[0]
            yield Line(f"{what}: answers equal to the peer's", "prompts", compared.equal, note=f"of {asked_of}")
            if compared.lists:
                equal, count = compared.lists
                yield Line(f"{what}: lists equal to the CPU's in float32", "prompts", equal, note=f"of {count}")
        encoders = took[decode.OUR_ENCODER], took[compared.faster_encoder]
        yield Line(f"encoder, {name}", "ms a prompt", *encoders, "transformers' encoder")


def index(asked: Asked) -> Lines:
    """The index of a large catalogue."""
    items = 10**4 if asked.quick else 10**6
    found = growth.index_apart(items, asked.rounds, asked.threads)
    yield Line(f"index of {items:,} items built", "s", found["build"])
    yield Line(f"index of {items:,} items: memory of the process", "MiB", found["memory"])


def whole_runs(asked: Asked) -> Lines:
    """Wall clock of runs, each once."""
    on = ["--device", asked.device]
    with tempfile.TemporaryDirectory() as name:
        runs = {"smoke, 2 schemes, references, 1 seed, empty cache": ["--track", "smoke", "--seeds", "1"]}
        if not asked.quick:
            runs["demo, Table 2, 3 seeds, empty cache"] = ["--track", "demo", "--table", "2", "--seeds", "3"]
        for what, arguments in runs.items():
            (seconds,) = cells.whole_table([*arguments, *on, "--skip-missing"], [], 1, Path(name) / "table").values()
            yield Line(f"`semidbench run`: {what}", "s", seconds)
        if asked.data is not None and not asked.quick:
            track, folder = ["--track", "ml-small", "--data", str(asked.data), *on], Path(name) / "cell"
            warm, scheme = "content/rq-kmeans/shared", "multi-task/rq-kmeans/shared"
            seconds, _ = cells.one_cell(track, warm, scheme, 1, folder)
            yield Line(f"`semidbench run`: ml-small, {scheme}, 1 seed, references cached", "s", seconds)


PARTS: dict[str, Callable[[Asked], Lines]] = {
    "startup": start,
    "linear": products,
    "training": training_small,
    "base": training_base,
    "decode": decoding,
    "growth": index,
    "cells": whole_runs,
}
ON_A_CPU = ("linear", "training", "growth")  # say nothing about a card


def lines(part: str, asked: Asked, keep: Path | None) -> Lines:
    """A part's rows, kept once it is whole, or those that a run before kept."""
    kept = keep / f"{part}.json" if keep else None
    if kept and kept.is_file():
        yield from (Line(**values) for values in json.loads(kept.read_text("utf-8")))
        return
    found = []
    for line in PARTS[part](asked):
        found.append(line)
        yield line
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps([asdict(line) for line in found], indent=1) + "\n", "utf-8")


def _print(row: Sequence[str]) -> None:
    print("| " + " | ".join(row) + " |", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.summary", description=__doc__.splitlines()[0])
    parser.add_argument("--what", nargs="+", choices=PARTS, help="parts; default: all, on a card those that use it")
    parser.add_argument("--data", type=Path, help="folder with ml-latest-small and descriptions")
    parser.add_argument("--peer-python", type=Path, default=PEER, help="default: %(default)s")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="default: %(default)s")
    parser.add_argument("--repetitions", type=int, default=5, help="rounds; default: %(default)s")
    parser.add_argument(
        "--quick", action="store_true", help="one round of little work: to try the command, not to cite"
    )
    parser.add_argument("--keep", type=Path, help="a folder for what is measured")
    options = parser.parse_args()
    if not options.peer_python.is_file():
        parser.error(f"no Python at {options.peer_python}: see benchmarks/peer-requirements.txt")
    return options


def main() -> None:
    """Print the section."""
    options = _options()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(options.threads)
    rounds = 1 if options.quick else options.repetitions
    asked = Asked(options.data, options.peer_python, options.device, options.threads, rounds, options.quick)
    usual = [part for part in PARTS if options.device == "cpu" or part not in ON_A_CPU]
    print(f"### {machine_name(options.device)}\n")
    _print(HEADERS)
    _print(["---"] * len(HEADERS))
    for part in options.what or usual:
        for line in lines(part, asked, options.keep):
            _print(line.cells())
    command = shlex.join(["python", "-m", "benchmarks.summary", *sys.argv[1:]])
    print(f"\nMedians of {rounds}, runs of the command once. {machine(options.threads, options.device)}. `{command}`")


if __name__ == "__main__":
    main()
