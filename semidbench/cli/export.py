"""`semidbench export`: what a run made, for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from semidbench.cli.app import TrackName, app

export_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Write a cell's rankings or IDs for other programs. The cell is finished; nothing is trained.",
)
app.add_typer(export_app, name="export")

Scheme = Annotated[str, typer.Option("--scheme", help="The row, as embedder/quantizer/layout.")]
Seed = Annotated[int, typer.Option("--seed", help="The cell's seed.")]
Split = Annotated[Literal["test", "development"], typer.Option("--split", help="As for `run`.")]
Data = Annotated[Path | None, typer.Option("--data", help="Folder with the data of a track that reads some.")]
Cache = Annotated[
    Path | None,
    typer.Option("--cache", help="Where stage outputs are kept. Default: $SEMIDBENCH_CACHE, or the user's cache."),
]
Folder = Annotated[
    Path | None,
    typer.Option("--out", help="Where the files go. Default: semidbench-export/TRACK/CELL.", file_okay=False),
]
Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option("--device", help="Where the cell ran, as for `run`.")]


@export_app.command()
def trec(
    scheme: Scheme,
    seed: Seed = 0,
    track: TrackName = "demo",
    split: Split = "test",
    data: Data = None,
    cache: Cache = None,
    out: Folder = None,
    device: Device = "auto",
    gpus: Annotated[int, typer.Option(help="How many trained the cell's generator together.")] = 1,
) -> None:
    """Write the ranked lists as TREC runs, with qrels, a pair for each task. docs/how-to/exchange.md has the details.

    \b
    semidbench run --track smoke --scheme content/rq-kmeans/shared
    semidbench export trec --track smoke --scheme content/rq-kmeans/shared
    """
    from semidbench.exchange.export_trec import export_trec

    _show(export_trec(track, scheme, seed, split=split, data=data, cache=cache, out=out, device=device, gpus=gpus))


@export_app.command()
def ids(
    scheme: Scheme,
    seed: Seed = 0,
    track: TrackName = "demo",
    format: Annotated[
        Literal["parquet", "json"],
        typer.Option(help='parquet holds everything; json is {"0": ["<a_12>", "<b_5>"], ...}, item to tokens.'),
    ] = "parquet",
    split: Split = "test",
    data: Data = None,
    cache: Cache = None,
    out: Folder = None,
    device: Device = "auto",
) -> None:
    """Write each item's ID for each task. Items are row numbers. docs/how-to/exchange.md has the details.

    \b
    semidbench run --track smoke --scheme content/rq-kmeans/shared
    semidbench export ids --track smoke --scheme content/rq-kmeans/shared --format json
    """
    from semidbench.exchange.export_ids import export_ids

    _show(export_ids(track, scheme, seed, format=format, split=split, data=data, cache=cache, out=out, device=device))


def _show(files: tuple[Path, ...]) -> None:
    for path in files:
        print(path)
