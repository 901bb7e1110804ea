"""A scope in which RecBole 1.2.1 runs beside NumPy 2 and current SciPy, and leaves the process as it found it."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import scipy.sparse
import torch

from semidbench.api import Context, torch_scope

# NumPy 2 dropped the first three, which RecBole reads; RecBole's Config sets the others.
_DROPPED = {"float_": np.float64, "complex_": np.complex128, "unicode_": np.str_}
_OVERWRITTEN = ("bool", "int", "float", "complex", "object", "str", "long", "unicode")


@contextlib.contextmanager
def recbole_scope(context: Context) -> Iterator[None]:
    """Run RecBole in `context.scratch`, in `torch_scope`; restore all global state afterwards.

    RecBole reads sys.argv as its own options, writes log_tensorboard/ and saved/ into the current folder,
    sets CUDA_VISIBLE_DEVICES, seeds every global generator and warns about its own settings.
    """
    with (
        contextlib.chdir(context.scratch),
        _numpy_names(),
        _sparse_update(),
        _arguments(),
        _environment(),
        _cudnn_flags(),
        torch_scope(context),
        _quiet(),
    ):
        yield


@contextlib.contextmanager
def _numpy_names() -> Iterator[None]:
    names = (*_DROPPED, *_OVERWRITTEN)
    before = {name: vars(np)[name] for name in names if name in vars(np)}
    for name, value in _DROPPED.items():
        vars(np).setdefault(name, value)
    try:
        yield
    finally:
        for name in names:
            vars(np).pop(name, None)
        vars(np).update(before)


@contextlib.contextmanager
def _sparse_update() -> Iterator[None]:
    """Newer SciPy has no `dok_matrix._update`, with which RecBole fills an empty matrix."""
    if hasattr(scipy.sparse.dok_matrix, "_update"):
        yield
        return
    scipy.sparse.dok_matrix._update = _fill
    try:
        yield
    finally:
        del scipy.sparse.dok_matrix._update


def _fill(matrix: Any, entries: Mapping[tuple[int, int], float]) -> None:
    for place, value in entries.items():
        matrix.setdefault(place, value)


@contextlib.contextmanager
def _arguments() -> Iterator[None]:
    before = sys.argv
    sys.argv = before[:1] or [""]
    try:
        yield
    finally:
        sys.argv = before


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    name = "CUDA_VISIBLE_DEVICES"
    before = os.environ.get(name)
    try:
        yield
    finally:
        os.environ.pop(name, None)
        if before is not None:
            os.environ[name] = before


@contextlib.contextmanager
def _cudnn_flags() -> Iterator[None]:
    cudnn = torch.backends.cudnn
    before = cudnn.benchmark, cudnn.deterministic
    try:
        yield
    finally:
        cudnn.benchmark, cudnn.deterministic = before


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """RecBole logs to the root logger, and its calls of pandas and torch are out of date."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
