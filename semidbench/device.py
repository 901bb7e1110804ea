"""Where torch works and with how many threads: part of what makes bits repeat."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from semidbench.errors import UserError


def pick_device(asked: str) -> str:
    """ "cpu" or "cuda" for what was asked: one of these, or "auto" for CUDA where there is some.

    Raises:
        UserError: an unknown name, or CUDA where torch finds none.
    """
    import torch

    if asked not in ("auto", "cpu", "cuda"):
        raise UserError(f"unknown device {asked!r}. Available: auto, cpu, cuda")
    if asked == "cuda" and not torch.cuda.is_available():
        raise UserError("device cuda: torch finds no CUDA device here. Use --device cpu or auto")
    return "cpu" if asked == "cpu" or not torch.cuda.is_available() else "cuda"


@contextmanager
def held_threads(count: int) -> Iterator[None]:
    """Hold torch, BLAS and OpenMP to the track's threads: they are part of what makes bits repeat."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with threadpool_limits(limits=count):
            yield
    finally:
        torch.set_num_threads(before)
