"""`semidbench aa`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from semidbench.cli.app import Out, TrackName, app


@app.command()
def aa(
    scheme: Annotated[str, typer.Option(help="The row to compare with itself, e.g. content/rq-kmeans/shared.")],
    track: TrackName = "demo",
    out: Out = Path("semidbench-results"),
    size: Annotated[int, typer.Option(help="Seeds in each of the two sets.")] = 3,
    repeats: Annotated[int, typer.Option(help="Random pairs of disjoint sets.")] = 200,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    family: Annotated[
        int | None,
        typer.Option(help="m, the pairs to correct for. Default: those of the rows of `--table all`."),
    ] = None,
    beside: Annotated[
        Path | None,
        typer.Option(help="Judge the sets among the other rows in BESIDE/TRACK, as in its table.", file_okay=False),
    ] = None,
    format: Annotated[Literal["table", "md", "json"], typer.Option(help="table is for the terminal.")] = "table",
) -> None:
    """How often do the tests tell a scheme from itself?

    From the results in OUT/TRACK; trains nothing, needs no torch.

    \b
    semidbench run --track demo --scheme content/rq-kmeans/shared --seeds 24 --out aa
    semidbench aa --track demo --scheme content/rq-kmeans/shared --out aa --beside leaderboards
    """
    from rich.console import Console

    from semidbench.leaderboards.false_alarms import tables as aa_report
    from semidbench.leaderboards.false_alarms.measure import false_alarms
    from semidbench.leaderboards.terminal import rich_table

    found = false_alarms(track, scheme, out, size=size, repeats=repeats, seed=seed, family=family, beside=beside)
    if format == "table":
        Console().print(rich_table(aa_report.alarms_grid(found), aa_report.aa_caption(found)))
        return
    sys.stdout.write(aa_report.to_markdown(found) if format == "md" else aa_report.to_json(found))
