"""A leaderboard beside the paper: its tables, its numbers, and the claims ledger, in three formats.

The paper's numbers stand in one table with ours on the `paper` track only. On any other track the data differ, so
there its tables stand apart, and only the claims are compared.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from semidbench.api import Task
from semidbench.leaderboards.board import Key, Leaderboard, Row
from semidbench.leaderboards.claims.judge import Ledger, comparable, judge
from semidbench.leaderboards.claims.ledger import (
    claims_grid,
    ledger_caption,
    ledger_json,
    short_claims_grid,
    short_ledger_caption,
    statements_grid,
)
from semidbench.leaderboards.grids import DASH, TASK_NAMES, Cell, Grid, mean_std, ten_digits
from semidbench.leaderboards.markdown import md_table, md_text
from semidbench.leaderboards.terminal import rich_table
from semidbench.published import PaperRow, PaperTable, PrintedCell, paper
from semidbench.results.metrics import Group
from semidbench.store.files import write_texts

if TYPE_CHECKING:
    from rich.console import RenderableType

SCHEMA = 2
LedgerFormat = Literal["md", "json"]
_APART = "Other data and another generator: these numbers do not compare with this track's."
_BESIDE = "Ours follow the paper's protocol as far as the paper gives it. Difference: ours less the paper's."


def paper_grids(board: Leaderboard) -> list[Grid]:
    """Tables 1, 2 and 3: with our numbers beside the paper's where they compare, else as printed."""
    make = (lambda table: beside_grid(board, table)) if comparable(board) else printed_grid
    return [make(table) for table in paper().tables]


def printed_grid(table: PaperTable) -> Grid:
    """A table of the paper as printed, with our name of each row."""
    rows = [
        (Cell(row.label), Cell(row.scheme), *(_printed(cell) for *_, cell in _cells(table, row))) for row in table.rows
    ]
    return Grid(_title(table), ("Row", "Scheme", *(_column(*column) for column in table.columns)), tuple(rows))


def beside_grid(board: Leaderboard, table: PaperTable) -> Grid:
    """One line per printed number: the paper's, ours, and the difference."""
    ours = {row.name: row for row in board.rows}
    lines = []
    for row in table.rows:
        own = ours.get(row.scheme)
        for task, group, cell in _cells(table, row):
            key = task, group, f"R@{board.track.evaluation.primary}"
            more = _more(own, key, cell)
            lines.append(
                (
                    Cell(row.label),
                    Cell(_column(task, group)),
                    _printed(cell),
                    Cell("not run" if own is None else mean_std(own, key)),
                    Cell(DASH if more is None else f"{more:+.3f}"),
                )
            )
    return Grid(_title(table), ("Row", "Column", "Paper", "Ours", "Difference"), tuple(lines))


def _cells(table: PaperTable, row: PaperRow) -> Iterator[tuple[Task, Group, PrintedCell]]:
    for task, group in table.columns:
        cell = row.cell(task, group)
        assert cell is not None, "tables are rectangular"
        yield task, group, cell


def _printed(cell: PrintedCell) -> Cell:
    text = cell.printed if cell.std is None else f"{cell.printed} ± {cell.std}"
    return Cell(text, cell.mark == "bold", cell.mark == "underline", "".join(map(str, cell.beats)))


def _more(own: Row | None, key: Key, cell: PrintedCell) -> float | None:
    mean = None if own is None else own.mean(key)
    return None if mean is None else mean - cell.value


def _column(task: Task, group: Group) -> str:
    return f"{TASK_NAMES[task]} {group.title()}"


def _title(table: PaperTable) -> str:
    return f"The paper's Table {table.number}: {table.about}"


def paper_notes(board: Leaderboard, table: PaperTable) -> list[str]:
    """The notes under a table of the paper."""
    return [*([_BESIDE, _sizes(board)] if comparable(board) else [_APART]), *table.notes]


def _sizes(board: Leaderboard) -> str:
    """How large our data are, and the paper's."""
    ours, theirs = board.dataset, paper().dataset
    return (
        f"Data: ours {ours.items:,} items, {ours.users:,} users and {ours.train_interactions:,} training interactions; "
        f"the paper's {theirs.items:,} movies and {theirs.interactions} user-item interactions. It does not say of how "
        "many users, nor how it drew them from MovieLens 25M."
    )


def to_markdown(ledger: Ledger) -> str:
    """The claims, what they rest on, and the paper's tables; ends in a newline."""
    claims = claims_grid(ledger)
    parts = [f"# {md_text(claims.title)}", md_text(ledger.board.track.about), md_table(claims)]
    parts.append("\n".join(f"- {md_text(line)}" for line in ledger_caption(ledger)))
    statements = statements_grid(ledger)
    parts += [f"## {md_text(statements.title)}", md_table(statements)]
    for table, grid in zip(paper().tables, paper_grids(ledger.board), strict=True):
        parts += [f"## {md_text(grid.title)}", md_table(grid)]
        parts.append("\n".join(f"- {md_text(line)}" for line in paper_notes(ledger.board, table)))
    parts.append("In the paper's columns `**` is its bold, `<ins>` its underline, `<sup>` its superscripts.")
    return "\n\n".join(parts) + "\n"


def to_json(ledger: Ledger) -> str:
    """The same, versioned."""
    board, printed = ledger.board, paper()
    whole = {
        "semidbench_compare": SCHEMA,
        "paper": printed.model_dump(mode="json", include={"arxiv", "title", "measure", "dataset"}),
        "track": {"name": board.track.name, "version": board.track.version, "about": board.track.about},
        "split": board.split,
        "dataset": board.dataset.model_dump(mode="json"),
        "rows": [{"name": row.name, "seeds": row.seeds} for row in board.rows],
        "provisional": board.provisional,
        "mixed": board.mixed,
        "comparable": comparable(board),
        "caption": ledger_caption(ledger),
        "claims": ledger_json(ledger),
        "tables": [_json_table(board, table) for table in printed.tables],
    }
    return json.dumps(whole, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def _json_table(board: Leaderboard, table: PaperTable) -> dict[str, Any]:
    ours = {row.name: row for row in board.rows} if comparable(board) else {}
    cells = []
    for row in table.rows:
        own = ours.get(row.scheme)
        for task, group, cell in _cells(table, row):
            key = task, group, f"R@{board.track.evaluation.primary}"
            cells.append(
                {
                    "row": row.label,
                    "scheme": row.scheme,
                    "task": task,
                    "group": group,
                    "paper": cell.model_dump(mode="json"),
                    "mean": ten_digits(None if own is None else own.mean(key)),
                    "std": ten_digits(None if own is None else own.std(key)),
                    "difference": ten_digits(_more(own, key, cell)),
                }
            )
    return {"number": table.number, "notes": paper_notes(board, table), "cells": cells}


RENDERERS: dict[LedgerFormat, Callable[[Ledger], str]] = {"md": to_markdown, "json": to_json}


def write_comparison(board: Leaderboard, out: Path | str) -> list[Path]:
    """Write claims.md and claims.json under `out`/<track name>; gives back their paths."""
    return write_texts(files(judge(board), Path(out) / board.track.name))


def files(ledger: Ledger, folder: Path) -> dict[Path, str]:
    """The text of claims.md and claims.json in `folder`, by their paths."""
    return {folder / f"claims.{format}": make(ledger) for format, make in RENDERERS.items()}


def to_rich(ledger: Ledger) -> list[RenderableType]:
    """The paper's tables, then the claims, for a terminal of 80 columns or more."""
    tables = zip(paper().tables, paper_grids(ledger.board), strict=True)
    shown: list[RenderableType] = [rich_table(grid, paper_notes(ledger.board, table)) for table, grid in tables]
    return [*shown, rich_table(short_claims_grid(ledger), short_ledger_caption(ledger))]
