"""MovieLens in the format of ml-latest-small, joined with descriptions: catalogue and interactions."""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from semidbench import track
from semidbench.api import Catalogue, Interactions, Ints
from semidbench.dataset.item_text import item_text
from semidbench.dataset.sources import Sources, find_sources, read_bytes
from semidbench.dataset.table import read_table
from semidbench.errors import UserError

_YEAR = re.compile(r"\s*\((\d{4})(?:\s*[-\u2013]\s*(?:\d{4})?)?\)\s*$")
_ARTICLES = "The|A|An|Le|La|Les|L'|Un|Une|Il|Lo|I|Gli|El|Los|Las|Der|Die|Das|Ein|Eine|Den|Det|De|Het|En|Ett|O|Os"
_TURNED = re.compile(rf"(.+), ({_ARTICLES})", re.IGNORECASE)
NO_GENRES = "(no genres listed)"


@dataclass(frozen=True, slots=True)
class MovieLensData:
    """What was read.

    Attributes:
        catalogue: the kept movies, in order of movieId.
        interactions: their ratings; users in order of userId.
        movie_ids: int64 (N,), the movieId of each item.
        dropped: movieIds of movies.csv that are not in the catalogue.
        cast: names per item, possibly none.
        notes: one sentence each about oddities that are no errors, with counts.
    """

    catalogue: Catalogue
    interactions: Interactions
    movie_ids: Ints
    dropped: frozenset[int]
    cast: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Movie:
    title: str
    year: int
    genres: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Ratings:
    """All ratings, int64, sorted by userId, timestamp, movieId."""

    users: Ints
    movies: Ints
    timestamps: Ints


def read_movielens(section: track.MovieLens, data: Path) -> MovieLensData:
    """Read the files that `find_sources` finds under `data`.

    Every rating is an interaction. Items with fewer than `min_ratings` ratings are left out with their
    interactions, then users without any. A user's interactions are ordered by timestamp, then movieId.

    Raises:
        UserError: a file is missing, damaged or inconsistent; the message names file and line.
    """
    sources = find_sources(data)
    movies = _read_movies(sources)
    ratings = _read_ratings(sources, movies)
    tags, blank_tags = _read_tags(sources, movies)
    described, strangers = _read_descriptions(sources, movies)

    movie_ids, interactions, notes = _keep(section.min_ratings, movies, ratings)
    kept = [movies[movie] for movie in movie_ids.tolist()]
    descriptions = [described.get(movie, ("", ()))[0] for movie in movie_ids.tolist()]
    item_tags = [tags.get(movie, ()) for movie in movie_ids.tolist()]
    catalogue = Catalogue(
        texts=tuple(
            item_text(movie.title, movie.year, movie.genres, item_tags[row], descriptions[row])
            for row, movie in enumerate(kept)
        ),
        titles=tuple(movie.title for movie in kept),
        years=np.array([movie.year for movie in kept], dtype=np.int64),
        categories=tuple(movie.genres for movie in kept),
        tags=tuple(item_tags),
        descriptions=tuple(descriptions),
    )
    notes += _counted(
        (sum(not movie.year for movie in kept), "items without a year in their title"),
        (sum(not movie.genres for movie in kept), "items without genres"),
        (sum(not text for text in descriptions), "items without a description"),
        (blank_tags, "blank tags in tags.csv, dropped"),
        (strangers, "descriptions of movies that movies.csv does not have, ignored"),
    )
    return MovieLensData(
        catalogue=catalogue,
        interactions=interactions,
        movie_ids=movie_ids,
        dropped=frozenset(movies) - frozenset(movie_ids.tolist()),
        cast=tuple(described.get(movie, ("", ()))[1] for movie in movie_ids.tolist()),
        notes=tuple(notes),
    )


def turn_title(title: str) -> str:
    """'Postman, The (Postino, Il)' to 'The Postman (Il Postino)'."""
    inside = re.sub(r"\(([^()]*)\)", lambda found: f"({_turn(found[1])})", title)
    head, bracket, rest = inside.partition(" (")
    return _turn(head) + bracket + rest


def _turn(title: str) -> str:
    found = _TURNED.fullmatch(title.strip())
    if not found:
        return title.strip()
    return f"{found[2]}{'' if found[2].endswith(chr(39)) else ' '}{found[1]}"


def _read_movies(sources: Sources) -> dict[int, _Movie]:
    movies: dict[int, _Movie] = {}
    for row in read_table(*sources.read("movies"), ("movieId", "title", "genres")):
        movie = row.integer(0, "movieId")
        raw = row.fields[1].strip()
        if movie in movies:
            raise row.error(f"movieId {movie} is there a second time")
        if not raw:
            raise row.error(f"the title of movie {movie} is blank")
        year = _YEAR.search(raw)
        genres = (genre.strip() for genre in row.fields[2].split("|"))
        movies[movie] = _Movie(
            title=turn_title(_YEAR.sub("", raw)) or raw,
            year=int(year[1]) if year else 0,
            genres=tuple(dict.fromkeys(genre for genre in genres if genre and genre != NO_GENRES)),
        )
    return movies


def _read_ratings(sources: Sources, movies: dict[int, _Movie]) -> _Ratings:
    source, content = sources.read("ratings")
    columns = [array("q") for _ in range(4)]  # user, movie, timestamp, line
    unknown: list[tuple[int, int]] = []
    for row in read_table(source, content, ("userId", "movieId", "rating", "timestamp")):
        user, movie = row.integer(0, "userId"), row.integer(1, "movieId")
        row.number(2, "rating")
        if movie not in movies:
            unknown.append((row.line, movie))
        for column, number in zip(columns, (user, movie, row.integer(3, "timestamp"), row.line), strict=True):
            column.append(number)
    _refuse_unknown(source, "ratings", unknown)
    users, items, timestamps, lines = (np.array(column, dtype=np.int64) for column in columns)
    if not len(users):
        raise UserError(f"{source} has no ratings. Put the complete file there")
    _refuse_duplicates(source, users, items, lines)
    order = np.lexsort((items, timestamps, users))
    return _Ratings(users[order], items[order], timestamps[order])


def _read_tags(sources: Sources, movies: dict[int, _Movie]) -> tuple[dict[int, tuple[str, ...]], int]:
    """Tags by movieId, distinct but for case, in the order first given; how many were blank."""
    source, content = sources.read("tags")
    given: list[tuple[int, int, str]] = []
    unknown: list[tuple[int, int]] = []
    blank = 0
    for row in read_table(source, content, ("userId", "movieId", "tag", "timestamp")):
        movie, tag = row.integer(1, "movieId"), " ".join(row.fields[2].split())
        if movie not in movies:
            unknown.append((row.line, movie))
        elif tag.lower() in ("", "nan"):
            blank += 1
        else:
            given.append((row.integer(3, "timestamp"), movie, tag))
    _refuse_unknown(source, "tags", unknown)
    tags: dict[int, dict[str, str]] = {}
    for _, movie, tag in sorted(given, key=lambda entry: entry[0]):
        tags.setdefault(movie, {}).setdefault(tag.casefold(), tag)
    return {movie: tuple(distinct.values()) for movie, distinct in tags.items()}, blank


def _read_descriptions(
    sources: Sources, movies: dict[int, _Movie]
) -> tuple[dict[int, tuple[str, tuple[str, ...]]], int]:
    """Description and cast by movieId; how many rows are of movies not in movies.csv."""
    content = read_bytes(sources.descriptions)
    found: dict[int, tuple[str, tuple[str, ...]]] = {}
    for row in read_table(str(sources.descriptions), content, ("movieId", "description"), ("cast",)):
        movie = row.integer(0, "movieId")
        if movie in found:
            raise row.error(f"movieId {movie} is there a second time")
        names = (name.strip() for name in row.fields[2].split("|"))
        found[movie] = (" ".join(row.fields[1].split()), tuple(name for name in names if name))
    return found, sum(movie not in movies for movie in found)


def _keep(min_ratings: int, movies: dict[int, _Movie], ratings: _Ratings) -> tuple[Ints, Interactions, list[str]]:
    """movieIds of the items, interactions renumbered densely, and notes on what was left out."""
    rated, counts = np.unique(ratings.movies, return_counts=True)
    movie_ids = rated[counts >= min_ratings]
    if not len(movie_ids):
        raise UserError(
            f"no movie has {min_ratings} or more ratings (min_ratings of the track). Use the complete ratings.csv"
        )
    kept = np.isin(ratings.movies, movie_ids)
    user_ids, users = np.unique(ratings.users[kept], return_inverse=True)
    interactions = Interactions(
        users=users.astype(np.int64),
        items=np.searchsorted(movie_ids, ratings.movies[kept]).astype(np.int64),
        timestamps=ratings.timestamps[kept],
    )
    notes = _counted(
        (len(movies) - len(movie_ids), f"movies with fewer than {min_ratings} ratings, left out"),
        (int((~kept).sum()), "ratings of those movies, left out"),
        (len(np.unique(ratings.users)) - len(user_ids), "users without any other rating, left out"),
        (int((np.bincount(users) == 1).sum()), "users with one interaction (kept in training, no test case)"),
    )
    return movie_ids, interactions, notes


def _refuse_unknown(source: str, what: str, unknown: list[tuple[int, int]]) -> None:
    if unknown:
        line, movie = unknown[0]
        raise UserError(
            f"{source}: {len(unknown)} {what} are of movies that movies.csv does not have, the first on line {line} "
            f"(movieId {movie}). Use files of one MovieLens release"
        )


def _refuse_duplicates(source: str, users: Ints, items: Ints, lines: Ints) -> None:
    order = np.lexsort((lines, items, users))
    again = (np.diff(users[order]) == 0) & (np.diff(items[order]) == 0)
    if again.any():
        pairs = np.stack([lines[order][:-1][again], lines[order][1:][again]], axis=1)
        first, second = pairs[np.argmin(pairs[:, 1])].tolist()
        row = int(np.flatnonzero(lines == second)[0])
        raise UserError(
            f"{source}: {int(again.sum())} duplicate ratings of one movie by one user, the first on lines {first} and "
            f"{second} (user {users[row]}, movie {items[row]}). Keep one of each and run again"
        )


def _counted(*facts: tuple[int, str]) -> list[str]:
    return [f"{what}: {count:,}" for count, what in facts if count]
