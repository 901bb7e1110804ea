"""Decoding beside Hugging Face's group beam search, on the same weights and prompts, and beside the encoder alone.

    python -m benchmarks.decode --peer-python .venv-peer/bin/python

Prints a row for each shape and number of first tokens, and exits 1 if any prompt's answers differ. On a graphics card a
row also has the share of prompts whose whole list is the same there as in float32 on the CPU.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tabulate import tabulate
from transformers import T5EncoderModel, T5ForConditionalGeneration
from transformers.utils import logging

from benchmarks.decode_answers import equal_answers, equal_lists
from benchmarks.decode_task import Task, make_task
from benchmarks.measure import Timer, best_batch, machine, medians, whole_batches
from benchmarks.peer import PEER, Peer, started_peer
from benchmarks.products import LIBRARIES, forced_name, products_by
from benchmarks.shapes import SHAPES, Shape
from semidbench.generator import t5_layers
from semidbench.generator.beam_search import chooser, decode
from semidbench.generator.examples import TokenRows
from semidbench.generator.model import load_generator
from semidbench.generator.trie import build_trie
from semidbench.ids.distinct import distinct_ids
from semidbench.tracks import track

BATCHES = {  # semidbench cuts what it is handed by memory, and at 256 prompts on a CPU
    "cpu": {
        "peer": (1, 2, 4, 8, 16, 32, 64),
        "semidbench": (4, 8, 16, 32, 64, 128, 256),
        "encoder": (1, 4, 16, 64, 256),
    },
    "cuda": {
        "peer": (4, 8, 16, 32, 64, 128, 256, 512),
        "semidbench": (16, 32, 64, 128, 256, 512, 1_024, 2_048, 4_096),
        "encoder": (4, 16, 64, 256, 1_024, 4_096),
    },
}
OURS = "semidbench"  # a timer's name, as are the next two
THEIRS, OUR_ENCODER = "HF generate", "encoder, semidbench"
HEADERS = (
    "shape",
    "first tokens, most (mean)",
    "HF generate, ms a prompt (batch)",
    "semidbench, ms a prompt (batch)",
    "HF / semidbench",
    "transformers' encoder alone, ms a prompt (batch)",
    "semidbench / encoder",
    "HF / encoder",
    "semidbench's encoder, ms a prompt (batch)",
    "semidbench / its own encoder",
    "prompts with equal answers",
)


EQUAL_LISTS = "lists on the card equal to the CPU's in float32"


class Ours:
    """semidbench on a task, in this process."""

    def __init__(self, task: Task, device: str) -> None:
        self.task, self.device = task, device
        self.model: T5ForConditionalGeneration = load_generator(task.folder).to(device).eval()
        self.choosers = {each: chooser(each, task.section) for each in {"cpu", device}}  # their recordings are kept
        self.trie = build_trie(distinct_ids(task.codes), task.shape.sizes)
        self.encoder = T5EncoderModel.from_pretrained(task.folder).to(device).eval()
        self.tokens = torch.from_numpy(task.prompts.padded(np.arange(len(task.prompts)))[0]).to(device)

    def search(self, start: int, stop: int, device: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Sequences int64 (prompts, beams, levels) and scores of prompts start .. stop - 1."""
        shape = self.task.shape
        flat, offsets = self.task.prompts.flat, self.task.prompts.offsets
        rows = TokenRows(flat[offsets[start] : offsets[stop]], offsets[start : stop + 1] - offsets[start])
        found = decode(
            self.model,
            rows,
            self.trie,
            shape.first_tokens,
            self.task.section,
            device=device,
            progress=lambda what, done, total: None,
            choose=self.choosers[device],
        )
        return self.task.codes[found.ids] + np.array(shape.first_tokens), found.scores

    def decode(self, prompts: int, batch: int) -> float:
        """Seconds that `decode` takes, handed `batch` prompts at a time; it may cut them smaller."""

        def work() -> None:
            for start in range(0, prompts, batch):
                self.search(start, min(prompts, start + batch), self.device)

        return _seconds(work, self.device)

    def encode(self, prompts: int, batch: int) -> float:
        """Seconds of semidbench's encoder."""
        self.model.to(self.device)  # the answers were computed on the CPU

        def encoder(tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return t5_layers.encode(self.model, tokens, t5_layers.padding_mask(mask))

        return self._encode(prompts, batch, encoder)

    def encode_by_transformers(self, prompts: int, batch: int) -> float:
        """Seconds of transformers' own encoder, as it comes."""
        return self._encode(prompts, batch, lambda tokens, mask: self.encoder(input_ids=tokens, attention_mask=mask))

    def _encode(self, prompts: int, batch: int, encoder: Callable[[torch.Tensor, torch.Tensor], object]) -> float:
        def work() -> None:
            with torch.inference_mode():
                for tokens in torch.split(self.tokens[:prompts], batch):
                    encoder(tokens, torch.ones_like(tokens))

        return _seconds(work, self.device)


def most_prompts(shape: Shape, device: str) -> int:
    """What the largest batch of any timer takes."""
    return max(whole_batches(max(shape.prompts), batch) for sizes in BATCHES[device].values() for batch in sizes)


def best_batches(task: Task, peer: Peer, ours: Ours, known: dict[str, int]) -> dict[str, int]:
    """For each timer the batch size that takes least a prompt.

    Args:
        known: the shape's, from other logits: semidbench's alone is sought again, as the others' work does not
            depend on logits.
    """
    timers = _timers(task, peer, ours)
    return known | {
        name: best_batch(name, *timer) for name, timer in timers.items() if name == OURS or name not in known
    }


def measure(
    task: Task, peer: Peer, ours: Ours, best: dict[str, int], repetitions: int, libraries: Sequence[str] = ()
) -> dict[str, float]:
    """For each timer its median seconds a prompt at a batch size, and semidbench's for each library forced on it."""
    counts, chosen = {}, {}
    for name, (timer, fewest, _) in _timers(task, peer, ours).items():
        counts[name] = whole_batches(fewest, best[name])
        chosen[name] = partial(timer, counts[name], best[name])
    for library in libraries:
        counts[forced_name(library)] = counts[OURS]
        chosen[forced_name(library)] = partial(_decode_by, library, ours, counts[OURS], best[OURS])
    return {name: seconds / counts[name] for name, seconds in medians(chosen, repetitions).items()}


def _decode_by(library: str, ours: Ours, prompts: int, batch: int) -> float:
    with products_by(library):
        return ours.decode(prompts, batch)


def _timers(task: Task, peer: Peer, ours: Ours) -> dict[str, tuple[Timer, int, tuple[int, ...]]]:
    """Names, timers, the fewest prompts that each is given, and its batch sizes."""
    few, many = task.shape.prompts
    sizes = BATCHES[ours.device]
    return {
        THEIRS: (partial(peer_seconds, peer, "decode"), few, sizes["peer"]),
        OURS: (ours.decode, many, sizes["semidbench"]),
        "encoder, transformers 4": (partial(peer_seconds, peer, "encode"), many, sizes["encoder"]),
        "encoder, transformers 5": (ours.encode_by_transformers, many, sizes["encoder"]),
        OUR_ENCODER: (ours.encode, many, sizes["encoder"]),
    }


def peer_seconds(peer: Peer, what: str, prompts: int, batch: int) -> float:
    """Of the peer's `decode` or `encode`; infinity where its memory runs out."""
    return float(peer.ask(what=what, prompts=prompts, batch=batch)["seconds"])


@dataclass(frozen=True, slots=True)
class Compared:
    """A shape and number of first tokens, measured.

    Attributes:
        best: the batch size of each timer.
        found: seconds a prompt of each timer.
        equal: how many of the peer's prompts have the same answers.
        lists: on a card, how many lists are the CPU's in float32, and of how many prompts; on a CPU None.
    """

    task: Task
    best: dict[str, int]
    found: dict[str, float]
    equal: int
    lists: tuple[int, int] | None

    @property
    def faster_encoder(self) -> str:
        """transformers' encoder, of the faster of its two versions."""
        return min(("encoder, transformers 4", "encoder, transformers 5"), key=lambda timer: self.found[timer])


def compare(
    name: str,
    distinct: int,
    known: dict[str, int],
    *,
    python: Path,
    threads: int,
    device: str,
    repetitions: int,
    seed: int = 0,
) -> Compared:
    """Make the task and the two sides, compare their answers, find the batch sizes and time all.

    Args:
        distinct: most first tokens that a prompt's beams hold.
        known: batch sizes, as for `best_batches`.
    """
    section = track.Decoding(beams=60, groups=30, diversity_penalty=0.25)
    count = most_prompts(SHAPES[name], device)
    with tempfile.TemporaryDirectory() as folder:
        task = make_task(SHAPES[name], distinct, section, Path(folder), seed, count, device)
        with started_peer(python, "peer_decode.py", task.folder, threads, device) as peer:
            ours = Ours(task, device)
            equal = equal_answers(task, peer, ours)
            best = best_batches(task, peer, ours, known)
            found = measure(task, peer, ours, best, repetitions, list(LIBRARIES) if device == "cpu" else ())
            return Compared(task, best, found, equal, equal_lists(task, ours) if device == "cuda" else None)


def row(name: str, compared: Compared) -> tuple[str, ...]:
    """The table's row."""
    task, best, found, faster = compared.task, compared.best, compared.found, compared.faster_encoder
    theirs, ours, own = found[THEIRS], found[OURS], found[OUR_ENCODER]
    timed = {timer: f"{_ms(found[timer])} ({best[timer]})" for timer in (THEIRS, OURS, faster, OUR_ENCODER)}
    return (
        name,
        f"{task.held.max()} ({task.held.mean():.1f})",
        timed[THEIRS],
        timed[OURS],
        f"{theirs / ours:.1f}",
        timed[faster],
        f"{ours / found[faster]:.2f}",
        f"{theirs / found[faster]:.1f}",
        timed[OUR_ENCODER],
        f"{ours / own:.2f}",
        f"{compared.equal} of {task.shape.prompts[0]}",
        *([f"{compared.lists[0]} of {compared.lists[1]}"] if compared.lists else []),
    )


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.3g}" if seconds < 0.1 else f"{1e3 * seconds:,.0f}"


def _seconds(work: Callable[[], object], device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decode", description=__doc__.splitlines()[0])
    shapes = [name for name in SHAPES if name != "tiny"]
    parser.add_argument("--shape", nargs="+", choices=SHAPES, default=shapes)
    parser.add_argument("--distinct", nargs="+", type=int, default=[12, 30, 60], help="most first tokens of 60 beams")
    parser.add_argument("--peer-python", type=Path, default=PEER, help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of each side; default: %(default)s")
    parser.add_argument("--repetitions", type=int, default=5, help="rounds of all timers; default: %(default)s")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if not options.peer_python.is_file():
        parser.error(
            f"no Python at {options.peer_python}: `python3.11 -m venv .venv-peer && .venv-peer/bin/pip install -r "
            "benchmarks/peer-requirements.txt` makes the peer's environment; name another with --peer-python"
        )
    return options


def main() -> None:
    """Measure what the options ask for."""
    options = _options()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(options.threads)
    rows: list[tuple[str, ...]] = []
    differing = 0
    for name in options.shape:
        best: dict[str, int] = {}
        for distinct in options.distinct:
            compared = compare(
                name,
                distinct,
                best,
                python=options.peer_python,
                threads=options.threads,
                device=options.device,
                repetitions=options.repetitions,
                seed=options.seed,
            )
            best = compared.best
            differing += SHAPES[name].prompts[0] - compared.equal
            rows.append(row(name, compared))
            print(*rows[-1], sep=" | ", file=sys.stderr)  # a run of minutes that is stopped has this much
    headers = HEADERS if options.device == "cpu" else (*HEADERS, EQUAL_LISTS)
    print(tabulate(rows, headers, tablefmt="pipe", disable_numparse=True))
    print(f"\nMedians of {options.repetitions}. {machine(options.threads, options.device)}.")
    if differing:
        sys.exit(f"{differing} prompts have other answers than Hugging Face's")


if __name__ == "__main__":
    main()
