"""What a run tells while it works: silence for the Python API, bars or lines for the command line."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console


SILENCE = 30.0  # seconds after which a log hears that work goes on


class Reporter(Protocol):
    """Told of everything that takes time."""

    def note(self, text: str) -> None:
        """Something the user should know."""

    def plan(self, cells: int) -> None:
        """How many cells there will be."""

    def cell(self, label: str) -> None:
        """A cell begins."""

    def stage(self, name: str) -> None:
        """A stage of the cell begins."""

    def progress(self, what: str, done: int, total: int) -> None:
        """Within a stage."""

    def cell_done(self, summary: str) -> None:
        """The cell's result is on disk."""


class Silent:
    """Says nothing."""

    def note(self, text: str) -> None: ...
    def plan(self, cells: int) -> None: ...
    def cell(self, label: str) -> None: ...
    def stage(self, name: str) -> None: ...
    def progress(self, what: str, done: int, total: int) -> None: ...
    def cell_done(self, summary: str) -> None: ...


class Lines:
    """For logs, where nothing moves: a line for each finished cell, and one now and then within long work."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._cells = self._done = 0
        self._label = ""
        self._began = self._told = clock()

    def note(self, text: str) -> None:
        self._console.print(text, style="dim", markup=False, highlight=False)

    def plan(self, cells: int) -> None:
        self._cells = cells
        self._began = self._clock()

    def cell(self, label: str) -> None:
        self._label = label

    def stage(self, name: str) -> None:
        self._now_and_then(name)

    def progress(self, what: str, done: int, total: int) -> None:
        self._now_and_then(f"{what} {done:,} of {total:,}")

    def cell_done(self, summary: str) -> None:
        self._done += 1
        spent = self._clock() - self._began
        left = spent / self._done * (self._cells - self._done)
        self._tell(
            f"[{self._done}/{self._cells}] {self._label}: {summary} ({spent:.0f} s so far, about {left:.0f} s left)"
        )

    def _now_and_then(self, what: str) -> None:
        if self._clock() - self._told >= SILENCE:
            self._tell(f"{self._label or 'preparing'}: {what}")

    def _tell(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)
        self._told = self._clock()


class Bars(Lines):
    """A bar over the cells and one over the current stage, with the time left."""

    def __init__(self, console: Console) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
        from rich.progress import TimeRemainingColumn as Remaining

        super().__init__(console)
        self.bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            Remaining(),
            console=console,
            transient=True,
        )
        self._all = self.bars.add_task("cells", total=None)
        self._stage = self.bars.add_task("prepare", total=None)

    def plan(self, cells: int) -> None:
        super().plan(cells)
        self.bars.update(self._all, total=cells)

    def stage(self, name: str) -> None:
        self._begin(name)

    def progress(self, what: str, done: int, total: int) -> None:
        if self.bars.tasks[1].description != f"{self._label} {what}".strip():
            self._begin(what)
        self.bars.update(self._stage, completed=done, total=total)

    def cell_done(self, summary: str) -> None:
        super().cell_done(summary)
        self.bars.advance(self._all)

    def _begin(self, what: str) -> None:
        self.bars.reset(self._stage, description=f"{self._label} {what}".strip(), total=None)


@contextmanager
def reporter_for(console: Console) -> Iterator[Reporter]:
    """Bars on a terminal, lines elsewhere."""
    if not console.is_terminal:
        yield Lines(console)
        return
    bars = Bars(console)
    with bars.bars:
        yield bars
