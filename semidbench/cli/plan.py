"""`semidbench plan`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from semidbench.cli.app import TrackName, app


@app.command()
def plan(
    track: TrackName = "demo",
    data: Annotated[
        Path | None,
        typer.Option(help="Folder with the track's data, if it reads any; else its expected sizes count."),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Where stage outputs are kept. Default: $SEMIDBENCH_CACHE, or the user's cache.")
    ] = None,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="auto: CUDA where there is some.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Say what a run will cost before it starts.

    Cells, tokens, disk, and hours on this machine.

    The hours come from about a minute of training steps and decoding in the generator's shape. They are one process's,
    cell after cell: run --jobs divides them.

    \b
    semidbench plan --track paper
    """
    from rich.console import Console

    from semidbench.cli.progress import reporter_for
    from semidbench.preview.plan import plan as make_plan
    from semidbench.preview.plan import to_json
    from semidbench.preview.plan_table import to_rich

    with reporter_for(Console(stderr=True)) as reporter:
        made = make_plan(track, data=data, cache=cache, device=device, reporter=reporter)
    if as_json:
        sys.stdout.write(to_json(made))
        return
    Console().print(to_rich(made))
