"""A scope in which torch's global state is ours: its generators and thread count are restored afterwards."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def torch_scope(seed: int, threads: int) -> Iterator[None]:
    """Seed torch's global generators, which the library draws k-means starts and new codes from."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(before)
