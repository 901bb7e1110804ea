"""`semidbench import`: what was made elsewhere, to be run here."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from semidbench.cli.app import TrackName, app

if TYPE_CHECKING:
    from semidbench.exchange.imported_ids import ImportedIds

import_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Take in IDs that were made elsewhere.",
)
app.add_typer(import_app, name="import")


@import_app.callback()
def _several() -> None: ...  # so that `import` is a group, though it has one command


@import_app.command()
def ids(
    file: Annotated[Path, typer.Argument(help="IDs as `export ids` writes them: Parquet, or JSON for both tasks.")],
    name: Annotated[str, typer.Option(help="What the scheme calls them: a-z 0-9 _ -")],
    rec: Annotated[
        Path | None, typer.Option(help="JSON of other IDs for recommendation; FILE is then for search.")
    ] = None,
    track: TrackName = "demo",
    data: Annotated[Path | None, typer.Option(help="Folder with the data of a track that reads some.")] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Where stage outputs are kept. Default: $SEMIDBENCH_CACHE, or the user's cache.")
    ] = None,
) -> None:
    """Check IDs against a track, keep them, and print the scheme that runs them: no plugin to write.

    JSON reads {"0": ["<a_12>", "<b_5>"], ...} or {"0": [12, 5], ...}, every item's row once, 1 to 8 tokens
    each. They are kept in $SEMIDBENCH_IDS, or in a folder among the user's data.

    \b
    semidbench import ids index.json --name mine --track smoke
    semidbench import ids search.json --rec rec.json --name mine --track smoke
    """
    from semidbench.exchange.imported_ids import import_ids
    from semidbench.runs.shared.dataset import prepare_dataset
    from semidbench.store.stages import default_store
    from semidbench.tracks.files import load_track

    chosen = load_track(track)
    dataset = prepare_dataset(chosen, "test", data, cache or default_store())
    done = import_ids(file, rec, name, chosen, dataset.train.n_items)
    _show(done, chosen.name, data)


def _show(done: ImportedIds, track: str, data: Path | None) -> None:
    from semidbench.api import TASKS
    from semidbench.exchange.ids_parquet import same_ids
    from semidbench.ids.usage import id_use

    for task in TASKS[: 1 if same_ids(done.ids) else None]:
        use, tasks = id_use(done.ids[task]), "both tasks" if same_ids(done.ids) else task
        levels = ", ".join(f"{level.slot} {level.used}/{level.size}" for level in use.levels)
        print(f"{tasks}: {len(done.ids[task].codes):,} items, {use.distinct:,} IDs; codes used: {levels}")
    print(f"{'kept' if done.new else 'was there already'}: {done.path}")
    options = f" --data {shlex.quote(str(data))}" if data else ""
    print(f"next: semidbench run --track {track}{options} --scheme {shlex.quote(done.scheme)}")
