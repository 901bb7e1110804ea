"""A scope in which torch's global state is ours: its generators and thread count are restored afterwards."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from semidbench.api import Context


@contextlib.contextmanager
def torch_scope(context: Context) -> Iterator[None]:
    """Seed torch's global generators from `context.seed`, with `context.threads` torch threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(context.threads)
    try:
        with torch.random.fork_rng():
            torch.manual_seed(context.seed)
            yield
    finally:
        torch.set_num_threads(threads)
