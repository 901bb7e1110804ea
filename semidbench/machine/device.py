"""Where torch works and with how many threads: part of what makes bits repeat."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from semidbench.errors import UserError

_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def thread_variables(count: int) -> dict[str, str]:
    """The environment in which libraries that are loaded later use that many threads."""
    return dict.fromkeys(_VARIABLES, str(count))


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


def check_gpus(count: int, device: str) -> None:
    """See that a cell can train on so many graphics cards.

    Args:
        device: as `pick_device` gave it.

    Raises:
        UserError: fewer than 1, or more than there are.
    """
    if count < 1:
        raise UserError(f"gpus must be 1 or more, not {count}")
    if count == 1:
        return
    if device != "cuda":
        raise UserError(f"gpus {count}: the device is {device}, and only CUDA devices train a cell together")
    import torch

    if count > torch.cuda.device_count():
        raise UserError(f"gpus {count}: torch finds {torch.cuda.device_count()} CUDA device(s) here")


@contextmanager
def held_threads(count: int) -> Iterator[None]:
    """Hold torch, BLAS and OpenMP to the track's threads: they are part of what makes bits repeat.

    A library that is loaded later, by a plugin say, reads the environment; threadpoolctl sees loaded ones only.
    """
    import torch
    from threadpoolctl import threadpool_limits

    threads, variables = torch.get_num_threads(), {name: os.environ.get(name) for name in _VARIABLES}
    torch.set_num_threads(count)
    os.environ.update(thread_variables(count))
    try:
        with threadpool_limits(limits=count):
            yield
    finally:
        torch.set_num_threads(threads)
        for name, value in variables.items():
            os.environ.pop(name, None)
            os.environ.update({name: value} if value is not None else {})
