"""MovieLens as GroupLens publishes it, joined with descriptions: catalogue and interactions."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from semidbench.api import Catalogue, Interactions, Ints
from semidbench.dataset import counted
from semidbench.dataset.item_text import item_text
from semidbench.dataset.latest import are_in
from semidbench.dataset.movielens.descriptions import NO_DESCRIPTION, Description, read_descriptions
from semidbench.dataset.movielens.genome import read_genome
from semidbench.dataset.movielens.locate import ReleaseFiles, find_descriptions, find_release
from semidbench.dataset.movielens.ratings import Ratings, read_ratings, unknown_movies
from semidbench.dataset.tables.csv_files import read_rows
from semidbench.errors import UserError
from semidbench.tracks import track

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
        notes: one sentence each about what was left out or is missing, with counts.
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


def read_movielens(section: track.MovieLens, data: Path) -> MovieLensData:
    """Read the release's files and the descriptions under `data` (see semidbench.dataset.movielens.locate).

    Every rating is an interaction. First movies without a description are left out with their ratings, where
    the section requires it; then all but each user's last ratings; then movies with fewer ratings than
    `min_ratings`, with theirs; then users without any. A user's interactions are ordered by timestamp, then
    movieId.

    Raises:
        UserError: a file is missing, damaged or inconsistent; the message names file and line.
    """
    files = find_release(section, data)
    described_in = find_descriptions(data)
    movies = _read_movies(files)
    described, unknown_rows = read_descriptions(described_in, movies.keys(), files)
    notes = _described_notes(section, described_in, movies, described)
    known = np.array(sorted(movies), dtype=np.int64)
    wanted = known[
        [not section.described_only or bool(described.get(movie, NO_DESCRIPTION).text) for movie in known.tolist()]
    ]
    ratings = read_ratings(files.file("ratings"), known, wanted, section.last_interactions)
    tags, blank_tags = _read_tags(files, movies, section.max_tags)
    genome = read_genome(files, known, section.genome_tags) if section.genome_tags else {}

    movie_ids, interactions, left_out = _keep(section, wanted, ratings)
    of_item = [described.get(movie, NO_DESCRIPTION) for movie in movie_ids.tolist()]
    catalogue = _catalogue(movie_ids, movies, of_item, tags, genome)
    notes += left_out + counted(
        (int((catalogue.years == 0).sum()), "items without a year in their title"),
        (sum(not genres for genres in catalogue.categories), "items without genres"),
        (sum(not text for text in catalogue.descriptions), "items without a description"),
        (
            len(movie_ids) - sum(movie in genome for movie in movie_ids.tolist()) if genome else 0,
            "items without a genome",
        ),
        (blank_tags, "blank tags in tags.csv, dropped"),
        (unknown_rows, "descriptions of movies that movies.csv does not have, ignored"),
    )
    return MovieLensData(
        catalogue=catalogue,
        interactions=interactions,
        movie_ids=movie_ids,
        dropped=frozenset(movies) - frozenset(movie_ids.tolist()),
        cast=tuple(item.cast for item in of_item),
        notes=tuple(notes),
    )


def turn_title(title: str) -> str:
    """'Postman, The (Postino, Il)' to 'The Postman (Il Postino)'."""
    inside = re.sub(r"\(([^()]*)\)", lambda match: f"({_turn(match[1])})", title)
    head, bracket, rest = inside.partition(" (")
    return _turn(head) + bracket + rest


def _turn(title: str) -> str:
    match = _TURNED.fullmatch(title.strip())
    if not match:
        return title.strip()
    return f"{match[2]}{'' if match[2].endswith(chr(39)) else ' '}{match[1]}"


def _read_movies(files: ReleaseFiles) -> dict[int, _Movie]:
    movies: dict[int, _Movie] = {}
    file = files.file("movies")
    for row in read_rows(file, ("movieId", "title", "genres")):
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
    if not movies:
        raise UserError(f"{file.source} has no movies. Put the complete file there")
    return movies


def _read_tags(
    files: ReleaseFiles, movies: Mapping[int, _Movie], most: int | None
) -> tuple[dict[int, tuple[str, ...]], int]:
    """Tags by movieId, distinct but for case, in the order first given; how many were blank.

    Of a movie with more than `most` tags those that were given most often are kept, the earlier of two that
    were given equally often.
    """
    file = files.file("tags")
    given: list[tuple[int, int, str]] = []
    unknown: list[tuple[int, int]] = []
    blank = 0
    for row in read_rows(file, ("userId", "movieId", "tag", "timestamp")):
        movie, tag = row.integer(1, "movieId"), " ".join(row.fields[2].split())
        if movie not in movies:
            unknown.append((row.line, movie))
        elif tag.lower() in ("", "nan"):
            blank += 1
        else:
            given.append((row.integer(3, "timestamp"), movie, tag))
    if unknown:
        raise unknown_movies(file.source, "tags", len(unknown), *unknown[0])
    first: defaultdict[int, dict[str, str]] = defaultdict(dict)
    times_given: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for _, movie, tag in sorted(given, key=lambda entry: entry[0]):
        first[movie].setdefault(tag.casefold(), tag)
        times_given[movie][tag.casefold()] += 1
    kept = {movie: {tag for tag, _ in counts.most_common(most)} for movie, counts in times_given.items()}
    tags = {movie: tuple(text for tag, text in own.items() if tag in kept[movie]) for movie, own in first.items()}
    return tags, blank


def _described_notes(
    section: track.MovieLens, path: Path, movies: Mapping[int, _Movie], described: Mapping[int, Description]
) -> list[str]:
    """What is left out for want of a description; an error if too few movies have one."""
    count = sum(bool(each.text) for each in described.values())
    if count < section.min_described * len(movies):
        raise UserError(
            f"{path} describes {count:,} of the {len(movies):,} movies of {section.release} "
            f"({count / len(movies):.1%}), and the track needs {section.min_described:.0%} (min_described). "
            "Complete it and run again"
        )
    left_out = len(movies) - count if section.described_only else 0
    return counted((left_out, "movies without a description, left out"))


def _catalogue(
    movie_ids: Ints,
    movies: Mapping[int, _Movie],
    described: Sequence[Description],
    tags: Mapping[int, tuple[str, ...]],
    genome: Mapping[int, tuple[str, ...]],
) -> Catalogue:
    ids = movie_ids.tolist()
    kept = [movies[movie] for movie in ids]
    item_tags = [tags.get(movie, ()) for movie in ids]
    return Catalogue(
        texts=tuple(
            item_text(
                movie.title, movie.year, movie.genres, item_tags[row], described[row].text, genome.get(ids[row], ())
            )
            for row, movie in enumerate(kept)
        ),
        titles=tuple(movie.title for movie in kept),
        years=np.array([movie.year for movie in kept], dtype=np.int64),
        categories=tuple(movie.genres for movie in kept),
        tags=tuple(item_tags),
        descriptions=tuple(each.text for each in described),
    )


def _keep(section: track.MovieLens, wanted: Ints, ratings: Ratings) -> tuple[Ints, Interactions, list[str]]:
    """movieIds of the items, interactions renumbered densely, and notes on what was left out."""
    counts = np.bincount(np.searchsorted(wanted, ratings.movies), minlength=len(wanted))
    movie_ids = wanted[counts >= section.min_ratings]
    kept = are_in(ratings.movies, movie_ids)
    if not kept.any():
        raise UserError(
            f"no movie has {max(section.min_ratings, 1)} or more ratings (min_ratings of the track). "
            "Use the complete ratings.csv"
        )
    user_ids, users = np.unique(ratings.users[kept], return_inverse=True)
    interactions = Interactions(
        users=users.astype(np.int64),
        items=np.searchsorted(movie_ids, ratings.movies[kept]).astype(np.int64),
        timestamps=ratings.timestamps[kept],
    )
    earlier = ratings.total - ratings.of_others - len(ratings.users)
    notes = counted(
        (ratings.of_others, "ratings of those movies, left out"),
        (earlier, f"ratings before a user's last {section.last_interactions}, left out"),
        (len(wanted) - len(movie_ids), f"movies with fewer than {section.min_ratings} ratings, left out"),
        (int((~kept).sum()), "ratings of those movies, left out"),
        (len(ratings.all_users) - len(user_ids), "users without any other rating, left out"),
        (int((np.bincount(users) == 1).sum()), "users with one interaction (kept in training, no test case)"),
    )
    return movie_ids, interactions, notes
