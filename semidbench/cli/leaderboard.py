"""`semidbench leaderboard`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from semidbench.cli.app import Out, Table, TrackName, app
from semidbench.errors import UserError, one_line

leaderboard_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Show a leaderboard, or build all of them. With their page; needs no torch.",
)
app.add_typer(leaderboard_app, name="leaderboard")


@leaderboard_app.command()
def show(
    track: TrackName = "demo",
    out: Out = Path("semidbench-results"),
    format: Annotated[
        Literal["table", "md", "csv", "json", "latex"], typer.Option(help="table is for the terminal.")
    ] = "table",
    table: Annotated[
        Table | None, typer.Option(help="Only the rows of a published table; fewer pairs, another correction.")
    ] = None,
) -> None:
    """Print the leaderboard of the results in OUT/TRACK. Needs no torch.

    \b
    semidbench leaderboard show --track demo --format md
    semidbench leaderboard show --out leaderboards   the project's own results
    """
    from rich.console import Console

    from semidbench.leaderboards import tables
    from semidbench.leaderboards.board import leaderboard
    from semidbench.published import table_rows

    board = leaderboard(track, out, rows=table_rows(table) if table else None)
    if format == "table":
        Console().print(tables.to_rich(board))
        return
    sys.stdout.write(tables.render(board, format))


@leaderboard_app.command()
def build(
    out: Annotated[
        Path, typer.Option("--out", help="Folder with a folder per track, and in each its results/.", file_okay=False)
    ] = Path("leaderboards"),
    track: Annotated[
        list[str] | None,
        typer.Option("--track", help="Only this track's tables: a name, or a track file of your own. May be repeated."),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 2 if a file is not current.")] = False,
) -> None:
    """Build every table from the results.

    Those in OUT, and the page OUT/index.html. Same results, same bytes.

    A track's results stand in OUT/TRACK/results. The page shows all tracks, whatever --track says.

    \b
    semidbench leaderboard build
    semidbench leaderboard build --check
    semidbench leaderboard build --out my-results --track my-track.toml
    """
    from semidbench.leaderboards.build import build as render
    from semidbench.leaderboards.build import stale, write

    made = render(out, track or ())
    wrong = stale(made)
    if check:
        for path, what in wrong.items():
            print(f"{what}: {one_line(path)}")
        if wrong:
            raise UserError(
                f"{len(wrong)} of the files in {out} are not what its results give: run `semidbench leaderboard build "
                f"--out {out}`, delete what should not be there, and commit"
            )
        print(f"{len(made.files)} files in {out} are what its results give")
        return
    for path in write(made):
        print(f"wrote {path}")
    for path in made.unexpected:
        print(f"should not be there: {one_line(path)}")
    print(f"{len(made.files)} files in {out} are what its results give")
