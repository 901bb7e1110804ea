"""Calling a plugin: whatever it raises becomes one line that names it; the traceback stays attached."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from semidbench.errors import UserError


class PluginFailure(UserError):
    """A plugin raised; `__cause__` is what it raised."""


@contextmanager
def calling(who: str) -> Iterator[None]:
    """Turn any exception of the block into a `PluginFailure` that names the method and distribution."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        first_line = (str(error).strip() or "no message").splitlines()[0]
        raise PluginFailure(f"{who} failed: {type(error).__name__}: {first_line}. --traceback shows where") from error
