"""Calling a plugin: whatever goes wrong becomes one line that names it, with the plugin's own traceback beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from semidbench.api import Floats, Task
from semidbench.errors import UserError, one_line
from semidbench.plugin_trace import plugin_traceback

if TYPE_CHECKING:
    from semidbench.bench import Bench
    from semidbench.plugin_stage import PluginWork
    from semidbench.store import Spent

_CAUSE = 500  # characters of a cause that go into a line


class PluginFailure(UserError):
    """A stage of a plugin failed.

    Attributes:
        told: one line that names the method and says what happened.
        trace: where, in the plugin's own code; empty where there is nothing to say.
        said: what its process printed, shortened if it was much.
    """

    def __init__(self, told: str, trace: str = "", said: str = "") -> None:
        super().__init__(f"{told}. --traceback shows where" if trace else told)
        self.told = told
        self.trace = trace
        self.said = said


class Called(Protocol):
    """A plugin's stage that was called and has done its work, or has fitted its ranker."""

    @property
    def output(self) -> Path:
        """The folder that holds the views or the IDs."""

    def ask(self, task: Task, questions: Sequence[Any]) -> Floats:
        """A fitted ranker's scores, float32 (questions, N), for queries or histories.

        Raises:
            PluginFailure: it failed or broke its contract.
        """

    def spent(self) -> Spent:
        """What the plugin has taken so far."""


class PluginCall(Protocol):
    """How a bench has a plugin's stage done: in a process of its own, or in this one."""

    def __call__(self, bench: Bench, work: PluginWork, seed: int, /) -> AbstractContextManager[Called]:
        """Do the stage.

        Raises:
            PluginFailure: the plugin failed or broke its contract.
        """


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
        return PluginFailure(error.told, error.trace, error.said)
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
