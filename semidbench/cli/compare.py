"""`semidbench compare`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from semidbench.cli.app import Out, TrackName, app


@app.command()
def compare(
    track: TrackName = "demo",
    out: Out = Path("semidbench-results"),
    format: Annotated[Literal["table", "md", "json"], typer.Option(help="table is for the terminal.")] = "table",
    against: Annotated[
        str | None, typer.Option(help="A scheme: hold its row against each other row, not against the paper.")
    ] = None,
) -> None:
    """Hold results against the paper, or one row against the others.

    Those in OUT/TRACK: against the paper's claims, and on the paper track against its numbers. Needs no torch.

    \b
    semidbench compare --out leaderboards --track demo
    semidbench compare --out leaderboards --against content/rq-kmeans/shared
    semidbench compare --format md
    """
    from rich.console import Console

    from semidbench.leaderboards import one_row
    from semidbench.leaderboards.board import leaderboard
    from semidbench.leaderboards.claims.compare import RENDERERS, to_rich
    from semidbench.leaderboards.claims.judge import judge
    from semidbench.leaderboards.terminal import rich_table

    board = leaderboard(track, out)
    if against is not None and format == "table":
        Console().print(rich_table(one_row.against_grid(board, against), one_row.against_caption(board)))
    elif against is not None:
        sys.stdout.write((one_row.to_markdown if format == "md" else one_row.to_json)(board, against))
    elif format == "table":
        Console().print(*to_rich(judge(board)), sep="\n")
    else:
        sys.stdout.write(RENDERERS[format](judge(board)))
