"""Which library multiplies matrices while something is timed: semidbench's own choice, or one that is forced on it.

`LIBRARIES` has a context manager for the library that semidbench does not take on this processor. Inside it,
semidbench's products on a CPU are that library's, in training, encoder and decoder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import get_args
from unittest.mock import patch

from semidbench.machine import products
from semidbench.machine.processor import Library


@contextmanager
def forced(library: Library) -> Iterator[None]:
    """Have semidbench multiply by it, in this process."""
    with patch.object(products, "library", lambda: library):
        yield


LIBRARIES: dict[str, Callable[[], AbstractContextManager[None]]] = {
    library: partial(forced, library) for library in get_args(Library) if library != products.library()
}


def products_by(library: str | None) -> AbstractContextManager[None]:
    """Force a library of `LIBRARIES`; None leaves the choice to semidbench."""
    return nullcontext() if library is None else LIBRARIES[library]()


def forced_name(library: str) -> str:
    """What semidbench's figure is called with a library forced on it."""
    return f"semidbench, {library} forced"
