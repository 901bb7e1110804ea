"""Grids of marked cells for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from semidbench.leaderboards.grids import Cell, Grid

if TYPE_CHECKING:
    from rich.table import Table

_NAMES = ("Row", "Scheme", "Claim")  # what may break over lines


def new_table(title: str, notes: Sequence[str]) -> Table:
    """One without columns yet. Notes stand beneath, a line each, as text and never as markup."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    caption = Text("\n".join(notes))
    return Table(title=title, caption=caption, caption_justify="left", box=box.SIMPLE_HEAD, collapse_padding=True)


def rich_table(grid: Grid, notes: Sequence[str]) -> Table:
    """A grid with notes beneath, for 80 columns or more. Only names may break anywhere."""
    from rich.text import Text

    table = new_table(grid.title, notes)
    for header in grid.headers:
        table.add_column(_narrow(header), overflow="fold", no_wrap=header not in _NAMES)
    for row in grid.rows:
        cells = zip(grid.headers, row, strict=True)
        table.add_row(
            *(
                Text.assemble(
                    (cell.text if header in _NAMES else _narrow(cell.text), style(cell)),
                    f" [{cell.beats}]" if cell.beats else "",
                )
                for header, cell in cells
            )
        )
    return table


def _narrow(text: str) -> str:
    """Broken where it reads well."""
    for before, after in (
        ("Search ", "Search\n"),
        ("Recommendation ", "Rec.\n"),
        ("largest ", "largest\n"),
        (" (", "\n("),
        (", ", "\n"),
        (": ", "\n"),
    ):
        text = text.replace(before, after)
    return text


def style(cell: Cell) -> str:
    """Rich's name of how a cell's mark is set."""
    return "bold" if cell.best else "underline" if cell.second else ""
