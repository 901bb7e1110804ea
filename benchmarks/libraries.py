"""The library that multiplies on the CPU, forced: what semidbench would cost with the other one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from semidbench.machine import products
from semidbench.machine.processor import Library

LIBRARIES: tuple[Library, ...] = ("torch", "oneDNN")


@contextmanager
def forced(library: Library) -> Iterator[None]:
    """Have semidbench multiply by it, in this process."""
    with patch.object(products, "library", lambda: library):
        yield
