"""ratings.csv, of any length: fast where there is nothing to object to, by lines where there is."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from semidbench.api import Ints
from semidbench.dataset.latest import are_in, latest
from semidbench.dataset.tables.csv_rows import CsvFile, read_table
from semidbench.dataset.tables.number_columns import Column, NotPlain, number_batches
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
    try:
        return _gathered(file, _plain_batches(file), known, wanted, last)
    except NotPlain:
        return _gathered(file, [_read_by_lines(file, known)], known, wanted, last)


def refuse_unknown(source: str, what: str, unknown: list[tuple[int, int]]) -> None:
    """Raise a UserError about (line, movieId) of movies that movies.csv does not have, if there are any."""
    if unknown:
        line, movie = unknown[0]
        raise UserError(
            f"{source}: {len(unknown)} {what} are of movies that movies.csv does not have, the first on line {line} "
            f"(movieId {movie}). Use files of one MovieLens release"
        )


def _plain_batches(file: CsvFile) -> Iterator[dict[str, Column]]:
    return number_batches(file, ("userId", "movieId", "timestamp"), ("rating",))


def _gathered(
    file: CsvFile, batches: Iterable[dict[str, Column]], known: Ints, wanted: Ints, last: int | None
) -> Ratings:
    """Cut each batch to what may be kept, then all of them; what is left of the others is one number a rating."""
    users, movies, timestamps, pairs, everybody = ([np.zeros(0, dtype=np.int64)] for _ in range(5))
    is_wanted = are_in(known, wanted)
    of_others = 0
    for batch in batches:
        of_movie = np.minimum(np.searchsorted(known, batch["movieId"]), len(known) - 1)
        if (known[of_movie] != batch["movieId"]).any():
            raise NotPlain("ratings of unknown movies")
        pairs.append(_pairs(batch["userId"], of_movie, len(known)))
        everybody.append(np.unique(batch["userId"]))
        rows = np.flatnonzero(is_wanted[of_movie])
        of_others += len(of_movie) - len(rows)
        if last is not None:
            rows = rows[latest(batch["userId"][rows], batch["movieId"][rows], batch["timestamp"][rows], last)]
        for name, parts in (("userId", users), ("movieId", movies), ("timestamp", timestamps)):
            parts.append(batch[name][rows])
    total = sum(map(len, pairs))
    if not total:
        raise UserError(f"{file.source} has no ratings. Put the complete file there")
    _refuse_repeats(pairs)
    kept = [np.concatenate(parts) for parts in (users, movies, timestamps)]
    order = latest(kept[0], kept[1], kept[2], last)
    return Ratings(
        users=kept[0][order],
        movies=kept[1][order],
        timestamps=kept[2][order],
        all_users=np.unique(np.concatenate(everybody)),
        total=total,
        of_others=of_others,
    )


def _pairs(users: Ints, movie_rows: Ints, n_movies: int) -> Ints:
    """One int64 per (user, movie)."""
    if np.abs(users).max(initial=0) >= 2**62 // n_movies:
        raise NotPlain("a userId is too large")
    pairs: Ints = users * n_movies + movie_rows
    return pairs


def _refuse_repeats(parts: list[Ints]) -> None:
    """Empties `parts`, to need no more memory than the pairs themselves and one copy."""
    pairs = np.concatenate(parts)
    parts.clear()
    pairs.sort()
    if (pairs[1:] == pairs[:-1]).any():
        raise NotPlain("a user rated a movie twice")


def _read_by_lines(file: CsvFile, known: Ints) -> dict[str, Column]:
    """The whole file as one batch, or the error that says what is wrong with it."""
    columns = [array("q") for _ in range(4)]  # user, movie, timestamp, line
    movies = frozenset(known.tolist())
    unknown: list[tuple[int, int]] = []
    for row in read_table(file, ("userId", "movieId", "rating", "timestamp")):
        user, movie = row.integer(0, "userId"), row.integer(1, "movieId")
        row.number(2, "rating")
        if movie not in movies:
            unknown.append((row.line, movie))
        for column, number in zip(columns, (user, movie, row.integer(3, "timestamp"), row.line), strict=True):
            column.append(number)
    refuse_unknown(file.source, "ratings", unknown)
    users, items, timestamps, lines = (np.array(column, dtype=np.int64) for column in columns)
    _refuse_duplicates(file.source, users, items, lines)
    if np.abs(users).max(initial=0) >= 2**62 // max(len(known), 1):
        raise UserError(f"{file.source} has a userId of {np.abs(users).max()}, too large. Renumber the users")
    return {"userId": users, "movieId": items, "timestamp": timestamps}


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
