"""The application that every command hangs on, and the options that commands share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from semidbench.errors import UserError

app = typer.Typer(
    name="semidbench",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Which Semantic ID scheme should a joint search-and-recommendation model use? "
    "Train, evaluate and rank schemes on a track, and build leaderboards from the results.",
)

TrackName = Annotated[str, typer.Option("--track", help="smoke, demo, ml-small or paper, or a track file of your own.")]
Table = Literal["1", "2", "3", "extra", "all"]
Out = Annotated[Path, typer.Option("--out", help="Results and tables go to OUT/TRACK.", file_okay=False)]


def _version(asked: bool) -> None:
    if asked:
        from semidbench.version import __version__

        print(f"semidbench {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None: ...


@contextmanager
def cause_shown(asked: bool) -> Iterator[None]:
    """What --traceback does: print where a `UserError` within comes from, and let it pass."""
    try:
        yield
    except UserError as error:
        if asked and error.__cause__:
            from traceback import print_exception

            print_exception(error.__cause__)
        raise
