"""One row of a leaderboard against all others, such as a plugin of one's own, with a family of its own.

For a row that was chosen before its results were seen. Its differences are then corrected for R - 1 tests, not for all
pairs of the table, so more of them hold.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from semidbench.errors import UserError, unknown
from semidbench.leaderboards.board import Column, Leaderboard
from semidbench.leaderboards.caption import provisional_warning, seeds_line
from semidbench.leaderboards.grids import DASH, TASK_NAMES, Cell, Grid, interval_header, interval_text, ten_digits
from semidbench.leaderboards.markdown import md_table, md_text
from semidbench.leaderboards.significance import PairedTest, paired_test
from semidbench.leaderboards.verdicts.against import holm_against
from semidbench.methods.scheme import parse_scheme

SCHEMA = 1
Found = Literal["above", "below", "equivalent", "unsettled", "provisional", "not tested"]


@dataclass(frozen=True, slots=True)
class Against:
    """The row against another one in one column.

    Attributes:
        difference: the row's mean less the other's.
        half_width: of its interval at level 1 - alpha; NaN where there is none.
        p: Holm-corrected for the row's R - 1 tests; NaN where it was not tested.
        seeds_ahead, n_seeds: in how many common seeds the row was ahead, and how many there are.
        found: whether it holds that the row is above or below; if neither, whether the two are equivalent within the
            track's margin.
        paper: the paper's test, uncorrected; None for fewer than two units.
    """

    column: Column
    other: str
    difference: float
    half_width: float
    p: float
    seeds_ahead: int
    n_seeds: int
    found: Found
    paper: PairedTest | None


def against(board: Leaderboard, scheme: str) -> tuple[Against, ...]:
    """The row of this scheme against each other numbered row, in each column.

    Raises:
        UserError: the board has no such row, or no other.
    """
    name, names = str(parse_scheme(scheme)), [row.name for row in board.rows]
    if name not in names:
        raise UserError(unknown("row", name, names))
    if len(names) < 2:
        raise UserError(f"{name!r} is the only row: there is nothing to hold it against. Run another scheme")
    return tuple(line for column in board.columns for line in _lines(board, column, names.index(name)))


def _lines(board: Leaderboard, column: Column, row: int) -> Iterator[Against]:
    tests, verdicts = column.tests, column.verdicts
    p = holm_against(verdicts, row)
    equivalent = verdicts.equivalent(board.track.equivalence.margin if board.track.equivalence else 0.0)[row]
    for b, other in enumerate(board.rows):
        if b == row:
            continue
        difference = float(verdicts.difference[row, b])
        found: Found
        if not verdicts.tests.tested[row, b]:
            found = "provisional" if verdicts.n >= 2 else "not tested"
        elif p[b] < verdicts.alpha:
            found = "above" if difference > 0 else "below"
        else:
            found = "equivalent" if equivalent[b] else "unsettled"
        yield Against(
            column=column,
            other=other.name,
            difference=difference,
            half_width=float(verdicts.margin_of_error[row, b]),
            p=float(p[b]),
            seeds_ahead=int(tests.seeds_ahead[row, b]),
            n_seeds=int(tests.n_seeds[row, b]),
            found=found,
            paper=paired_test(column.scores[row], column.scores[b]),
        )


def against_grid(board: Leaderboard, scheme: str) -> Grid:
    """A line for each column and other row."""
    headers = (
        *("Column", "Row", "by", interval_header(board), "p (Holm)", "seeds ahead", "Verdict"),
        *("paper's t", "paper's p", "Cohen's d"),
    )
    title = f"{parse_scheme(scheme)} against each other row of track {board.track.name}, version {board.track.version}"
    return Grid(title, headers, tuple(_cells(line) for line in against(board, scheme)))


def _cells(line: Against) -> tuple[Cell, ...]:
    paper = line.paper
    return (
        Cell(f"{TASK_NAMES[line.column.task]} {line.column.group.title()}"),
        Cell(line.other),
        Cell(f"{line.difference:+.3f}"),
        Cell(interval_text(line.difference, line.half_width)),
        Cell(DASH if line.p != line.p else f"{line.p:.1e}"),
        Cell(f"{line.seeds_ahead}/{line.n_seeds}" if line.n_seeds else DASH),
        Cell(line.found, best=line.found == "above"),
        Cell(DASH if paper is None else f"{paper.t:.2f}"),
        Cell(DASH if paper is None else f"{paper.p:.1e}"),
        Cell(DASH if paper is None else f"{paper.effect_size:+.2f}"),
    )


def against_caption(board: Leaderboard) -> list[str]:
    """What the columns mean."""
    rule, equivalence = board.track.evaluation, board.track.equivalence
    level = f"{100 * (1 - 2 * rule.alpha):g}%"
    within = f", equivalent if the {level} interval lies within ±{equivalence.margin:g}" if equivalence else ""
    return [
        *provisional_warning(board),
        f"Track {board.track.name}, version {board.track.version}, {board.split} split; {seeds_line(board)}.",
        f"Verdict: above or below at {rule.alpha:g} after Holm's correction for the {len(board.rows) - 1} other rows "
        f"of a column{within}, else unsettled. This is for a row that was chosen before its results "
        "were seen; of rows chosen from the table, the table's own verdicts count. Seeds and test items or users are "
        "both random, as for those.",
        "paper's t and p: the paired t-test over test items or users, uncorrected, of means over the seeds, whose "
        "variance it leaves out; Cohen's d: its effect size (pingouin).",
    ]


def to_markdown(board: Leaderboard, scheme: str) -> str:
    """The table and its caption; ends in a newline."""
    grid = against_grid(board, scheme)
    notes = "\n".join(f"- {md_text(line)}" for line in against_caption(board))
    return f"# {md_text(grid.title)}\n\n{md_table(grid)}\n\n{notes}\n"


def to_json(board: Leaderboard, scheme: str) -> str:
    """The same, versioned."""
    whole = {
        "semidbench_against": SCHEMA,
        "track": {"name": board.track.name, "version": board.track.version},
        "split": board.split,
        "row": str(parse_scheme(scheme)),
        "alpha": board.track.evaluation.alpha,
        "equivalence_margin": board.track.equivalence.margin if board.track.equivalence else None,
        "caption": against_caption(board),
        "pairs": [_json_line(line) for line in against(board, scheme)],
    }
    return json.dumps(whole, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def _json_line(line: Against) -> dict[str, Any]:
    return {
        "task": line.column.task,
        "group": line.column.group,
        "other": line.other,
        "difference": ten_digits(line.difference),
        "margin_of_error": None if line.half_width != line.half_width else ten_digits(line.half_width),
        "holm_p": None if line.p != line.p else ten_digits(line.p),
        "seeds_ahead": line.seeds_ahead,
        "common_seeds": line.n_seeds,
        "verdict": line.found,
        "paper_test": None if line.paper is None else line.paper.as_json(),
    }
