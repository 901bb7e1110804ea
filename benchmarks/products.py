"""Which library multiplies matrices while something is timed: semidbench's own choice, or one that is forced on it.

`LIBRARIES` has a context manager for each library that can be forced. Inside it, semidbench's products on a CPU are
that library's, in training, encoder and decoder.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

LIBRARIES: dict[str, Callable[[], AbstractContextManager[None]]] = {}


def products_by(library: str | None) -> AbstractContextManager[None]:
    """Force a library of `LIBRARIES`; None leaves the choice to semidbench."""
    return nullcontext() if library is None else LIBRARIES[library]()


def forced_name(library: str) -> str:
    """What semidbench's figure is called with a library forced on it."""
    return f"semidbench, {library} forced"
