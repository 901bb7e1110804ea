"""`semidbench submit`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from semidbench.cli.app import app


@app.command()
def submit(
    run: Annotated[Path, typer.Argument(help="A run's folder, OUT/TRACK, or the results folder in it.")],
    to: Annotated[
        Path, typer.Option(help="Folder of the leaderboards; results go to TO/TRACK/results.", file_okay=False)
    ] = Path("leaderboards"),
    track: Annotated[
        str | None, typer.Option(help="The track's file, where it is not built in.", metavar="FILE")
    ] = None,
    scheme: Annotated[
        list[str] | None, typer.Option(help="Submit this row only, a scheme or a ranker. Repeat it for more.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace rows that are there with other results, all seeds of each.")
    ] = False,
) -> None:
    """Copy a run's results into a leaderboard.

    All of them, or none if `semidbench verify` would refuse one.

    A row needs every seed that its track's [submission] asks for, on the test split.

    \b
    semidbench run --scheme content/rq-kmeans/shared --seeds 5
    semidbench submit semidbench-results/demo
    semidbench submit semidbench-results/demo --scheme content/rq-kmeans/shared
    """
    from semidbench.errors import one_line
    from semidbench.submissions.submit import Refused, ids_to_publish
    from semidbench.submissions.submit import submit as copy

    try:
        done = copy(run, to, track=track, schemes=scheme or (), replace=replace)
    except Refused as refused:
        print(*map(one_line, refused.problems), sep="\n")
        raise
    for verb, paths in (("wrote", done.written), ("removed", done.removed), ("there already:", done.kept)):
        for path in paths:
            print(one_line(f"{verb} {path} and its .parquet"))
    if not done.written:
        print("nothing new")
        return
    where, option = shlex.quote(str(to)), f" --track {shlex.quote(track)}" if track else ""
    print(
        "Next:",
        f"semidbench leaderboard build --out {where}{option}",
        f"semidbench verify --out {where}{option}",
        *map(one_line, ids_to_publish(done)),
        f"git add {where}, commit, and open a pull request",
        sep="\n  ",
    )
