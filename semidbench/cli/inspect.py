"""`semidbench inspect`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from semidbench.cli.app import TrackName, app, cause_shown
from semidbench.errors import UserError


# so that -/-/random is a scheme, not an option
@app.command(context_settings={"ignore_unknown_options": True})
def inspect(
    scheme: Annotated[list[str], typer.Argument(help="Rows as embedder/quantizer/layout.")],
    track: TrackName = "demo",
    seed: Annotated[int, typer.Option(help="The cell's seed.")] = 0,
    views: Annotated[
        str | None,
        typer.Option(
            help="Embedders joined by +, e.g. search+rec: measure every scheme on their views. Default: each scheme on "
            "its own; one without embedder on the encodings of the items' texts."
        ),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder with the data of a track that reads some.")] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Where stage outputs are kept. Default: $SEMIDBENCH_CACHE, or the user's cache.")
    ] = None,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="auto: CUDA where there is some.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    traceback: Annotated[bool, typer.Option("--traceback", help="On an error, show where it happened.")] = False,
) -> None:
    """Show schemes' IDs before any training.

    Codebook use, collisions, and what the IDs keep of the embeddings.

    \b
    semidbench inspect content/rq-kmeans/shared
    semidbench inspect search+rec/-/prefix-share search+rec/-/gensar fused-svd/rq-kmeans/shared --views search+rec
    """
    from rich.console import Console

    from semidbench.cli.progress import reporter_for
    from semidbench.preview.inspection import inspect as inspect_schemes
    from semidbench.preview.inspection_tables import error_table, to_json, use_table

    for text in scheme:
        if text.startswith("--"):
            raise UserError(f"no such option: {text}. `semidbench inspect --help` lists them")
    with cause_shown(traceback), reporter_for(Console(stderr=True)) as reporter:
        found = inspect_schemes(
            scheme, track, seed, views=views, data=data, cache=cache, device=device, reporter=reporter
        )
    if as_json:
        sys.stdout.write(to_json(found))
        return
    console = Console()
    console.print(use_table(found))
    console.print(error_table(found))
