"""`semidbench data`: fetch, check and prepare what a run on real data needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from semidbench.cli.app import TrackName, app
from semidbench.errors import UserError

if TYPE_CHECKING:
    from semidbench.tracks.track import Track

data_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Fetch, check and prepare the data of a track that reads some.",
)
app.add_typer(data_app, name="data")

Data = Annotated[Path, typer.Option("--data", help="Folder with the track's data.")]


@data_app.command()
def fetch(
    data: Data,
    track: TrackName = "paper",
    url: Annotated[str | None, typer.Option(help="A mirror of the zip. Default: GroupLens's server.")] = None,
    sha256: Annotated[
        str | None, typer.Option(help="SHA-256 that the zip must have. Default: GroupLens's file.")
    ] = None,
) -> None:
    """Download the track's MovieLens release into DATA. A download that was cut is continued.

    \b
    semidbench data fetch --track paper --data DIR
    """
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from semidbench.dataset.movielens.releases import RELEASES, TERMS

    release = RELEASES[_release_of(_load(track))]
    try:
        from semidbench.dataset.movielens.fetch import fetch as download
    except ModuleNotFoundError as error:
        raise UserError(
            f"downloads need {error.name}, which is not installed: pip install 'semidbench[data]', or get "
            f"{release.url} by other means and put it into {data}"
        ) from error
    print(TERMS)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, transient=True) as bar:
        task = bar.add_task(release.archive, total=None)
        new = download(
            url or release.url,
            (sha256 or release.sha256).lower(),
            data / release.archive,
            lambda _, done, total: bar.update(task, completed=done, total=total or None),
        )
    print(f"{data / release.archive} {'is complete' if new else 'was there already'}, its sha256 is right")
    print(f"next: semidbench data check --track {track} --data {data}")


@data_app.command()
def check(data: Data, track: TrackName = "paper") -> None:
    """Report which parts of the track's data are there and correct, which are not, and the next command.

    \b
    semidbench data check --track paper --data DIR
    """
    from semidbench.dataset.check import check as checks

    missing = 0
    for part in checks(_load(track), data):
        missing += not part.there
        print("ok    " if part.there else "not ok", part.what)
        if part.command:
            print(f"       next: semidbench {part.command} --track {track} --data {data}")
    if missing:
        raise UserError(f"the data of track {track} is not complete: {missing} missing or wrong, see above")
    print(f"next: semidbench run --track {track} --data {data}")


@data_app.command()
def prepare(
    track: TrackName = "demo",
    data: Annotated[Path | None, typer.Option(help="Folder with the track's data, if it reads some.")] = None,
    split: Annotated[
        Literal["test", "development"], typer.Option(help="Which cases are held out, as for `run`.")
    ] = "test",
    cache: Annotated[
        Path | None, typer.Option(help="Where stage outputs are kept. Default: $SEMIDBENCH_CACHE, or the user's cache.")
    ] = None,
) -> None:
    """Prepare the track's data in the cache, as a run would first, and print the facts about it.

    \b
    semidbench data prepare --track paper --data DIR
    """
    from semidbench.runs.shared.dataset import prepare_dataset
    from semidbench.store.stages import default_store

    dataset = prepare_dataset(_load(track), split, data, cache or default_store())
    for note in dataset.notes:
        print(f"note: {note}")
    for name, value in dataset.facts.items():
        shown = f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
        print(f"{name.replace('_', ' '):<22} {shown}")
    print(f"{'prepared now' if dataset.stage.computed else 'was prepared before'}: {dataset.stage.folder}")


def _load(track: str) -> Track:
    from semidbench.tracks.files import load_track

    return load_track(track)


def _release_of(track: Track) -> str:
    from semidbench.tracks.track import MovieLens

    if not isinstance(track.dataset, MovieLens):
        raise UserError(f"track {track.name} has nothing to fetch: its data is built in or your own")
    return track.dataset.release
