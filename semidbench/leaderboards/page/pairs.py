"""The tests between the rows of a board: packed for the page's script, and as tables for readers without one."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semidbench.leaderboards.board import Column, Leaderboard
from semidbench.leaderboards.grids import TASK_NAMES, Cell, Grid
from semidbench.leaderboards.significance import ColumnTests

VERSION = 1
MAX_LISTED = 2_000  # pairs of a board; more are packed only
NO_P, ZERO_P = 65_535, 65_534


def packed_pairs(board: Leaderboard) -> dict[str, Any]:
    """All tests as JSON values that take about ten bytes a pair.

    Each column's entries are base64 of little-endian whole numbers, one for each pair a < b of rows, row by row:

    - `p`: uint16, the corrected p to two digits: m x 10^-(e + 1) as 90 e + m - 10; 65,534 is zero, 65,535 untested.
    - `difference`: int16, a's mean less b's in thousandths.
    - `ahead`, `behind`, `seeds`: common seeds in which a is ahead, in which b is, and all.
    - `wins`: uint8, 1 if significant, plus 2 if it holds, plus 4 if a is the better.
    """
    return {
        "semidbench_pairs": VERSION,
        "rows": len(board.rows),
        "columns": [_packed_column(column.tests) for column in board.columns],
    }


def _packed_column(tests: ColumnTests) -> dict[str, str]:
    above = np.triu_indices(len(tests.rows), 1)
    significant, holds = tests.significant | tests.significant.T, tests.holding | tests.holding.T
    better = tests.difference > 0
    return {
        "p": _base64(np.array([p_code(p) for p in tests.p[above].tolist()], "<u2")),
        "difference": _base64(np.array([_thousandths(d) for d in tests.difference[above].tolist()], "<i2")),
        "ahead": _base64(_small(tests.seeds_ahead[above])),
        "behind": _base64(_small(tests.seeds_ahead.T[above])),
        "seeds": _base64(_small(tests.n_seeds[above])),
        "wins": _base64((significant + 2 * holds + 4 * better)[above].astype("<u1")),
    }


def p_code(p: float) -> int:
    """A p-value as `packed_pairs` holds it."""
    if p != p:
        return NO_P
    digits, exponent = f"{p:.1e}".split("e")
    return ZERO_P if p == 0 else 90 * -int(exponent) + int(digits.replace(".", "")) - 10


def _thousandths(difference: float) -> int:
    return int(f"{difference:.3f}".replace(".", ""))


def _small(counts: NDArray[np.int64]) -> NDArray[np.unsignedinteger[Any]]:
    """As bytes, or as two each; the script sees which by the length."""
    return counts.astype("<u1" if counts.max(initial=0) < 256 else "<u2")


def _base64(values: NDArray[Any]) -> str:
    return b64encode(values.tobytes()).decode("ascii")


def wins_grid(board: Leaderboard) -> Grid:
    """By row and column, the numbers of the rows that it beats; in parentheses where that does not hold."""
    wins = [(column.tests.significant, column.tests.holding) for column in board.columns]
    rows = tuple(
        (Cell(str(row.number)), Cell(row.name), *(Cell(_spans(beats[i], holds[i])) for beats, holds in wins))
        for i, row in enumerate(board.rows)
    )
    return Grid("Who beats whom", ("#", "Scheme", *map(column_name, board.columns)), rows)


def _spans(beats: NDArray[np.bool_], holds: NDArray[np.bool_]) -> str:
    """`1-3, (5), 7`: runs of neighbours that are alike."""
    beaten = np.flatnonzero(beats).tolist()
    alike = groupby(enumerate(beaten), key=lambda at: (at[1] - at[0], bool(holds[at[1]])))
    return ", ".join(_span([i + 1 for _, i in run], holds) for (_, holds), run in alike) or "–"


def _span(numbers: Sequence[int], holds: bool) -> str:
    text = f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]}–{numbers[-1]}"
    return text if holds else f"({text})"


def listed_pairs(board: Leaderboard) -> tuple[Grid, ...]:
    """A table of the significant pairs of each column; none if the board has too many pairs to list."""
    n = len(board.rows)
    if len(board.columns) * n * (n - 1) // 2 > MAX_LISTED:
        return ()
    headers = ("Row", "beats", "by", "corrected p", "seeds ahead", "holds")
    return tuple(Grid(column_name(column), headers, tuple(_lines(board, column))) for column in board.columns)


def _lines(board: Leaderboard, column: Column) -> Iterator[tuple[Cell, ...]]:
    tests, holding = column.tests, column.tests.holding
    names = [f"{row.number} {row.name}" for row in board.rows]
    for a, b in np.argwhere(tests.significant).tolist():
        yield (
            Cell(names[a]),
            Cell(names[b]),
            Cell(f"{tests.difference[a, b]:.3f}"),
            Cell(f"{tests.p[a, b]:.1e}"),
            Cell(f"{tests.seeds_ahead[a, b]}/{tests.n_seeds[a, b]}"),
            Cell("yes" if holding[a, b] else "no"),
        )


def column_name(column: Column) -> str:
    """Such as `Search All`."""
    return f"{TASK_NAMES[column.task]} {column.group.title()}"
