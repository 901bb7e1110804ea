"""Training steps and decoding timed in this process, on a sample of what a cell trains on and decodes."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import T5ForConditionalGeneration

from semidbench.generator.beam_search import decode
from semidbench.generator.examples import Examples
from semidbench.generator.training import train
from semidbench.generator.trie import build_trie
from semidbench.ids.distinct import distinct_ids
from semidbench.preview.generator_data import GeneratorData, drawn
from semidbench.tracks.track import Track

_WARM_UP = 2  # steps that are not timed
_TIMED = 20  # steps that are, where the time allows,
_TIMED_LAST = 150  # and at the largest batch
_PROMPTS = 2048  # at most
_GROWTH = 4  # from one size to the next


@dataclass(frozen=True, slots=True)
class Timing:
    """Measured seconds, by the number of rows that they were measured on, ascending."""

    rows: tuple[int, ...]
    seconds: tuple[float, ...]

    def of(self, rows: int) -> float:
        """Seconds of so many rows: as measured, or on the line through the two largest sizes that were."""
        if rows in self.rows:
            return self.seconds[self.rows.index(rows)]
        if len(self.rows) == 1:
            return self.seconds[0] * rows / self.rows[0]
        (few, many), (short, long) = self.rows[-2:], self.seconds[-2:]
        slope = max(0.0, (long - short) / (many - few))
        return long + slope * (rows - many)


class _Enough(Exception):
    """The time for a measurement is over."""


def time_training(
    model: T5ForConditionalGeneration, track: Track, data: GeneratorData, device: str, budget: float
) -> Timing:
    """Seconds of a training step, from small batches towards the track's as far as `budget` seconds go.

    Each is the mean over batches that are drawn as in training.
    """
    section, rng = track.training, np.random.default_rng(0)

    def measure(rows: int, seconds: float) -> float:
        marks: list[tuple[int, float]] = []  # steps done, and when; between the two nothing waits for the device
        began = time.perf_counter()

        def tick(what: str, done: int, total: int) -> None:
            if done == _WARM_UP:
                _wait(device)
                marks.append((done, time.perf_counter()))
            elif done == total or (done > _WARM_UP and time.perf_counter() - began > seconds):
                _wait(device)
                marks.append((done, time.perf_counter()))
                raise _Enough

        steps = _WARM_UP + (_TIMED_LAST if rows == section.batch else _TIMED)
        which = rng.integers(0, len(data.examples), rows * steps)
        examples = Examples(drawn(data.examples.prompts, which), data.examples.labels[which])
        short = section.model_copy(update={"epochs": 1, "batch": rows})
        with suppress(_Enough):
            train(model, examples, short, seed=0, device=device, progress=tick)
        (first, start), (last, end) = marks
        return (end - start) / (last - first)

    return growing(measure, sizes_up_to(section.batch), budget, least=_WARM_UP + 1)


def train_once(model: T5ForConditionalGeneration, track: Track, data: GeneratorData, device: str) -> None:
    """A step on two examples: what a process prepares at its first one is done then."""
    which = np.arange(2) % len(data.examples)
    examples = Examples(drawn(data.examples.prompts, which), data.examples.labels[which])
    short = track.training.model_copy(update={"epochs": 1, "batch": 2})
    train(model, examples, short, seed=0, device=device, progress=_silent)
    _wait(device)


def time_decoding(
    model: T5ForConditionalGeneration, track: Track, data: GeneratorData, device: str, budget: float
) -> Timing:
    """Seconds to search so many prompts, from a few towards thousands as far as `budget` seconds go."""
    sizes, rng = track.ids.codebook_sizes, np.random.default_rng(0)
    trie = build_trie(distinct_ids(data.codes), sizes)

    def run(rows: int) -> None:
        prompts = drawn(data.prompts, rng.permutation(len(data.prompts))[:rows])
        decode(model, prompts, trie, data.first_tokens, track.decoding, device=device, progress=_silent)
        _wait(device)

    def measure(rows: int, seconds: float) -> float:
        began = time.perf_counter()
        run(rows)
        return time.perf_counter() - began

    counts = sizes_up_to(min(len(data.prompts), _PROMPTS))
    run(counts[0])  # warm-up
    return growing(measure, counts, budget, least=1)


def growing(measure: Callable[[int, float], float], sizes: list[int], budget: float, least: int) -> Timing:
    """Measure size after size while the next is expected to end in time; always the first two.

    Args:
        measure: seconds of so many rows; it receives the rows and the seconds that it may take.
        least: how often the rows are computed at least in a measurement.
    """
    end = time.perf_counter() + budget
    seconds: list[float] = []
    for size in sizes:
        left = end - time.perf_counter()
        if len(seconds) > 1 and Timing(tuple(sizes[: len(seconds)]), tuple(seconds)).of(size) * least > left:
            break
        seconds.append(measure(size, max(left, 0.0) / 4))
    return Timing(tuple(sizes[: len(seconds)]), tuple(seconds))


def sizes_up_to(most: int) -> list[int]:
    """`most` and its fourths down to 2 or so, ascending."""
    sizes = [most]
    while sizes[0] // _GROWTH >= 2:
        sizes.insert(0, sizes[0] // _GROWTH)
    return sizes


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def _silent(*_: Any) -> None: ...
