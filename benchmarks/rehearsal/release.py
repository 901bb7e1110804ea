"""A made-up MovieLens 25M of any size, with descriptions and 10 + 10 queries a movie."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from benchmarks.queries import made_texts, made_words
from semidbench.api import Ints

GENRES = ("Action", "Comedy", "Drama", "Horror", "Mystery", "Romance", "Thriller", "Western")
_PLOT, _TAG, _TITLE, _QUERY = 60, 2, 3, 12  # words
_QUERIES = 10  # a movie, on each side of the split
_SECONDS = 10**8  # that ratings are spread over


@dataclass(frozen=True, slots=True)
class Size:
    """How much there is. The paper keeps 62,138 movies, and MovieLens 25M has these ratings, tags and relevances."""

    items: int = 62_138
    users: int = 162_541
    ratings: int = 25_000_095
    tags: int = 1_093_360
    genome_movies: int = 13_816
    genome_tags: int = 1_128

    def scaled(self, items: int) -> Size:
        """With so many movies, and as much of everything to each."""
        if items == self.items:
            return self
        share = items / self.items
        counts = (self.users, self.ratings, self.tags, self.genome_movies)
        users, ratings, tags, genome_movies = (max(1, round(share * count)) for count in counts)
        return Size(items, users, ratings, tags, genome_movies, min(self.genome_tags, items))


def write_release(folder: Path, size: Size, seed: int = 0) -> None:
    """Write `ml-25m/*.csv`, `descriptions.csv` and `queries.jsonl`. The same arguments give the same bytes.

    Every user rates different movies, 20 at least where there are so many, and no movie is more popular than others.
    """
    rng = np.random.default_rng(seed)
    words = made_words(rng)
    release = folder / "ml-25m"
    release.mkdir(parents=True)
    movies = 1 + np.arange(size.items)
    titles = made_texts(words, size.items, _TITLE, rng)
    years, genres = rng.integers(1950, 2020, size.items), rng.integers(0, len(GENRES), (size.items, 2))
    _write(
        release / "movies.csv",
        movieId=movies,
        title=[f"{title.title()} ({year})" for title, year in zip(titles, years.tolist(), strict=True)],
        genres=["|".join(sorted({GENRES[first], GENRES[second]})) for first, second in genres.tolist()],
    )
    _write(release / "ratings.csv", **_ratings(size, rng))
    _write(
        release / "tags.csv",
        userId=rng.integers(1, size.users + 1, size.tags),
        movieId=rng.choice(movies, size.tags),
        tag=rng.choice(made_texts(words, 60_000, _TAG, rng), size.tags),
        timestamp=rng.integers(10**9, 10**9 + _SECONDS, size.tags),
    )
    tags = 1 + np.arange(size.genome_tags)
    _write(release / "genome-tags.csv", tagId=tags, tag=made_texts(words, size.genome_tags, _TAG, rng))
    known = np.sort(rng.choice(movies, size.genome_movies, replace=False))
    _write(
        release / "genome-scores.csv",
        movieId=np.repeat(known, size.genome_tags),
        tagId=np.tile(tags, size.genome_movies),
        relevance=rng.random(size.genome_movies * size.genome_tags).round(5),
    )
    _write(folder / "descriptions.csv", movieId=movies, description=made_texts(words, size.items, _PLOT, rng))
    _write_queries(folder / "queries.jsonl", movies, words, rng)


def _ratings(size: Size, rng: np.random.Generator) -> Mapping[str, Ints | NDArray[np.float64]]:
    """Sorted by userId, then movieId, as the official file is."""
    most = max(1, size.items // 2)
    counts = np.minimum(20 + rng.exponential(size.ratings / size.users - 20, size.users), most).astype(np.int64)
    strides = np.flatnonzero(np.gcd(np.arange(size.items), size.items) == 1)  # each goes through all movies
    users = np.repeat(np.arange(size.users), counts)
    turn = np.arange(len(users)) - np.repeat(np.cumsum(counts) - counts, counts)
    start, stride = rng.integers(0, size.items, size.users), rng.choice(strides, size.users)
    pairs = np.sort(users * size.items + (start[users] + turn * stride[users]) % size.items)
    return {
        "userId": 1 + pairs // size.items,
        "movieId": 1 + pairs % size.items,
        "rating": rng.integers(1, 11, len(pairs)) / 2,
        "timestamp": rng.integers(10**9, 10**9 + _SECONDS, len(pairs)),
    }


def _write_queries(path: Path, movies: Ints, words: NDArray[np.str_], rng: np.random.Generator) -> None:
    """Of both splits; no test query is a training query, for one more word begins it."""
    with path.open("w", encoding="utf-8") as lines:
        for split, first in (("train", ""), ("test", "find ")):
            texts = iter(made_texts(words, len(movies) * _QUERIES, _QUERY, rng))
            for movie in np.repeat(movies, _QUERIES).tolist():
                lines.write(json.dumps({"movieId": movie, "split": split, "text": first + next(texts)}) + "\n")


def _write(path: Path, **columns: Sequence[str] | NDArray[Any]) -> None:
    """A CSV with a header."""
    with path.open("wb") as file:
        file.write((",".join(columns) + "\n").encode())
        options = pa.csv.WriteOptions(include_header=False)
        pa.csv.write_csv(pa.table({name: pa.array(values) for name, values in columns.items()}), file, options)
