"""From a track's dataset recipe to data, and the numbers to report about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from semidbench.dataset import RawData, folder
from semidbench.dataset.movielens.descriptions import description_key
from semidbench.dataset.movielens.locate import (
    GENOME_ROLES,
    QUERIES,
    ROLES,
    find_descriptions,
    find_queries,
    find_release,
    must_hold,
)
from semidbench.dataset.movielens.read import MovieLensData, read_movielens
from semidbench.dataset.queries.query_files import QueryTargets, read_queries
from semidbench.dataset.queries.templates import write_queries
from semidbench.dataset.world import make_world
from semidbench.errors import UserError
from semidbench.store.files import file_sha256
from semidbench.tracks.track import Folder, MovieLens, Track


@dataclass(frozen=True, slots=True)
class Prepared:
    """A dataset and one sentence each about what was odd in its files."""

    raw: RawData
    notes: tuple[str, ...]


def prepare(track: Track, data: Path | None) -> Prepared:
    """The dataset that the track's recipe names; `data` is where the user's files lie, if it reads any.

    Raises:
        UserError: the recipe reads files and `data` is missing or wrong, or is given and not read.
    """
    section = track.dataset
    if isinstance(section, MovieLens):
        return _prepare_movielens(track.name, section, data_folder(track, data))
    if isinstance(section, Folder):
        return Prepared(*folder.read_folder(section, data_folder(track, data)))
    _refuse_data(track, data)
    return Prepared(make_world(section), ())


def source_hashes(track: Track, data: Path | None) -> dict[str, str]:
    """SHA-256 in hex of each file that `prepare` would read, by role; none for a built-in dataset.

    The roles are movies, ratings and tags (and links and the genome's, where these are needed) for an unpacked
    release, movielens for its zip as a whole; descriptions; queries; items and interactions.

    Raises:
        UserError: as `prepare`, for files that are missing.
    """
    section = track.dataset
    if isinstance(section, MovieLens):
        files = _movielens_files(track.name, section, data_folder(track, data))
    elif isinstance(section, Folder):
        found = folder.find_files(data_folder(track, data))
        files = {"items": found.items, "interactions": found.interactions, "queries": found.queries}
    else:
        _refuse_data(track, data)
        files = {}
    hashes = {role: file_sha256(path) for role, path in files.items()}
    if isinstance(section, MovieLens) and "queries" not in files and find_queries(data_folder(track, data)):
        hashes["queries"] = "not read"  # which `prepare` has a note about
    return hashes


def data_folder(track: Track, data: Path | None) -> Path:
    """`data`, for a recipe that reads files.

    Raises:
        UserError: it is None.
    """
    if data is None:
        holds = must_hold(track.dataset) if isinstance(track.dataset, MovieLens) else folder.MUST_HOLD
        raise UserError(f"track {track.name} needs data files. {holds}")
    return data


def _refuse_data(track: Track, data: Path | None) -> None:
    if data is not None:
        raise UserError(f"track {track.name} reads no files: its data is built in. Leave --data {data} out")


def _movielens_files(name: str, section: MovieLens, data: Path) -> dict[str, Path]:
    release, descriptions = find_release(section, data), find_descriptions(data)
    files = {"movielens": release.path}
    if release.path.is_dir():
        roles = [*ROLES, *(GENOME_ROLES if section.genome_tags else ())]
        roles += [] if description_key(descriptions) == "movieId" else ["links"]
        files = {role: release.path / f"{role}.csv" for role in roles}
    files["descriptions"] = descriptions
    if section.queries == "file":
        files["queries"] = query_file(name, data)
    return files


def query_file(name: str, data: Path) -> Path:
    """queries.jsonl in `data`, for the track of that name.

    Raises:
        UserError: there is none, or several.
    """
    found = find_queries(data)
    if found is None:
        raise UserError(
            f"no {QUERIES} in {data}, and track {name} reads its queries from one. Put it there, or have a language "
            "model write it: `semidbench data queries`"
        )
    return found


def _prepare_movielens(name: str, section: MovieLens, data: Path) -> Prepared:
    given = query_file(name, data) if section.queries == "file" else None
    movies = read_movielens(section, data)
    if given:
        train, test, notes = read_queries(given, query_targets(movies), section.train_queries, section.test_queries)
    else:
        train, test = write_queries(section, movies.catalogue, movies.cast)
        unread = f'{QUERIES} is not read: the track has queries = "{section.queries}"'
        notes = (unread,) if find_queries(data) else ()
    return Prepared(RawData(movies.catalogue, movies.interactions, train, test), (*movies.notes, *notes))


def query_targets(movies: MovieLensData) -> QueryTargets:
    """These movies, as what the lines of a query file may be for."""
    return QueryTargets(
        field="movieId",
        kinds=(int,),
        rows={str(movie): row for row, movie in enumerate(movies.movie_ids.tolist())},
        dropped=frozenset(map(str, movies.dropped)),
        titles=movies.catalogue.titles,
        known_in="movies.csv",
    )
