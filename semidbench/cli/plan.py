"""`semidbench plan`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from semidbench.cli.app import Table, TrackName, app


@app.command()
def plan(
    track: TrackName = "demo",
    scheme: Annotated[
        list[str] | None,
        typer.Option(help="A row as embedder/quantizer/layout. Repeat it for more rows. Default: the track's rows."),
    ] = None,
    table: Annotated[
        Table | None, typer.Option(help="The rows of the paper's Table 1, 2 or 3, extra rows of ours, or all of these.")
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="Seeds 0 to SEEDS-1. Default: as the track plans.")] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder with the track's data, if it reads any; else its expected sizes count."),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Where stage outputs are kept. Default: $SEMIDBENCH_CACHE, or the user's cache.")
    ] = None,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="auto: CUDA where there is some.")] = "auto",
    jobs: Annotated[int | None, typer.Option(help="Cells at a time. Default: as many as a run takes here.")] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Measure again, instead of what earlier runs and plans have shown.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Say what a run will cost before it starts.

    Cells, tokens, disk, and the time that semidbench run takes with the same options, if it starts now.

    The time comes from what earlier runs have recorded on this machine. What they do not show is measured, for a
    minute or two: training steps, decoding, and the methods' stages on the track's data. That is kept in the cache.

    \b
    semidbench plan                             the demo
    semidbench plan --track ml-small --data DIR --table 2
    semidbench plan --track paper               before there is any data
    """
    from rich.console import Console

    from semidbench.cli.progress import reporter_for
    from semidbench.preview.plan import plan as make_plan
    from semidbench.preview.plan import to_json
    from semidbench.preview.plan_table import to_rich

    with reporter_for(Console(stderr=True)) as reporter:
        made = make_plan(
            track,
            scheme or (),
            seeds,
            table=table,
            data=data,
            cache=cache,
            device=device,
            jobs=jobs,
            fresh=fresh,
            reporter=reporter,
        )
    if as_json:
        sys.stdout.write(to_json(made))
        return
    Console().print(to_rich(made))
