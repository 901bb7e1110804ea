"""What the rows' IDs use of their codebooks, as a table: means over the seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import fsum

from semidbench.api import TASKS
from semidbench.ids.usage import IdUse
from semidbench.leaderboards.board import Leaderboard, Row
from semidbench.leaderboards.grids import TASK_NAMES, Cell, Grid

_HEADERS = (
    "#",
    "Scheme",
    "Task",
    "Codes used by level",
    "Perplexity by level",
    "Tokens",
    "Possible IDs",
    "Distinct IDs",
    "Items per ID, mean",
    "Items per ID, most",
    "Items sharing an ID",
)


def id_grid(board: Leaderboard) -> Grid:
    """A line per scheme and task, or one for both tasks where their IDs use the same."""
    return Grid(
        "What the IDs use of their codebooks", _HEADERS, tuple(line for row in board.rows for line in _lines(row))
    )


def _lines(row: Row) -> Iterator[tuple[Cell, ...]]:
    by_task = {task: [cell.ids[task] for cell in row.cells if cell.ids is not None] for task in TASKS}
    alike = by_task["search"] == by_task["rec"]
    for task in TASKS[:1] if alike else TASKS:
        yield Cell(str(row.number)), Cell(row.name), Cell("Both" if alike else TASK_NAMES[task]), *_use(by_task[task])


def _use(seeds: Sequence[IdUse]) -> Iterator[Cell]:
    levels = list(zip(*(use.levels for use in seeds), strict=False))  # levels that all seeds have
    yield Cell(
        " · ".join(f"{_mean([level.used for level in of])}/{_mean([level.size for level in of])}" for of in levels)
    )
    yield Cell(" · ".join(f"{_mean([level.perplexity for level in of], 1)}" for of in levels))
    yield Cell(_mean([use.tokens for use in seeds]))
    yield Cell(_mean([use.possible for use in seeds]))
    yield Cell(_mean([use.distinct for use in seeds]))
    yield Cell(_mean([use.mean_items for use in seeds], 2))
    yield Cell(_mean([use.max_items for use in seeds]))
    yield Cell(f"{_mean([100 * use.colliding for use in seeds], 1)}%")


def _mean(values: Sequence[float], digits: int = 1) -> str:
    """Thousands separated; a whole number that all seeds agree on has no fraction."""
    if isinstance(values[0], int) and len(set(values)) == 1:
        return f"{values[0]:,}"
    return f"{fsum(values) / len(values):,.{digits}f}"
