"""A leaderboard as Markdown, CSV, JSON, LaTeX and for the terminal.

The bytes depend on the leaderboard alone: not on the locale, the time or the order of the result files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from semidbench.api import TASKS
from semidbench.errors import one_line
from semidbench.leaderboards.board import Column, Leaderboard, Row
from semidbench.leaderboards.caption import caption, short_caption, superscripts_crowd
from semidbench.leaderboards.frames import metrics_frame
from semidbench.leaderboards.grids import DASH, Cell, Grid, full_grid, main_grid, pairs_grid, ten_digits
from semidbench.leaderboards.markdown import md_table, md_text
from semidbench.leaderboards.terminal import new_table, style
from semidbench.store.files import write_texts
from semidbench.store.json_text import json_text

if TYPE_CHECKING:
    from rich.table import Table

SCHEMA = 4
TableFormat = Literal["md", "csv", "json", "latex"]


def render(board: Leaderboard, format: TableFormat) -> str:
    """The leaderboard as text in one of the formats, ending in a newline."""
    return RENDERERS[format](board)


def write_tables(board: Leaderboard, out: Path | str) -> list[Path]:
    """Write leaderboard.md, .csv, .json and .tex under `out`/<track name>; gives back their paths."""
    return write_texts(files(board, Path(out) / board.track.name))


def files(board: Leaderboard, folder: Path) -> dict[Path, str]:
    """The text of each file of tables in `folder`, by its path."""
    suffixes = {format: "tex" if format == "latex" else format for format in RENDERERS}
    return {folder / f"leaderboard.{suffixes[format]}": make(board) for format, make in RENDERERS.items()}


def to_markdown(board: Leaderboard) -> str:
    """GitHub Markdown: the main table, its caption, the differences that hold or are likely, and all metrics."""
    parts = [f"# {md_text(main_grid(board).title)}", md_text(board.track.about), md_table(main_grid(board))]
    parts.append("\n".join(f"- {md_text(line)}" for line in caption(board)))
    parts.append("In this file `**` sets the best row, `<ins>` (underlined) the second, `<sup>` the superscripts.")
    pair_grid = pairs_grid(board)
    parts += [f"## {md_text(pair_grid.title)}", md_table(pair_grid) if pair_grid.rows else "None."]
    for task in TASKS:
        grid = full_grid(board, task)
        parts += [f"## {md_text(grid.title)}", md_table(grid)]
    return "\n\n".join(parts) + "\n"


def to_latex(board: Leaderboard) -> str:
    """LaTeX: one `table` environment per table, with plain rules, so that no package is needed."""
    first, *more = [main_grid(board), pairs_grid(board), *(full_grid(board, task) for task in TASKS)]
    parts = [_tex_table(first, [f"{first.title}. {board.track.about}", *caption(board)])]
    parts += [_tex_table(grid, [f"{grid.title}."]) for grid in more if grid.rows or grid.references]
    return "\n\n".join(parts) + "\n"


def _tex_table(grid: Grid, notes: Sequence[str]) -> str:
    import pandas as pd

    lines = [[_tex_cell(cell) for cell in row] for row in (*grid.rows, *grid.references)]
    style = pd.DataFrame(lines, columns=[_tex(header) for header in grid.headers]).style.hide(axis="index")
    rules = [{"selector": f"{place}rule", "props": ":hline;"} for place in ("top", "mid", "bottom")]  # no package
    text = style.set_table_styles(rules).to_latex(column_format="l" * len(grid.headers))
    body = str(text).rstrip("\n").split("\n")
    if grid.references and grid.rows:
        body.insert(len(body) - 2 - len(grid.references), r"\hline")
    caption = "\n".join(_tex(note) for note in notes)
    return "\n".join([r"\begin{table}", r"\centering", *body, rf"\caption{{{caption}}}", r"\end{table}"])


def _tex_cell(cell: Cell) -> str:
    text = _tex(cell.text)
    text = rf"\textbf{{{text}}}" if cell.best else rf"\underline{{{text}}}" if cell.second else text
    return f"{text}$^{{{cell.beats}}}$" if cell.beats else text


_TEX = {character: f"\\{character}" for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "[": "{[}",  # after a line break a bare one would start an optional argument
    "]": "{]}",
    "\0": "{}",
    "±": r"$\pm$",
    DASH: "--",
}


def _tex(text: str) -> str:
    text = re.sub("-(?=-)", "-\0", one_line(text))  # two hyphens would become a dash
    return "".join(_TEX.get(character, character) for character in text)


def to_csv(board: Leaderboard) -> str:
    """Long form: one line per row, task, group and metric (`frames.Frames.metrics`)."""
    frame = metrics_frame(board)
    frame["row"] = frame["row"].map(_inert)
    for name in ("mean", "std"):
        frame[name] = frame[name].map(ten_digits)
    return str(frame.to_csv(index=False, lineterminator="\n"))


def _inert(text: str) -> str:
    """A spreadsheet takes a cell that begins with one of these for a formula; an apostrophe stops it."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else text


def to_json(board: Leaderboard) -> str:
    """Everything, versioned: rows with every metric and seed, columns with every test and verdict.

    A column's pairs are a table by columns: the entries at one place of its lists are one pair, a the better row.
    """
    whole = {
        "semidbench_leaderboard": SCHEMA,
        "track": {"name": board.track.name, "version": board.track.version, "about": board.track.about},
        "split": board.split,
        "equivalence_margin": board.track.equivalence.margin if board.track.equivalence else None,
        "caption": caption(board),
        "rows": [_json_row(row) for row in board.rows],
        "references": [_json_row(row) for row in board.references],
        "columns": [_json_column(board, column) for column in board.columns],
        "mixed": board.mixed,
    }
    return json_text(whole)


def _json_row(row: Row) -> dict[str, Any]:
    metrics = [
        {
            "task": key[0],
            "group": key[1],
            "metric": key[2],
            "by_seed": [ten_digits(value) for value in values],
            "mean": ten_digits(row.mean(key)),
            "std": ten_digits(row.std(key)),
        }
        for key, values in row.values.items()
    ]
    return {"number": row.number, "name": row.name, "kind": row.kind, "seeds": row.seeds, "metrics": metrics}


def _json_column(board: Leaderboard, column: Column) -> dict[str, Any]:
    tests, verdicts = column.tests, column.verdicts
    spread = verdicts.tests.spread
    return {
        "task": column.task,
        "group": column.group,
        "metric": column.metric,
        "cases": column.n_cases,
        "n": tests.n,
        "alpha": tests.alpha,
        "paper_test": {
            "m": tests.m,
            "smallest_detectable_difference": ten_digits(tests.detectable),
            "critical_t": ten_digits(tests.critical_t),
        },
        "verdicts": {
            "m": verdicts.m,
            "rows": {
                "number": [row.number for row in board.rows],
                "seeds": spread.seeds.tolist(),
                "seed_deviation": _numbers(np.sqrt(spread.own)),
                "seed_deviation_used": _numbers(np.sqrt(spread.used)),
            },
        },
        "pairs": _json_pairs(board, column),
    }


def _json_pairs(board: Leaderboard, column: Column) -> dict[str, list[Any]]:
    tests, verdicts = column.tests, column.verdicts
    better, worse = at = tests.ordered_pairs()
    numbers = np.array([row.number for row in board.rows], np.int64)
    margin = board.track.equivalence.margin if board.track.equivalence else 0.0
    return {
        "a": numbers[better].tolist(),
        "b": numbers[worse].tolist(),
        "difference": _numbers(tests.difference[at]),
        "seeds_ahead": tests.seeds_ahead[at].tolist(),
        "common_seeds": tests.n_seeds[at].tolist(),
        "paper_corrected_p": _numbers(tests.p[at]),
        "paper_significant": tests.significant[at].tolist(),
        "standard_error": _numbers(verdicts.tests.standard_error[at]),
        "df": _numbers(verdicts.tests.df[at]),
        "margin_of_error": _numbers(verdicts.margin_of_error[at]),
        "holm_p": _numbers(verdicts.holm[at]),
        "bh_p": _numbers(verdicts.fdr[at]),
        "verdict": [verdicts.verdict(a, b) for a, b in zip(better.tolist(), worse.tolist(), strict=True)],
        "equivalent": verdicts.equivalent(margin)[at].tolist(),
    }


def _numbers(values: NDArray[np.float64]) -> list[float | None]:
    """For files; None for NaN."""
    return [None if value != value else ten_digits(value) for value in values.tolist()]


def to_rich(board: Leaderboard) -> Table:
    """The main table for a terminal of 80 columns or more."""
    grid = main_grid(board)
    table = new_table(grid.title, short_caption(board))
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("Scheme", overflow="fold")
    for column in board.columns:
        task = {"search": "Search", "rec": "Rec."}[column.task]
        table.add_column(f"{task}\n{column.metric}\n{column.group.title()}", justify="right", no_wrap=True)
    for row in grid.rows:
        cells = [replace(cell, beats="") for cell in row] if superscripts_crowd(board) else row
        table.add_row(*map(_rich_cell, cells))
    table.add_section()
    for row in grid.references:
        table.add_row(*map(_rich_cell, row))
    return table


def _rich_cell(cell: Cell) -> Any:
    """Text, never markup: a name in brackets stays as it is. Deviation and superscripts have lines of their own."""
    from rich.text import Text

    mean, _, std = cell.text.partition(" ± ")
    beats = cell.beats.translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return Text.assemble((mean, style(cell)), f"\n±{std}" if std else "", f"\n{beats}" if beats else "")


RENDERERS: dict[TableFormat, Callable[[Leaderboard], str]] = {
    "md": to_markdown,
    "csv": to_csv,
    "json": to_json,
    "latex": to_latex,
}
