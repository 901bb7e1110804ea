"""ratings.csv, of any length: each user's latest ratings of the movies that count."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from semidbench.api import Ints
from semidbench.dataset.latest import are_in, latest
from semidbench.dataset.tables.csv_files import CsvFile, NumberBatch, lines_of, read_numbers
from semidbench.errors import UserError


@dataclass(frozen=True, slots=True)
class Ratings:
    """The ratings that were kept, sorted by user, timestamp, movie, and what was there.

    Attributes:
        users: int64 (M,), userIds.
        movies: int64 (M,), movieIds.
        timestamps: int64 (M,), seconds.
        all_users: int64, the userIds of the whole file, rising.
        total: ratings in the file.
        of_others: ratings of movies that are not wanted, left out.
    """

    users: Ints
    movies: Ints
    timestamps: Ints
    all_users: Ints
    total: int
    of_others: int


def read_ratings(file: CsvFile, known: Ints, wanted: Ints, last: int | None) -> Ratings:
    """Each user's `last` ratings (all if None) of wanted movies.

    Args:
        file: with the columns userId, movieId, rating, timestamp.
        known: movieIds of movies.csv, int64, rising.
        wanted: those of them whose ratings count, int64, rising.
        last: counted after the other movies were left out; equal timestamps are ordered by movieId.

    Raises:
        UserError: malformed, of unknown movies, or with two ratings of a movie by one user; the message names
            the line.
    """
    users, movies, timestamps, pairs, all_users = ([np.zeros(0, dtype=np.int64)] for _ in range(5))
    is_wanted = are_in(known, wanted)
    of_others = 0
    for batch, of_movie in _batches(file, known):  # of each only what may be kept, and one number for every rating
        pairs.append(_pairs(batch, of_movie, len(known)))
        all_users.append(np.unique(batch["userId"]))
        rows = np.flatnonzero(is_wanted[of_movie])
        of_others += len(of_movie) - len(rows)
        if last is not None:
            rows = rows[latest(batch["userId"][rows], batch["movieId"][rows], batch["timestamp"][rows], last)]
        for name, parts in (("userId", users), ("movieId", movies), ("timestamp", timestamps)):
            parts.append(batch[name][rows])
    total = sum(map(len, pairs))
    if not total:
        raise UserError(f"{file.source} has no ratings. Put the complete file there")
    _refuse_repeats(file, pairs, known)
    kept = [np.concatenate(parts) for parts in (users, movies, timestamps)]
    order = latest(kept[0], kept[1], kept[2], last)
    return Ratings(
        users=kept[0][order],
        movies=kept[1][order],
        timestamps=kept[2][order],
        all_users=np.unique(np.concatenate(all_users)),
        total=total,
        of_others=of_others,
    )


def unknown_movies(source: str, what: str, count: int, line: int, movie: int) -> UserError:
    """The error about entries of movies that movies.csv does not have: how many, and the first of them."""
    return UserError(
        f"{source}: {count} {what} are of movies that movies.csv does not have, the first on line {line} "
        f"(movieId {movie}). Use files of one MovieLens release"
    )


def _batches(file: CsvFile, known: Ints) -> Iterator[tuple[NumberBatch, Ints]]:
    """The file, with the row in `known` of each rating's movie. Behind the last batch: a UserError for unknown ones."""
    count, first = 0, (0, 0)
    for batch in read_numbers(file, ("userId", "movieId", "timestamp"), ("rating",)):
        rows = np.minimum(np.searchsorted(known, batch["movieId"]), len(known) - 1)
        unknown = np.flatnonzero(known[rows] != batch["movieId"])
        if len(unknown) and not count:
            first = batch.first + int(unknown[0]), int(batch["movieId"][unknown[0]])
        count += len(unknown)
        yield batch, rows
    if count:
        (line,) = lines_of(file, {first[0]})
        raise unknown_movies(file.source, "ratings", count, line, first[1])


def _pairs(batch: NumberBatch, movie_rows: Ints, n_movies: int) -> Ints:
    """One int64 per (user, movie)."""
    users: Ints = batch["userId"]
    limit = 2**62 // n_movies
    if len(too_large := np.flatnonzero((users >= limit) | (users <= -limit))):
        raise batch.error(int(too_large[0]), f"userId {users[too_large[0]]} is too large")
    return users * n_movies + movie_rows


def _refuse_repeats(file: CsvFile, parts: list[Ints], known: Ints) -> None:
    """Empties `parts`, to need no more memory than the pairs themselves and one copy."""
    pairs = np.concatenate(parts)
    parts.clear()
    if (pairs[1:] > pairs[:-1]).all():  # in the order of the official files
        return
    ordered = np.sort(pairs)
    if (ordered[1:] > ordered[:-1]).all():
        return
    order = np.argsort(pairs, kind="stable")
    again = np.flatnonzero(pairs[order[1:]] == pairs[order[:-1]])
    one = again[np.argmin(order[again + 1])]
    first, second = lines_of(file, order[[one, one + 1]].tolist())
    user, movie = divmod(int(pairs[order[one]]), len(known))
    raise UserError(
        f"{file.source}: {len(again)} duplicate ratings of one movie by one user, the first on lines {first} and "
        f"{second} (user {user}, movie {known[movie]}). Keep one of each and run again"
    )
