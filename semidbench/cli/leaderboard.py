"""`semidbench leaderboard`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from semidbench.cli.app import Out, Table, TrackName, app


@app.command()
def leaderboard(
    track: TrackName = "demo",
    out: Out = Path("semidbench-results"),
    format: Annotated[
        Literal["table", "md", "csv", "json", "latex"], typer.Option(help="table is for the terminal.")
    ] = "table",
    table: Annotated[
        Table | None, typer.Option(help="Only the rows of a published table; fewer pairs, another correction.")
    ] = None,
    unit: Annotated[
        Literal["case", "seed"], typer.Option(help="What the t-tests pair: test items and users, or seeds.")
    ] = "case",
) -> None:
    """Print the leaderboard of the results in OUT/TRACK. Needs no torch.

    \b
    semidbench leaderboard --track demo --format md
    semidbench leaderboard --out leaderboards   the project's own results
    """
    from rich.console import Console

    from semidbench import tables
    from semidbench.leaderboards import leaderboard as build
    from semidbench.published import table_rows

    board = build(track, out, unit=unit, rows=table_rows(table) if table else None)
    if format == "table":
        Console().print(tables.to_rich(board))
        return
    sys.stdout.write(tables.render(board, format))
