"""Timing side by side, and the machine that it was done on."""

from __future__ import annotations

import math
import os
import platform
import sys
from collections.abc import Callable, Mapping
from statistics import median

import numpy as np
import torch
import transformers

from semidbench.machine.processor import this_processor

Timer = Callable[[int, int], float]  # prompts and batch size to seconds
GAIN = 0.99  # of a prompt's time: a batch size that takes more than that of the best so far gains nothing


def medians(timers: Mapping[str, Callable[[], float]], repetitions: int) -> dict[str, float]:
    """Median seconds of each timer, called in turn for `repetitions` rounds, so that a slow minute falls on all."""
    rounds = [{name: timer() for name, timer in timers.items()} for _ in range(repetitions)]
    return {name: median(times[name] for times in rounds) for name in timers}


def whole_batches(fewest: int, batch: int) -> int:
    """The fewest prompts that fill their batches."""
    return math.ceil(fewest / batch) * batch


def best_batch(name: str, timer: Timer, fewest: int, batches: tuple[int, ...]) -> int:
    """The quickest size: larger and larger ones, until two in a row gain nothing.

    Each is timed once after one call that is not timed: libraries prepare for a shape when they first see it, on a
    graphics card for many times as long as the work takes. Says so on stderr where the quickest is the largest of all.
    """
    took: dict[int, float] = {}
    best = batches[0]
    for batch in batches:
        prompts = whole_batches(fewest, batch)
        timer(prompts, batch)
        took[batch] = timer(prompts, batch) / prompts
        if took[batch] < GAIN * took[best]:
            best = batch
        elif len(took) > 2 and best < sorted(took)[-2]:
            break
    swept = ", ".join(f"{batch}: {1e3 * seconds:.2f}" for batch, seconds in took.items())
    print(f"{name}, ms a prompt by batch size: {swept}", file=sys.stderr)
    if best == batches[-1]:
        print(f"{name}: its quickest batch size is the largest that this script tries", file=sys.stderr)
    return best


def machine_name(device: str) -> str:
    """The heading of a machine's table: the processor, or the card and the processor."""
    processor_and_cores = f"{processor()}, {os.cpu_count()} cores"
    return processor_and_cores if device == "cpu" else f"{torch.cuda.get_device_name()} ({processor_and_cores})"


def machine(threads: int | None = None, device: str = "cpu") -> str:
    """One line: processor, cores, memory, card, versions; the threads where one number holds for all that was timed."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    parts = [f"{processor()}, {os.cpu_count()} cores, {memory:.0f} GiB"]
    if threads is not None:
        parts.append(f"{threads} {'thread' if threads == 1 else 'threads'} in use")
    if device == "cuda":
        parts.append(torch.cuda.get_device_name())
    versions = f"Python {platform.python_version()}, torch {torch.__version__}, transformers {transformers.__version__}"
    return "; ".join([*parts, f"{versions}, NumPy {np.__version__}"])


def processor() -> str:
    """Its name, family and model as results say them, and its widest vector instructions: names alone repeat.

    Cloud machines call processors of several generations "AMD EPYC" or "Intel Xeon Processor".
    """
    return f"{this_processor().name}, {vector_instructions()}"


def vector_instructions() -> str:
    """The widest set that matrix products can use: AMX, AVX-512, AVX2; else what torch says."""
    return this_processor().instructions or torch.backends.cpu.get_cpu_capability()
