"""How many cells to run at a time: as many as cores, memory or graphics cards allow."""

from __future__ import annotations

import os
from dataclasses import dataclass

from semidbench.bench import Bench
from semidbench.memory import free_mib, worker_mib


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a run has to work with.

    Attributes:
        cores: that this process may use: of its affinity and of its container's quota.
        threads: of a cell.
        free_mib: the machine's memory that is free, None where the system does not say.
        worker_mib: an estimate of what a worker takes of it.
        cards: the visible graphics cards, as CUDA_VISIBLE_DEVICES names them; none on a CPU.
    """

    cores: int
    threads: int
    free_mib: float | None
    worker_mib: float
    cards: tuple[str, ...]


def measure(bench: Bench) -> Capacity:
    """What this machine has for cells of this bench."""
    from joblib import cpu_count

    return Capacity(cpu_count(), bench.track.threads, free_mib(), worker_mib(bench), visible_cards(bench.device))


def count_workers(asked: int | None, unfinished: int, capacity: Capacity) -> tuple[int, str | None]:
    """How many worker processes, at least 1, and what the user should know about that number.

    With None asked for: on a CPU one for every `threads` cores, on CUDA one for each card, as far as memory goes.
    A number that was asked for is taken. Never more than cells that have work left.
    """
    room = len(capacity.cards) or max(1, capacity.cores // capacity.threads)
    if asked is not None:
        count = max(1, min(asked, unfinished))
        return count, f"{count} cells at a time on {_machine(capacity)}: {room} would do" if count > room else None
    room = max(1, min(room, unfinished))
    if not unfinished or capacity.free_mib is None or room * capacity.worker_mib <= capacity.free_mib:
        return room, None
    fitting = int(capacity.free_mib / capacity.worker_mib)
    why = f"{capacity.free_mib:,.0f} MiB of memory are free and one is reckoned to take {capacity.worker_mib:,.0f}"
    if not fitting:
        return 1, f"cells at a time: 1, for {why}: it may not fit"
    return fitting, f"cells at a time: {fitting}, not {room}, for {why}; --jobs sets another number"


def visible_cards(device: str) -> tuple[str, ...]:
    """The graphics cards that this process may use; none on a CPU."""
    if device != "cuda":
        return ()
    import torch

    numbers = tuple(map(str, range(torch.cuda.device_count())))
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return tuple(card.strip() for card in named.split(","))[: len(numbers)] if named else numbers


def _machine(capacity: Capacity) -> str:
    if capacity.cards:
        return f"{len(capacity.cards)} graphics card{'s' * (len(capacity.cards) > 1)}"
    return f"{capacity.cores} core{'s' * (capacity.cores > 1)} with {capacity.threads} for each"
