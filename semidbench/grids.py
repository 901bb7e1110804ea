"""The tables of a leaderboard as grids of marked cells, before any format sets them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from semidbench.api import Task
from semidbench.leaderboards import Column, Key, Leaderboard, Row

DASH = "–"
TASK_NAMES: Mapping[Task, str] = {"search": "Search", "rec": "Recommendation"}


@dataclass(frozen=True, slots=True)
class Cell:
    """A table cell: plain text and its marks, for each renderer to escape and set."""

    text: str
    best: bool = False
    second: bool = False
    beats: str = ""


@dataclass(frozen=True, slots=True)
class Grid:
    """A table: title, headers, rows, and reference rows beneath a rule."""

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    references: tuple[tuple[Cell, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Pair:
    """Two rows in one column, the better one first (in a draw, the one with the lower number)."""

    column: Column
    better: Row
    worse: Row
    difference: float
    p: float | None
    seeds_ahead: int
    n_seeds: int
    significant: bool
    holds: bool


def pairs(board: Leaderboard) -> list[Pair]:
    """Every pair of generative rows in every column."""
    found = []
    for column in board.columns:
        tests = column.tests
        for a, b in combinations(range(len(board.rows)), 2):
            if tests.difference[a, b] < 0:
                a, b = b, a
            p = float(tests.p[a, b])
            found.append(
                Pair(
                    column=column,
                    better=board.rows[a],
                    worse=board.rows[b],
                    difference=float(tests.difference[a, b]),
                    p=p if p == p else None,
                    seeds_ahead=int(tests.seeds_ahead[a, b]),
                    n_seeds=int(tests.n_seeds[a, b]),
                    significant=tests.beats(a, b),
                    holds=tests.holds(a, b),
                )
            )
    return found


def main_grid(board: Leaderboard) -> Grid:
    """The paper's Table 1 with the groups of its Table 2."""
    headers = [f"{TASK_NAMES[column.task]} {column.metric} {column.group.title()}" for column in board.columns]
    marked = [_marked(board, column) for column in board.columns]
    rows = [
        (Cell(str(row.number)), Cell(row.name), *(cells[i] for cells in marked)) for i, row in enumerate(board.rows)
    ]
    references = [
        (Cell(""), Cell(row.name), *(Cell(mean_std(row, column.key)) for column in board.columns))
        for row in board.references
    ]
    mark = " (provisional)" if board.provisional else ""
    title = f"Leaderboard of track {board.track.name}, version {board.track.version}{mark}"
    return Grid(title, ("#", "Scheme", *headers), tuple(rows), tuple(references))


def full_grid(board: Leaderboard, task: Task) -> Grid:
    """All metrics of one task over all its test cases."""
    names = dict.fromkeys(
        name
        for row in (*board.rows, *board.references)
        for of, group, name in row.values
        if (of, group) == (task, "all")
    )
    shown = [name for name in names if name != "cases"]

    def line(row: Row) -> tuple[Cell, ...]:
        digits = {name: 1 if name.endswith("per list") else 3 for name in shown}
        numbers = [Cell(mean_std(row, (task, "all", name), digits[name])) for name in shown]
        return Cell("" if row.number is None else str(row.number)), Cell(row.name), *numbers

    return Grid(
        f"{TASK_NAMES[task]}, all test cases",
        ("#", "Scheme", *shown),
        tuple(map(line, board.rows)),
        tuple(map(line, board.references)),
    )


def pairs_grid(board: Leaderboard) -> Grid:
    """The significant pairs, with what the tests leave out: in how many seeds the row was ahead."""
    rows = [
        (
            Cell(f"{TASK_NAMES[pair.column.task]} {pair.column.group.title()}"),
            Cell(f"{pair.better.number} {pair.better.name}"),
            Cell(f"{pair.worse.number} {pair.worse.name}"),
            Cell(f"{pair.difference:.3f}"),
            Cell(DASH if pair.p is None else f"{pair.p:.1e}"),
            Cell(f"{pair.seeds_ahead}/{pair.n_seeds}"),
            Cell("yes" if pair.holds else "no"),
        )
        for pair in pairs(board)
        if pair.significant
    ]
    headers = ("Column", "Row", "beats", "by", "corrected p", "seeds ahead", "holds")
    return Grid("Significant differences", headers, tuple(rows))


def mean_std(row: Row, key: Key, digits: int = 3) -> str:
    """`0.072 ± 0.028`, with dashes for what there is none of."""
    mean, std = row.mean(key), row.std(key)
    if mean is None:
        return DASH
    return f"{mean:.{digits}f} ± {DASH if std is None else f'{std:.{digits}f}'}"


def _marked(board: Leaderboard, column: Column) -> list[Cell]:
    """One cell per generative row: best, second, and whom it beats."""
    means = [row.mean(column.key) for row in board.rows]
    levels = sorted({mean for mean in means if mean is not None}, reverse=True)
    separator = "" if len(board.rows) < 10 else ","
    cells = []
    for i, (row, mean) in enumerate(zip(board.rows, means, strict=True)):
        beaten = [str(other.number) for j, other in enumerate(board.rows) if i != j and column.tests.beats(i, j)]
        cells.append(
            Cell(
                mean_std(row, column.key),
                best=len(levels) > 1 and mean == levels[0],
                second=len(levels) > 1 and mean == levels[1],
                beats=separator.join(beaten),
            )
        )
    return cells


def ten_digits(value: float | None) -> float | None:
    """For files: the digits that no processor or library version changes."""
    return None if value is None else float(f"{value:.10g}")
