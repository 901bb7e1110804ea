"""Queries from a JSONL file instead of written ones (for example by a language model)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from semidbench import track
from semidbench.api import Queries
from semidbench.dataset.facets import title_pattern
from semidbench.dataset.movielens import MovieLensData
from semidbench.dataset.sources import read_bytes
from semidbench.dataset.table import decode
from semidbench.errors import UserError

_FIELDS = {"movieId": int, "split": str, "text": str}
_SPLITS = ("train", "test")


def read_queries(
    path: Path, section: track.MovieLens, movies: MovieLensData
) -> tuple[Queries, Queries, tuple[str, ...]]:
    """Training queries, test queries and notes from lines `{"movieId": int, "split": "train"|"test", "text": str}`.

    Each item needs `train_queries` and `test_queries` of them; the i-th test query of an item is taken for a
    paraphrase of its i-th training query. Lines about movies that the catalogue left out are skipped.

    Raises:
        UserError: a line is malformed or about an unknown movie, a count is wrong, or a test query equals a
            training query; the message names the line.
    """
    items = {movie: row for row, movie in enumerate(movies.movie_ids.tolist())}
    texts: dict[str, list[list[str]]] = {split: [[] for _ in items] for split in _SPLITS}
    first_line: dict[str, dict[str, int]] = {split: {} for split in _SPLITS}
    patterns = [title_pattern(title) for title in movies.catalogue.titles]
    leaks = 0
    for line, movie, split, text in _lines(path):
        if movie not in items:
            if movie not in movies.dropped:
                raise _error(path, line, f"movieId {movie} is not in movies.csv")
            continue
        texts[split][items[movie]].append(text)
        first_line[split].setdefault(text, line)
        leaks += bool(patterns[items[movie]].search(text))
    _check_counts(path, section, movies, texts)
    for text, line in first_line["test"].items():
        if text in first_line["train"]:
            raise _error(
                path, line, f"test query {text!r} is also a training query, on line {first_line['train'][text]}"
            )
    notes = (f"queries that hold their movie's title or a distinctive word of it: {leaks:,}",) if leaks else ()
    return _queries(texts["train"]), _queries(texts["test"]), notes


def _lines(path: Path) -> Iterator[tuple[int, int, str, str]]:
    for line, raw in enumerate(decode(str(path), read_bytes(path)).split("\n"), start=1):
        if not raw.strip():
            continue
        try:
            record = json.loads(raw)
        except (json.JSONDecodeError, RecursionError) as error:
            raise _error(path, line, f"not valid JSON ({error})") from error
        if not isinstance(record, dict):
            raise _error(path, line, "not a JSON object")
        for field, kind in _FIELDS.items():
            if field not in record:
                raise _error(path, line, f"no field {field!r}")
            if not isinstance(record[field], kind) or isinstance(record[field], bool):
                raise _error(path, line, f"{field} {record[field]!r} is not of type {kind.__name__}")
        unknown = sorted(set(record) - set(_FIELDS))
        if unknown:
            raise _error(path, line, f"unknown field {unknown[0]!r}; the fields are {', '.join(_FIELDS)}")
        if record["split"] not in _SPLITS:
            raise _error(path, line, f"split {record['split']!r} is neither 'train' nor 'test'")
        text = " ".join(record["text"].split())
        if not text:
            raise _error(path, line, "text is blank")
        yield line, record["movieId"], record["split"], text


def _check_counts(
    path: Path, section: track.MovieLens, movies: MovieLensData, texts: dict[str, list[list[str]]]
) -> None:
    for split, wanted in (("train", section.train_queries), ("test", section.test_queries)):
        for row, given in enumerate(texts[split]):
            if len(given) != wanted:
                raise UserError(
                    f"{path}: movieId {movies.movie_ids[row]} has {len(given)} {split} queries, not {wanted}. "
                    "Add or remove lines and run again"
                )


def _queries(texts: list[list[str]]) -> Queries:
    counts = [len(given) for given in texts]
    return Queries(
        items=np.repeat(np.arange(len(texts), dtype=np.int64), counts),
        texts=tuple(text for given in texts for text in given),
    )


def _error(path: Path, line: int, what: str) -> UserError:
    return UserError(f"{path}, line {line}: {what}. Correct the line and run again")
