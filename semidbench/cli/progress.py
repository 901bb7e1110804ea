"""What a run reports while it works: silence for the Python API, bars or lines for the command line."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from semidbench.runs.reporter import Reporter, Work

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID


_FAILED = "failed: {}"
SILENCE = 30.0  # seconds after which a log gets a line that work goes on


class Lines:
    """For logs, where nothing moves: a line for each finished cell, and one now and then within long work."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._cells = self._done = 0
        self._began = self._last_line = clock()

    def note(self, text: str) -> None:
        self._console.print(text, style="dim", markup=False, highlight=False)

    def stage(self, name: str) -> None:
        self.now_and_then("preparing", name)

    def progress(self, what: str, done: int, total: int) -> None:
        self.now_and_then("preparing", f"{what} {done:,} of {total:,}")

    def plan(self, cells: int) -> None:
        self._cells = cells
        self._began = self._clock()

    def begin(self, label: str) -> Work:
        return _InLines(self, label)

    def cell_done(self, label: str, summary: str) -> None:
        """A line with the time that is left, if the other cells take as long."""
        self._done += 1
        spent = self._clock() - self._began
        left = spent / self._done * (self._cells - self._done)
        self._print(f"[{self._done}/{self._cells}] {label}: {summary} ({spent:.0f} s so far, about {left:.0f} s left)")

    def now_and_then(self, label: str, what: str) -> None:
        """A line if there was none for a while."""
        if self._clock() - self._last_line >= SILENCE:
            self._print(f"{label}: {what}")

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)
        self._last_line = self._clock()


@dataclass(frozen=True, slots=True)
class _InLines:
    lines: Lines
    label: str

    def stage(self, name: str) -> None:
        self.lines.now_and_then(self.label, name)

    def progress(self, what: str, done: int, total: int) -> None:
        self.lines.now_and_then(self.label, f"{what} {done:,} of {total:,}")

    def done(self, summary: str | None = None) -> None:
        if summary is not None:
            self.lines.cell_done(self.label, summary)

    def failed(self, message: str) -> None:
        self.lines.cell_done(self.label, _FAILED.format(message))


class Bars:
    """A bar over the cells, and one for each that is under way, with the time left."""

    def __init__(self, console: Console) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
        from rich.progress import TimeRemainingColumn as Remaining
        from rich.table import Column

        self.lines = Lines(console)
        self.bars = Progress(
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis")),
            BarColumn(bar_width=12),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            Remaining(),
            console=console,
            transient=True,
        )
        self._all = self.bars.add_task("cells", total=None)
        self._preparation = _Bar(self, "")
        self._preparation.stage("prepare")

    def note(self, text: str) -> None:
        self.lines.note(text)

    def stage(self, name: str) -> None:
        self._preparation.stage(name)

    def progress(self, what: str, done: int, total: int) -> None:
        self._preparation.progress(what, done, total)

    def plan(self, cells: int) -> None:
        self.lines.plan(cells)
        self.bars.reset(self._all, total=cells)
        self._preparation.done()

    def begin(self, label: str) -> Work:
        return _Bar(self, label)

    def cell_done(self, label: str, summary: str) -> None:
        """A line above the bars."""
        self.lines.cell_done(label, summary)
        self.bars.advance(self._all)


class _Bar:
    """The bar of one piece of work; it starts again with each stage."""

    def __init__(self, of: Bars, label: str) -> None:
        self._of = of
        self._label = label
        self._what = ""
        self._id: TaskID = of.bars.add_task(label, total=None)

    def stage(self, name: str) -> None:
        self._what = name
        self._of.bars.reset(self._id, description=f"{self._label} {name}".strip(), total=None)

    def progress(self, what: str, done: int, total: int) -> None:
        if what != self._what:
            self.stage(what)
        self._of.bars.update(self._id, completed=done, total=total)

    def done(self, summary: str | None = None) -> None:
        self._of.bars.remove_task(self._id)
        if summary is not None:
            self._of.cell_done(self._label, summary)

    def failed(self, message: str) -> None:
        self.done(_FAILED.format(message))


@contextmanager
def reporter_for(console: Console) -> Iterator[Reporter]:
    """Bars on a terminal, lines elsewhere."""
    if not console.is_terminal:
        yield Lines(console)
        return
    bars = Bars(console)
    with bars.bars:
        yield bars
