"""`semidbench plan`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from semidbench.cli.app import Table, TrackName, app
from semidbench.errors import UserError


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
    power: Annotated[
        bool, typer.Option("--power", help="Instead: how many seeds settle a difference, from results in OUT/TRACK.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="With --power: where the results are. Default: semidbench-results.", file_okay=False),
    ] = None,
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

    With --power it says instead how many seeds settle a true difference of .01, .02 and .03, from the variances of the
    results in OUT/TRACK. It measures no time then, and needs no torch.

    \b
    semidbench plan --power --out leaderboards
    """
    if power:
        others: dict[str, object] = {
            "scheme": scheme,
            "table": table,
            "seeds": seeds,
            "data": data,
            "cache": cache,
            "jobs": jobs,
        }
        others |= {"fresh": fresh, "device": device != "auto"}
        if unused := [f"--{name}" for name, value in others.items() if value]:
            raise UserError(f"--power reads finished results and takes no {unused[0]}: leave it out")
        _print_power(track, out or Path("semidbench-results"), as_json)
        return
    if out is not None:
        raise UserError("--out names results for --power: give that too, or leave --out out")
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


def _print_power(track: str, out: Path, as_json: bool) -> None:
    from rich.console import Console

    from semidbench.leaderboards.board import leaderboard
    from semidbench.leaderboards.power import tables
    from semidbench.leaderboards.power.seeds_needed import seeds_needed
    from semidbench.leaderboards.terminal import rich_table

    found = seeds_needed(leaderboard(track, out))
    if as_json:
        sys.stdout.write(tables.to_json(found))
        return
    Console().print(rich_table(tables.needed_grid(found), tables.needed_caption(found)))
