"""Grids of marked cells as GitHub Markdown."""

from __future__ import annotations

import re

from semidbench.leaderboards.grids import Cell, Grid

_MARKUP = r"[\\`*_{}\[\]<>|~$&#]"
# Where GitHub would make a link of plain text (GFM 6.9): behind `www`, behind the scheme, before the `@` of an address.
_LINKS = (
    r"(?<![a-z0-9]www)(?<=www)(?=\.)",
    r"(?:(?<=http)|(?<=https)|(?<=ftp))(?=://\S)",
    r"(?<=[a-z0-9.+_:-])(?=@[a-z0-9._-]*\.[a-z0-9_-]*[a-z])",
)
_ESCAPED = re.compile(f"(?P<markup>{_MARKUP})|{'|'.join(_LINKS)}", re.I | re.A)


def md_table(grid: Grid) -> str:
    """A grid as a table. Names stay as they are: whatever Markdown would read as markup is escaped."""
    from tabulate import tabulate

    lines = [[_cell(cell) for cell in row] for row in grid.rows]
    if grid.references:  # Markdown knows no rule inside a table: a line of its own stands for it
        lines.append(["", "*Reference rows, not tested:*", *[""] * (len(grid.headers) - 2)])
        lines += [[_cell(cell) for cell in row] for row in grid.references]
    return str(
        tabulate(lines, headers=[md_text(header) for header in grid.headers], tablefmt="github", disable_numparse=True)
    )


def _cell(cell: Cell) -> str:
    text = md_text(cell.text)
    text = f"**{text}**" if cell.best else f"<ins>{text}</ins>" if cell.second else text
    return f"{text}<sup>{cell.beats}</sup>" if cell.beats else text


def md_text(text: str) -> str:
    """Plain text on one line, escaped, and cut by a comment where it would become a link.

    An entity would not do: GitHub looks for addresses after it has read entities and backslashes.
    """
    return _ESCAPED.sub(lambda found: f"\\{found[0]}" if found["markup"] else "<!-- -->", " ".join(text.split()))
