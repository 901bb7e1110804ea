"""What a run reports while it works."""

from __future__ import annotations

from typing import Protocol


class Work(Protocol):
    """Is called about one piece of work; several may be under way at a time."""

    def stage(self, name: str) -> None:
        """A stage of it begins."""

    def progress(self, what: str, done: int, total: int) -> None:
        """Within a stage."""

    def done(self, summary: str | None = None) -> None:
        """It is over. A cell has a summary, and its result is on disk; what cells share has none."""

    def failed(self, message: str) -> None:
        """It is a cell and over, without a result: a plugin failed; `message` is one line."""


class Reporter(Protocol):
    """Is called about everything that takes time."""

    def note(self, text: str) -> None:
        """Something the user should know."""

    def stage(self, name: str) -> None:
        """A stage of the preparation begins."""

    def progress(self, what: str, done: int, total: int) -> None:
        """Within a stage of the preparation."""

    def plan(self, cells: int) -> None:
        """The preparation is over; how many cells there will be."""

    def begin(self, label: str) -> Work:
        """A cell begins, or a piece of work that cells share."""


class Silent:
    """Says nothing."""

    def note(self, text: str) -> None: ...
    def stage(self, name: str) -> None: ...
    def progress(self, what: str, done: int, total: int) -> None: ...
    def plan(self, cells: int) -> None: ...
    def done(self, summary: str | None = None) -> None: ...
    def failed(self, message: str) -> None: ...

    def begin(self, label: str) -> Work:
        return self
