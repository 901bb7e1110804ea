"""Whether a data folder has all that a run needs: what is there, and what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from semidbench.dataset import folder
from semidbench.dataset.movielens.descriptions import description_key
from semidbench.dataset.movielens.locate import GENOME_ROLES, ROLES, find_descriptions, find_release
from semidbench.dataset.movielens.releases import RELEASES
from semidbench.dataset.prepare import Prepared, prepare, query_file
from semidbench.errors import UserError
from semidbench.store.files import file_sha256
from semidbench.tracks.track import Folder, MovieLens, Track


@dataclass(frozen=True, slots=True)
class DataCheck:
    """One thing that was looked for.

    Attributes:
        there: whether it was found and is in order.
        what: one sentence.
        command: the semidbench command that provides it, without --track and --data, with capitals for what only the
            user knows; empty if there is none.
    """

    there: bool
    what: str
    command: str = ""


def check(track: Track, data: Path) -> Iterator[DataCheck]:
    """Look for each file, then, if all are there, read them as a run does. Each result comes at once."""
    complete = True
    for look, command in _parts(track, data):
        try:
            yield DataCheck(True, look())
        except UserError as error:
            complete = False
            yield DataCheck(False, str(error), command)
    if complete:
        try:
            yield from (DataCheck(True, line) for line in _counts(prepare(track, data)))
        except UserError as error:
            yield DataCheck(False, str(error))


def _parts(track: Track, data: Path) -> list[tuple[Callable[[], str], str]]:
    section = track.dataset
    if isinstance(section, MovieLens):
        parts = [(lambda: _release(section, data), "data fetch"), (lambda: _descriptions(data), "")]
        if section.queries == "file":
            parts.append((lambda: str(query_file(track.name, data)), "data queries --model NAME --base-url URL"))
        return parts
    if isinstance(section, Folder):
        return [
            (lambda: str(folder.table_file(data, "items")), ""),
            (lambda: str(folder.table_file(data, "interactions")), ""),
            (lambda: str(folder.query_file(data)), ""),
        ]
    raise UserError(f"track {track.name} reads no files: its data is built in, and there is nothing to check")


def _release(section: MovieLens, data: Path) -> str:
    files, official = find_release(section, data), RELEASES[section.release]
    for role in _roles(section, data):
        with files.file(role).open():
            pass  # it exists: more is not checked here
    if files.path.is_dir():
        return f"{files.path} (unpacked)"
    same = file_sha256(files.path) == official.sha256
    return f"{files.path} ({'the' if same else 'not the'} file that GroupLens published, by its sha256)"


def _roles(section: MovieLens, data: Path) -> list[str]:
    """The release's CSV files that a run reads."""
    roles = [*ROLES, *(GENOME_ROLES if section.genome_tags else ())]
    with suppress(UserError):  # missing descriptions are reported on their own
        roles += [] if description_key(find_descriptions(data)) == "movieId" else ["links"]
    return roles


def _descriptions(data: Path) -> str:
    path = find_descriptions(data)
    return f"{path} (by {description_key(path)})"


def _counts(prepared: Prepared) -> list[str]:
    raw = prepared.raw
    return [
        f"{len(raw.catalogue):,} items, {raw.interactions.n_users:,} users, {len(raw.interactions):,} interactions, "
        f"{len(raw.train_queries):,} training and {len(raw.test_queries):,} test queries",
        *prepared.notes,
    ]
