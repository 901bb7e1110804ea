"""`semidbench run`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from semidbench.cli.app import Out, Table, TrackName, app, cause_shown

if TYPE_CHECKING:
    from rich.console import Console

    from semidbench.runs.run import Run


@app.command()
def run(
    track: TrackName = "demo",
    scheme: Annotated[
        list[str] | None,
        typer.Option(
            help="A row as embedder/quantizer/layout, e.g. content/rq-kmeans/shared; options in brackets: "
            "search[epochs=3]/rq-kmeans/shared. Repeat it for more rows. Default: the track's rows."
        ),
    ] = None,
    table: Annotated[
        Table | None, typer.Option(help="The rows of the paper's Table 1, 2 or 3, extra rows of ours, or all of these.")
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="Run seeds 0 to SEEDS-1. Default: as the track plans.")] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder with the data of a track that reads some: ml-small, paper, your own.", exists=False),
    ] = None,
    out: Out = Path("semidbench-results"),
    cache: Annotated[
        Path | None, typer.Option(help="Where stage outputs are kept. Default: $SEMIDBENCH_CACHE, or the user's cache.")
    ] = None,
    split: Annotated[
        Literal["test", "development"],
        typer.Option(help="development: other held-out cases, for choices while a scheme is being made."),
    ] = "test",
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="auto: CUDA where there is some.")] = "auto",
    jobs: Annotated[
        int | None,
        typer.Option(
            help="Cells at a time, each in a process of its own; on a CPU it changes no number. Default: as many as "
            "cores and free memory allow, on CUDA at most one for each card. A higher number is taken, with a note.",
        ),
    ] = None,
    gpus: Annotated[
        int, typer.Option(help="Graphics cards that train each generator together; cells then run one at a time.")
    ] = 1,
    plugin_minutes: Annotated[
        float | None, typer.Option(help="Minutes that a plugin's stage may take. Default: as the track plans.")
    ] = None,
    plugin_memory: Annotated[
        float | None,
        typer.Option(
            metavar="GIB",
            help="Memory that it may take, on a CPU. Default: what is free, divided by the cells at a time.",
        ),
    ] = None,
    debug_plugins: Annotated[
        bool,
        typer.Option(
            "--debug-plugins",
            help="Plugins work in this process, one cell at a time, so that a debugger stops in them. Nothing then "
            "holds them to their limits, and a crash ends the run.",
        ),
    ] = False,
    skip_missing: Annotated[
        bool, typer.Option("--skip-missing", help="Leave out rows whose plugins are not installed.")
    ] = False,
    traceback: Annotated[bool, typer.Option("--traceback", help="On an error, show where it happened.")] = False,
) -> None:
    """Train, evaluate and rank schemes; print the leaderboard.

    A second run computes nothing again, and a run that was killed goes on where it was.
    Reference rows (rankers without IDs) stand under the table.
    Plugins work in processes of their own. One that fails costs its cells and no other: the run goes on, says
    at the end what happened where, and exits with 1. Plugins' output: OUT/TRACK/failures/.

    \b
    semidbench run                              the demo: minutes on a laptop
    semidbench run --track ml-small --data DIR  MovieLens ml-latest-small
    semidbench run --scheme content/rq-kmeans/shared --seeds 5
    semidbench run --table 2                    the rows of the paper's Table 2
    semidbench run --table extra                rows of ours beside its tables; all: every one
    """
    from rich.console import Console

    from semidbench.cli.progress import reporter_for
    from semidbench.methods.resolved import MissingMethod
    from semidbench.runs.run import run as run_schemes

    console = Console(stderr=True)
    try:
        with cause_shown(traceback), reporter_for(console) as reporter:
            done = run_schemes(
                track,
                scheme or (),
                seeds,
                table=table,
                data=data,
                out=out,
                cache=cache,
                split=split,
                device=device,
                jobs=jobs,
                gpus=gpus,
                plugin_minutes=plugin_minutes,
                plugin_memory=plugin_memory,
                debug_plugins=debug_plugins,
                skip_missing=skip_missing,
                reporter=reporter,
            )
    except MissingMethod as error:
        if skip_missing or not (sys.stdin.isatty() and console.is_terminal):
            raise
        console.print(str(error), markup=False, soft_wrap=True)
        if not typer.confirm("Leave out what is missing and run the rest?", err=True):
            raise
        limits = plugin_minutes, plugin_memory, debug_plugins
        return run(track, scheme, table, seeds, data, out, cache, split, device, jobs, gpus, *limits, True, traceback)
    _show(Console(), done)
    if done.failures:
        from semidbench.leaderboards.board import RESULTS
        from semidbench.runs.failures import summary

        console.print(summary(done.failures, done.folder / RESULTS), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1)


def _show(console: Console, done: Run) -> None:
    from semidbench.leaderboards.tables import to_rich

    if done.leaderboard is None:
        return
    console.print(to_rich(done.leaderboard))
    console.print("Files:", *(str(path) for path in done.files), sep="\n  ", markup=False, soft_wrap=True)
    console.print(f"  {done.folder / 'results'}/ (one JSON and one Parquet a cell)", markup=False, soft_wrap=True)
