"""Training steps and decoding timed on the machine at hand, on batches of random tokens."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import T5ForConditionalGeneration

from semidbench.api import Ints
from semidbench.generator.beam_search import decode
from semidbench.generator.examples import Examples, TokenRows
from semidbench.generator.training import train
from semidbench.generator.trie import build_trie
from semidbench.ids.distinct import distinct_ids
from semidbench.tracks import track

Progress = Callable[[str, int, int], None]
_WARM_UP = 2  # steps that are not timed
_TIMED = 20  # steps that are, where the time allows
_GROWTH = 4  # from one size of batch to the next


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
    model: T5ForConditionalGeneration,
    section: track.Training,
    prompt_tokens: int,
    label_tokens: int,
    device: str,
    budget: float,
) -> Timing:
    """Seconds of a training step, from small batches towards the track's as far as `budget` seconds go.

    Args:
        prompt_tokens: length of each prompt.
        label_tokens: length of each ID.
    """

    def measure(rows: int, seconds: float) -> float:
        at: list[float] = []
        began = time.perf_counter()

        def tick(what: str, done: int, total: int) -> None:
            _wait(device)
            at.append(time.perf_counter())
            if len(at) > _WARM_UP and at[-1] - began > seconds:
                raise _Enough

        count = rows * (_WARM_UP + _TIMED)
        tokens = _random_rows(count, prompt_tokens, model.config.vocab_size)
        labels = _random_rows(count, label_tokens, model.config.vocab_size).flat.reshape(count, -1).astype(np.int64)
        short = section.model_copy(update={"epochs": 1, "batch": rows})
        with suppress(_Enough):
            train(model, Examples(tokens, labels), short, seed=0, device=device, progress=tick)
        return float(np.median(np.diff(at)[_WARM_UP - 1 :]))

    return _growing(measure, _sizes(section.batch), budget, least=_WARM_UP + 1)


def time_decoding(
    model: T5ForConditionalGeneration,
    codes: Ints,
    first_tokens: tuple[int, ...],
    sizes: tuple[int, ...],
    section: track.Decoding,
    prompt_tokens: int,
    device: str,
    budget: float,
    most: int,
) -> Timing:
    """Seconds to search so many prompts, from a few towards `most` as far as `budget` seconds go.

    Args:
        codes: int64 (N, L), IDs to search among.
        first_tokens: the token of code 0 of each level.
        sizes: codes of each level.
        prompt_tokens: length of each prompt.
    """
    trie = build_trie(distinct_ids(codes), sizes)

    def run(rows: int) -> None:
        prompts = _random_rows(rows, prompt_tokens, first_tokens[0])
        decode(model, prompts, trie, first_tokens, section, device=device, progress=_silent)
        _wait(device)

    def measure(rows: int, seconds: float) -> float:
        began = time.perf_counter()
        run(rows)
        return time.perf_counter() - began

    counts = _sizes(most)
    run(counts[0])  # warm-up
    return _growing(measure, counts, budget, least=1)


def _growing(measure: Callable[[int, float], float], sizes: list[int], budget: float, least: int) -> Timing:
    """Measure size after size while the next is expected to end in time; always the first two."""
    end = time.perf_counter() + budget
    seconds: list[float] = []
    for size in sizes:
        left = end - time.perf_counter()
        if len(seconds) > 1 and Timing(tuple(sizes[: len(seconds)]), tuple(seconds)).of(size) * least > left:
            break
        seconds.append(measure(size, max(left, 0.0) / 4))
    return Timing(tuple(sizes[: len(seconds)]), tuple(seconds))


def _sizes(most: int) -> list[int]:
    """`most` and its fourths down to 2 or so, ascending."""
    sizes = [most]
    while sizes[0] // _GROWTH >= 2:
        sizes.insert(0, sizes[0] // _GROWTH)
    return sizes


def _random_rows(count: int, length: int, vocabulary: int) -> TokenRows:
    flat = np.random.default_rng(0).integers(2, vocabulary, count * length).astype(np.int32)
    return TokenRows(flat, np.arange(count + 1, dtype=np.int64) * length)


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def _silent(*_: Any) -> None: ...
