"""A scope in which torch's global state is ours: its generators and thread count are restored afterwards."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import numpy as np
import torch

from semidbench.api import Context


@contextlib.contextmanager
def torch_scope(context: Context) -> Iterator[None]:
    """Seed every global generator from `context.seed`, with `context.threads` torch threads."""
    plain, numpy, threads = random.getstate(), np.random.get_state(), torch.get_num_threads()  # noqa: NPY002  # the libraries' own
    torch.set_num_threads(context.threads)
    try:
        with torch.random.fork_rng():
            torch.manual_seed(context.seed)
            yield
    finally:
        torch.set_num_threads(threads)
        random.setstate(plain)
        np.random.set_state(numpy)  # noqa: NPY002
