"""From the placements of a folder's cells to the scores that each column's tests pair."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semidbench.api import TASKS, Task
from semidbench.errors import UserError
from semidbench.leaderboards.significance import RowScores
from semidbench.results.cases import Cases
from semidbench.results.cell_result import CellResult
from semidbench.results.files import read_cases
from semidbench.results.metrics import GROUPS, Group, Values, in_group, recall_at, unit_means
from semidbench.tracks.track import Track


@dataclass(frozen=True, slots=True, eq=False)
class ColumnScores:
    """What the tests of one column are made from: one row per scheme, of the primary metric over `n_cases` cases."""

    task: Task
    group: Group
    n_cases: int
    rows: tuple[RowScores, ...]


def column_scores(
    track: Track, schemes: Sequence[str], cells: Sequence[CellResult], folder: Path
) -> Iterator[ColumnScores]:
    """The scores of these schemes in each column, from the placements of the cells in `folder`.

    One cell's cases are in memory at a time; what is kept of a cell is a number per unit.

    Args:
        cells: one or more.

    Raises:
        UserError: damaged files, or cells that were tested on different cases.
    """
    read = map(partial(read_cases, folder), cells)
    first = next(read)
    members = {(task, group): _members(first[task], group) for task in TASKS for group in GROUPS}
    by_row: dict[str, dict[int, Mapping[tuple[Task, Group], Values]]] = {name: {} for name in schemes}
    for cell, cases in zip(cells, chain([first], read), strict=True):
        _check_same_cases(cells[0], first, cell, cases, folder)
        if cell.kind == "scheme" and cell.name in by_row:
            by_row[cell.name][cell.seed] = _unit_recalls(cases, members, track.evaluation.primary)
    for (task, group), column in members.items():
        rows = tuple(
            RowScores(name, {seed: values[task, group] for seed, values in by_seed.items()})
            for name, by_seed in by_row.items()
        )
        yield ColumnScores(task, group, len(column.unit), rows)


@dataclass(frozen=True, slots=True, eq=False)
class _Members:
    """The cases of one column.

    Attributes:
        chosen: bool (Q,), which of the task's cases.
        unit: int64 (chosen cases,), each one's unit, numbered from 0.
        n_units: how many there are.
    """

    chosen: NDArray[np.bool_]
    unit: NDArray[np.int64]
    n_units: int


def _members(cases: Cases, group: Group) -> _Members:
    chosen = in_group(group, cases.head)
    names, unit = np.unique(cases.units[chosen], return_inverse=True)
    return _Members(chosen, unit.astype(np.int64), len(names))


def _unit_recalls(
    cases: Mapping[Task, Cases], members: Mapping[tuple[Task, Group], _Members], k: int
) -> dict[tuple[Task, Group], Values]:
    placed = {task: cases[task].placements for task in TASKS}
    recalls = {task: recall_at(p.start, p.size, k) for task, p in placed.items()}
    return {
        (task, group): unit_means(recalls[task][column.chosen], column.unit, column.n_units)
        for (task, group), column in members.items()
    }


def _check_same_cases(
    a: CellResult, cases_a: Mapping[Task, Cases], b: CellResult, cases_b: Mapping[Task, Cases], folder: Path
) -> None:
    """Rows are paired case by case, so each cell must hold the same cases in the same order."""
    for task in TASKS:
        x, y = cases_a[task], cases_b[task]
        if not (np.array_equal(x.units, y.units) and np.array_equal(x.head, y.head)):
            raise UserError(
                f"{folder}: {a.name!r} seed {a.seed} and {b.name!r} seed {b.seed} were tested on different {task} "
                f"cases ({len(x):,} and {len(y):,}). Delete the results made on other data and run them again"
            )
