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
    unit: Annotated[
        Literal["case", "seed"], typer.Option(help="What the t-tests pair: test items and users, or seeds.")
    ] = "case",
) -> None:
    """Hold results against the paper.

    Those in OUT/TRACK: against its claims, and on the paper track against its numbers. Needs no torch.

    \b
    semidbench compare --out leaderboards --track demo
    semidbench compare --format md
    """
    from rich.console import Console

    from semidbench.leaderboards.board import leaderboard
    from semidbench.leaderboards.claims.compare import RENDERERS, to_rich
    from semidbench.leaderboards.claims.judge import judge

    ledger = judge(leaderboard(track, out, unit=unit))
    if format == "table":
        Console().print(*to_rich(ledger), sep="\n")
        return
    sys.stdout.write(RENDERERS[format](ledger))
