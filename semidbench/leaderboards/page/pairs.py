"""The verdicts on the pairs of a board: packed for the page's script, and as tables for readers without one."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semidbench.leaderboards.board import Column, Leaderboard, reversed_in_all
from semidbench.leaderboards.grids import TASK_NAMES, Cell, Grid, interval_header, pair_headers, pair_lines

Mask = NDArray[np.bool_]
VERSION = 2
MAX_LISTED = 2_000  # pairs of a board; more are packed only
NO_P, ZERO_P = 65_535, 65_534
NO_END = -32_768


def packed_pairs(board: Leaderboard) -> dict[str, Any]:
    """All verdicts as JSON values that take about sixteen bytes a pair.

    Each column's entries are base64 of little-endian whole numbers, one for each pair a < b of rows, row by row:

    - `p`: uint16, Holm's p to two digits: m x 10^-(e + 1) as 90 e + m - 10; 65,534 is zero, 65,535 untested.
    - `difference`: int16, a's mean less b's in thousandths.
    - `low`, `high`: int16, the ends of the difference's interval in thousandths; -32,768 where there is none.
    - `ahead`, `behind`, `seeds`: common seeds in which a is ahead, in which b is, and all.
    - `verdict`: uint8, 0 unsettled, 1 likely, 2 holds, 3 not tested; plus 4 if a is the better, plus 8 if the reverse
      holds in the task's All.
    """
    return {
        "semidbench_pairs": VERSION,
        "rows": len(board.rows),
        "level": interval_header(board),
        "columns": [_packed_column(board, column) for column in board.columns],
    }


def _packed_column(board: Leaderboard, column: Column) -> dict[str, str]:
    tests, verdicts = column.tests, column.verdicts
    above = np.triu_indices(len(board.rows), 1)
    reverse, half = reversed_in_all(board, column), verdicts.margin_of_error
    code = np.where(verdicts.holds | verdicts.holds.T, 2, verdicts.likely | verdicts.likely.T)
    code = np.where(verdicts.tests.tested, code, 3) + 4 * (verdicts.difference > 0) + 8 * (reverse | reverse.T)
    return {
        "p": _base64(np.array([p_code(p) for p in verdicts.holm[above].tolist()], "<u2")),
        "difference": _base64(np.array([_thousandths(d) for d in verdicts.difference[above].tolist()], "<i2")),
        "low": _base64(np.array([_end(end) for end in (verdicts.difference - half)[above].tolist()], "<i2")),
        "high": _base64(np.array([_end(end) for end in (verdicts.difference + half)[above].tolist()], "<i2")),
        "ahead": _base64(_small(tests.seeds_ahead[above])),
        "behind": _base64(_small(tests.seeds_ahead.T[above])),
        "seeds": _base64(_small(tests.n_seeds[above])),
        "verdict": _base64(code[above].astype("<u1")),
    }


def p_code(p: float) -> int:
    """A p-value as `packed_pairs` holds it."""
    if p != p:
        return NO_P
    digits, exponent = f"{p:.1e}".split("e")
    return ZERO_P if p == 0 else 90 * -int(exponent) + int(digits.replace(".", "")) - 10


def _thousandths(difference: float) -> int:
    return int(f"{difference:.3f}".replace(".", ""))


def _end(end: float) -> int:
    return NO_END if end != end else max(min(_thousandths(end), -NO_END - 1), NO_END + 1)


def _small(counts: NDArray[np.int64]) -> NDArray[np.unsignedinteger[Any]]:
    """As bytes, or as two each; the script sees which by the length."""
    return counts.astype("<u1" if counts.max(initial=0) < 256 else "<u2")


def _base64(values: NDArray[Any]) -> str:
    return b64encode(values.tobytes()).decode("ascii")


def wins_grid(board: Leaderboard) -> Grid:
    """By row and column, the numbers of the rows that it is above; in parentheses where that is only likely."""
    wins = [(column.verdicts.holds | column.verdicts.likely, column.verdicts.holds) for column in board.columns]
    return _numbers_grid("Who is above whom: what holds, and what is likely", board, wins)


def superscripts_grid(board: Leaderboard) -> Grid:
    """By row and column, the numbers of the rows that it beats significantly by the paper's test."""
    wins = [(column.tests.significant, column.tests.significant) for column in board.columns]
    return _numbers_grid("Who beats whom by the paper’s test", board, wins)


def _numbers_grid(title: str, board: Leaderboard, wins: Sequence[tuple[Mask, Mask]]) -> Grid:
    rows = tuple(
        (Cell(str(row.number)), Cell(row.name), *(Cell(_spans(shown[i], plain[i])) for shown, plain in wins))
        for i, row in enumerate(board.rows)
    )
    return Grid(title, ("#", "Scheme", *map(column_name, board.columns)), rows)


def _spans(shown: Mask, plain: Mask) -> str:
    """`1-3, (5), 7`: runs of neighbours that are alike."""
    alike = groupby(enumerate(np.flatnonzero(shown).tolist()), key=lambda at: (at[1] - at[0], bool(plain[at[1]])))
    return ", ".join(_span([i + 1 for _, i in run], plain) for (_, plain), run in alike) or "–"


def _span(numbers: Sequence[int], plain: bool) -> str:
    text = f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]}–{numbers[-1]}"
    return text if plain else f"({text})"


def listed_pairs(board: Leaderboard) -> tuple[Grid, ...]:
    """A table of the differences that hold or are likely in each column; none for a board with too many pairs."""
    n = len(board.rows)
    if len(board.columns) * n * (n - 1) // 2 > MAX_LISTED:
        return ()
    found = [(column, np.argwhere(column.verdicts.holds | column.verdicts.likely)) for column in board.columns]
    return tuple(
        Grid(column_name(column), pair_headers(board), tuple(pair_lines(board, column, pairs)))
        for column, pairs in found
    )


def column_name(column: Column) -> str:
    """Such as `Search All`."""
    return f"{TASK_NAMES[column.task]} {column.group.title()}"
