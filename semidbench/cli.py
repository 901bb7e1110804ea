"""The command line. It imports what a command needs when that command runs, so that it answers at once."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from semidbench.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from semidbench.runs import Run

app = typer.Typer(
    name="semidbench",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Which Semantic ID scheme should a joint search-and-recommendation model use? "
    "Train, evaluate and rank schemes on a track, and build leaderboards from the results.",
)

TrackName = Annotated[str, typer.Option("--track", help="smoke, demo or ml-small.")]
Out = Annotated[Path, typer.Option("--out", help="Results and tables go to OUT/TRACK.", file_okay=False)]


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
    seeds: Annotated[int | None, typer.Option(help="Run seeds 0 to SEEDS-1. Default: as the track plans.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder with the data of a track that reads some (ml-small).", exists=False)
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
    skip_missing: Annotated[
        bool, typer.Option("--skip-missing", help="Leave out rows whose plugins are not installed.")
    ] = False,
    traceback: Annotated[bool, typer.Option("--traceback", help="On an error, show where it happened.")] = False,
) -> None:
    """Train, evaluate and rank schemes; print the leaderboard.

    A second run computes nothing again, and a run that was killed goes on where it was.
    Reference rows (rankers without IDs) stand under the table.

    \b
    semidbench run                              the demo: minutes on a laptop
    semidbench run --track ml-small --data DIR  MovieLens ml-latest-small
    semidbench run --scheme content/rq-kmeans/shared --seeds 5
    """
    from rich.console import Console

    from semidbench.progress import reporter_for
    from semidbench.resolve import MissingMethod
    from semidbench.runs import run as run_schemes

    console = Console(stderr=True)
    try:
        with reporter_for(console) as reporter:
            done = run_schemes(
                track,
                scheme or (),
                seeds,
                data=data,
                out=out,
                cache=cache,
                split=split,
                device=device,
                skip_missing=skip_missing,
                reporter=reporter,
            )
    except MissingMethod as error:
        if skip_missing or not (sys.stdin.isatty() and console.is_terminal):
            raise
        console.print(str(error), markup=False, soft_wrap=True)
        if not typer.confirm("Leave out what is missing and run the rest?", err=True):
            raise
        return run(track, scheme, seeds, data, out, cache, split, device, True, traceback)
    except UserError as error:
        if traceback and error.__cause__:
            import traceback as printer

            printer.print_exception(error.__cause__)
        raise
    _show(Console(), done)


def _show(console: Console, done: Run) -> None:
    from semidbench.tables import to_rich

    console.print(to_rich(done.leaderboard))
    console.print("Files:", *(str(path) for path in done.files), sep="\n  ", markup=False, soft_wrap=True)
    console.print(f"  {done.folder / 'results'}/ (one JSON and one Parquet a cell)", markup=False, soft_wrap=True)


@app.command()
def leaderboard(
    track: TrackName = "demo",
    out: Out = Path("semidbench-results"),
    format: Annotated[
        Literal["table", "md", "csv", "json", "latex"], typer.Option(help="table is for the terminal.")
    ] = "table",
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

    board = build(track, out, unit=unit)
    if format == "table":
        Console().print(tables.to_rich(board))
        return
    sys.stdout.write(tables.render(board, format))


@app.command("list")
def list_methods(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Fail if a plugin does not load.")] = False,
) -> None:
    """List the installed embedders, quantizers, layouts and rankers, and the tracks."""
    from semidbench.registry import KINDS, load_registry
    from semidbench.track import built_in_tracks

    registry = load_registry()
    if as_json:
        methods = [
            {"kind": m.kind, "name": m.name, "distribution": m.distribution, "version": m.version}
            for kind in KINDS
            for m in registry.methods[kind].values()
        ]
        print(json.dumps({"methods": methods, "problems": registry.problems, "tracks": built_in_tracks()}, indent=1))
    else:
        for kind in KINDS:
            print(f"{kind}s" + ("" if registry.methods[kind] else ": none"))
            for name, method in sorted(registry.methods[kind].items()):
                print(f"  {name:<20} {method.distribution} {method.version}")
        print("tracks\n  " + "  ".join(built_in_tracks()))
    for problem in registry.problems:
        print(f"warning: plugin not usable: {problem}", file=sys.stderr)
    if strict and registry.problems:
        raise UserError(f"{len(registry.problems)} plugin problem(s), see the warnings above")


def _version(asked: bool) -> None:
    if asked:
        from semidbench import __version__

        print(f"semidbench {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None: ...


def main() -> None:
    """Entry point: a `UserError` is one line on stderr and exit code 2."""
    try:
        app()
    except UserError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("interrupted: finished stages are kept, the same command goes on from there", file=sys.stderr)
        raise SystemExit(130) from None
