"""The tables of a leaderboard as grids of marked cells, before any format sets them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semidbench.api import Task
from semidbench.leaderboards.board import Column, Key, Leaderboard, Row, reversed_in_all
from semidbench.leaderboards.caption import superscripts_count

DASH = "–"
REVERSED = "in All the reverse holds"
MOST_PAIRS = 1_000  # pairs of a board with a verdict that are listed one by one
TASK_NAMES: Mapping[Task, str] = {"search": "Search", "rec": "Recommendation"}


@dataclass(frozen=True, slots=True)
class Cell:
    """A table cell: plain text and its marks, for each renderer to escape and set; `beats` goes above the line."""

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
    """The differences that hold or are likely.

    Where they are more than a reader can use, those of each column's best row.
    """
    found = [(column, np.argwhere(column.verdicts.holds | column.verdicts.likely)) for column in board.columns]
    total = sum(len(pairs) for _, pairs in found)
    title = "Differences that hold or are likely"
    if total > MOST_PAIRS:
        found = [(column, pairs[pairs[:, 0] == _best(board, column)]) for column, pairs in found]
        shown = sum(len(pairs) for _, pairs in found)
        title += f", of each column's best scheme: {shown:,} of {total:,}; leaderboard.json has all"
    rows = tuple(
        (Cell(f"{TASK_NAMES[column.task]} {column.group.title()}"), *cells)
        for column, pairs in found
        for cells in pair_lines(board, column, pairs)
    )
    return Grid(title, ("Column", *pair_headers(board)), rows)


def pair_headers(board: Leaderboard) -> tuple[str, ...]:
    """The headers of `pair_lines`."""
    return ("Row", "above", "by", interval_header(board), "p (Holm)", "p (BH)", "seeds ahead", "Verdict")


def interval_header(board: Leaderboard) -> str:
    """Such as `95% interval`."""
    return f"{100 * (1 - board.track.evaluation.alpha):g}% interval"


def pair_lines(board: Leaderboard, column: Column, pairs: NDArray[np.int64]) -> Iterator[tuple[Cell, ...]]:
    """A line for each pair of rows, int64 (M, 2), the better row first."""
    names = [f"{row.number} {row.name}" for row in board.rows]
    reverse, tests, verdicts = reversed_in_all(board, column), column.tests, column.verdicts
    for a, b in pairs.tolist():
        verdict = verdicts.verdict(a, b)
        yield (
            Cell(names[a]),
            Cell(names[b]),
            Cell(f"{verdicts.difference[a, b]:.3f}"),
            Cell(interval_text(float(verdicts.difference[a, b]), float(verdicts.margin_of_error[a, b]))),
            Cell(f"{verdicts.holm[a, b]:.1e}"),
            Cell(f"{verdicts.fdr[a, b]:.1e}"),
            Cell(f"{tests.seeds_ahead[a, b]}/{tests.n_seeds[a, b]}" if tests.n_seeds[a, b] else DASH),
            Cell(f"{verdict} ({REVERSED})" if reverse[a, b] else verdict),
        )


def interval_text(difference: float, half_width: float) -> str:
    """`+0.012 to +0.034`; a dash where there is no interval (NaN)."""
    if half_width != half_width:
        return DASH
    return f"{difference - half_width:+.3f} to {difference + half_width:+.3f}"


def _best(board: Leaderboard, column: Column) -> int:
    """The place of the row with the highest mean; of equal ones, the first."""
    means = [row.mean(column.key) for row in board.rows]
    return max(range(len(means)), key=lambda at: (-1.0 if means[at] is None else means[at], -at))


def mean_std(row: Row, key: Key, digits: int = 3) -> str:
    """`0.072 ± 0.028`, with dashes for what there is none of."""
    mean, std = row.mean(key), row.std(key)
    if mean is None:
        return DASH
    return f"{mean:.{digits}f} ± {DASH if std is None else f'{std:.{digits}f}'}"


def _marked(board: Leaderboard, column: Column) -> list[Cell]:
    """One cell per generative row: best, second, and whom it beats, or how many."""
    means = [row.mean(column.key) for row in board.rows]
    levels = sorted({mean for mean in means if mean is not None}, reverse=True)
    return [
        Cell(
            mean_std(row, column.key),
            best=len(levels) > 1 and mean == levels[0],
            second=len(levels) > 1 and mean == levels[1],
            beats=_beats(board, np.flatnonzero(beaten).tolist()),
        )
        for row, mean, beaten in zip(board.rows, means, column.tests.significant, strict=True)
    ]


def _beats(board: Leaderboard, beaten: list[int]) -> str:
    """The numbers of the rows that one beats; how many where there are too many to list."""
    if superscripts_count(board):
        return str(len(beaten)) if beaten else ""
    return ("" if len(board.rows) < 10 else ",").join(str(board.rows[at].number) for at in beaten)


def ten_digits(value: float | None) -> float | None:
    """For files: the digits that no processor or library version changes."""
    return None if value is None else float(f"{value:.10g}")
