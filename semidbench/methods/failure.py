"""Calling a plugin: whatever goes wrong becomes one line that names it, with the plugin's own traceback beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from semidbench.errors import UserError, one_line
from semidbench.methods.traces import plugin_traceback

_CAUSE = 500  # characters of a cause that go into a line


class PluginFailure(UserError):
    """A stage of a plugin failed.

    Attributes:
        message: one line that names the method and says what happened.
        trace: where, in the plugin's own code; empty where there is nothing to show.
        output: what its process printed, shortened if it was much.
    """

    def __init__(self, message: str, trace: str = "", output: str = "") -> None:
        super().__init__(f"{message}. --traceback shows where" if trace else message)
        self.message = message
        self.trace = trace
        self.output = output


@contextmanager
def calling(who: str) -> Iterator[None]:
    """Turn any exception of the block into a `PluginFailure` that names the method and distribution."""
    try:
        yield
    except Exception as error:
        raise failure_of(who, error) from error


@contextmanager
def failing(who: str) -> Iterator[None]:
    """As `calling`, and leaving Python is no way out for a plugin either."""
    try:
        yield
    except (Exception, SystemExit) as error:
        raise failure_of(who, error) from error


def failure_of(who: str, error: BaseException) -> PluginFailure:
    """What a method's error is to the user."""
    if isinstance(error, PluginFailure):
        return PluginFailure(error.message, error.trace, error.output)
    if isinstance(error, UserError):  # it says who broke which contract
        return PluginFailure(one_line(error), plugin_traceback(error.__cause__) if error.__cause__ else "")
    return PluginFailure(f"{who} failed: {described(error)}", plugin_traceback(error))


def described(error: BaseException) -> str:
    """An error's type and the first line of its message, safe to print."""
    try:
        lines = str(error).strip().splitlines()
    except Exception as another:  # of a plugin's own type
        lines = [f"its message cannot be shown: {type(another).__name__}"]
    return one_line(f"{type(error).__name__}: {lines[0][:_CAUSE] if lines else 'no message'}")
