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
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tabulate import tabulate
from transformers import T5EncoderModel, T5ForConditionalGeneration
from transformers.utils import logging

from benchmarks.decode_task import Task, make_task
from benchmarks.measure import Timer, best_batch, machine, medians, whole_batches
from benchmarks.peer import PEER, Peer, started_peer
from benchmarks.shapes import SHAPES, Shape
from semidbench.generator import t5_layers
from semidbench.generator.beam_search import decode
from semidbench.generator.examples import TokenRows
from semidbench.generator.model import load_generator
from semidbench.generator.trie import build_trie
from semidbench.ids.distinct import distinct_ids
from semidbench.tracks import track

TOLERANCE = 1e-4
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
OURS = "semidbench"  # a timer's name
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
COMPARED_LISTS = 96  # prompts


class Ours:
    """semidbench on a task, in this process."""

    def __init__(self, task: Task, device: str) -> None:
        self.task, self.device = task, device
        self.model: T5ForConditionalGeneration = load_generator(task.folder).to(device).eval()
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
            on_gpu = self.device == "cuda"
            with torch.inference_mode(), torch.autocast(self.device, dtype=torch.bfloat16, enabled=on_gpu):
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


def measure(task: Task, peer: Peer, ours: Ours, best: dict[str, int], repetitions: int) -> dict[str, float]:
    """For each timer its median seconds a prompt at a batch size."""
    counts, chosen = {}, {}
    for name, (timer, fewest, _) in _timers(task, peer, ours).items():
        counts[name] = whole_batches(fewest, best[name])
        chosen[name] = partial(timer, counts[name], best[name])
    return {name: seconds / counts[name] for name, seconds in medians(chosen, repetitions).items()}


def _timers(task: Task, peer: Peer, ours: Ours) -> dict[str, tuple[Timer, int, tuple[int, ...]]]:
    """Names, timers, the fewest prompts that each is given, and its batch sizes."""
    few, many = task.shape.prompts
    sizes = BATCHES[ours.device]
    return {
        "HF generate": (partial(peer_seconds, peer, "decode"), few, sizes["peer"]),
        OURS: (ours.decode, many, sizes["semidbench"]),
        "encoder, transformers 4": (partial(peer_seconds, peer, "encode"), many, sizes["encoder"]),
        "encoder, transformers 5": (ours.encode_by_transformers, many, sizes["encoder"]),
        "encoder, semidbench": (ours.encode, many, sizes["encoder"]),
    }


def peer_seconds(peer: Peer, what: str, prompts: int, batch: int) -> float:
    """Of the peer's `decode` or `encode`; infinity where its memory runs out."""
    return float(peer.ask(what=what, prompts=prompts, batch=batch)["seconds"])


def equal_answers(task: Task, peer: Peer, ours: Ours) -> int:
    """Of the peer's prompts, how many have the same sequences and scores here: float32 on the CPU."""
    count = task.shape.prompts[0]
    theirs = peer.ask(what="answers", prompts=count, batch=4)
    sequences, scores = ours.search(0, count, "cpu")
    pairs = zip(sequences.tolist(), scores.tolist(), theirs["sequences"], theirs["scores"], strict=True)
    return sum(same_answers(*pair) for pair in pairs)


def equal_lists(task: Task, ours: Ours) -> tuple[int, int]:
    """Prompts whose list on the device has the CPU's float32 IDs in the same order, and how many were decoded."""
    count = min(COMPARED_LISTS, len(task.prompts))
    on_device, on_cpu = (ours.search(0, count, device)[0] for device in (ours.device, "cpu"))
    return int((on_device == on_cpu).all(axis=(1, 2)).sum()), count


def same_answers(
    ours: list[list[int]], our_scores: list[float], theirs: list[list[int]], their_scores: list[float]
) -> bool:
    """Scores equal to 1e-4 in order, and the same sequences, where those of equal score may change places."""
    if not np.allclose(our_scores, their_scores, atol=TOLERANCE, rtol=0):
        return False
    left = list(zip(map(tuple, theirs), their_scores, strict=True))
    for sequence, score in zip(map(tuple, ours), our_scores, strict=True):
        match = next((pair for pair in left if pair[0] == sequence and abs(pair[1] - score) < TOLERANCE), None)
        if match is None:
            return False
        left.remove(match)
    return True


def row(name: str, task: Task, best: dict[str, int], found: dict[str, float], equal: int) -> tuple[str, ...]:
    """The table's row; transformers' encoder is the faster of its two versions'."""
    theirs, ours, own = found["HF generate"], found[OURS], found["encoder, semidbench"]
    faster = min(("encoder, transformers 4", "encoder, transformers 5"), key=lambda timer: found[timer])
    timed = {timer: f"{_ms(seconds)} ({best[timer]})" for timer, seconds in found.items()}
    return (
        name,
        f"{task.held.max()} ({task.held.mean():.1f})",
        timed["HF generate"],
        timed[OURS],
        f"{theirs / ours:.1f}",
        timed[faster],
        f"{ours / found[faster]:.2f}",
        f"{theirs / found[faster]:.1f}",
        timed["encoder, semidbench"],
        f"{ours / own:.2f}",
        f"{equal} of {task.shape.prompts[0]}",
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
    section = track.Decoding(beams=60, groups=30, diversity_penalty=0.25)
    rows: list[tuple[str, ...]] = []
    differing = 0
    for name in options.shape:
        best: dict[str, int] = {}
        for distinct in options.distinct:
            with tempfile.TemporaryDirectory() as folder:
                task = make_task(
                    SHAPES[name],
                    distinct,
                    section,
                    Path(folder),
                    options.seed,
                    most_prompts(SHAPES[name], options.device),
                    options.device,
                )
                with started_peer(
                    options.peer_python, "peer_decode.py", task.folder, options.threads, options.device
                ) as peer:
                    ours = Ours(task, options.device)
                    equal = equal_answers(task, peer, ours)
                    differing += task.shape.prompts[0] - equal
                    best = best_batches(task, peer, ours, best)
                    found = measure(task, peer, ours, best, options.repetitions)
                    rows.append(row(name, task, best, found, equal))
                    if options.device == "cuda":
                        rows[-1] += ("{} of {}".format(*equal_lists(task, ours)),)
                    print(*rows[-1], sep=" | ", file=sys.stderr)  # a run of minutes that is stopped has this much
    headers = HEADERS if options.device == "cpu" else (*HEADERS, EQUAL_LISTS)
    print(tabulate(rows, headers, tablefmt="pipe", disable_numparse=True))
    print(f"\nMedians of {options.repetitions}. {machine(options.threads, options.device)}.")
    if differing:
        sys.exit(f"{differing} prompts have other answers than Hugging Face's")


if __name__ == "__main__":
    main()
