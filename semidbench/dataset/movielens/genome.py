"""The tag genome of ML-25M: how relevant each of some thousand tags is to a movie (Vig, Sen and Riedl 2012)."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

import numpy as np

from semidbench.api import Ints
from semidbench.dataset.latest import are_in
from semidbench.dataset.movielens.locate import ReleaseFiles
from semidbench.dataset.tables.csv_rows import CsvFile, read_table
from semidbench.dataset.tables.number_columns import Column, NotPlain, number_batches
from semidbench.errors import UserError


def read_genome(files: ReleaseFiles, known: Ints, count: int) -> dict[int, tuple[str, ...]]:
    """The `count` most relevant tags of each movie that has a genome, by relevance, then tagId.

    Args:
        files: with genome-tags.csv and genome-scores.csv.
        known: movieIds of movies.csv, int64, rising.
        count: of tags.

    Raises:
        UserError: a file is missing or malformed, or names an unknown movie or tag, or a score is there twice.
    """
    tags = _read_tags(files.file("genome-tags"))
    tag_ids = np.array(sorted(tags), dtype=np.int64)
    scores = files.file("genome-scores")
    try:
        top = _most_relevant(number_batches(scores, ("movieId", "tagId"), ("relevance",)), known, tag_ids, count)
    except NotPlain:
        top = _most_relevant([_read_by_lines(scores, known, tag_ids)], known, tag_ids, count)
    return {movie: tuple(tags[tag] for tag in chosen) for movie, chosen in top.items()}


def _read_tags(file: CsvFile) -> dict[int, str]:
    tags: dict[int, str] = {}
    for row in read_table(file, ("tagId", "tag")):
        tag, text = row.integer(0, "tagId"), " ".join(row.fields[1].split())
        if tag in tags:
            raise row.error(f"tagId {tag} is there a second time")
        if not text:
            raise row.error(f"tag {tag} is blank")
        tags[tag] = text
    if not tags:
        raise UserError(f"{file.source} has no tags. Put the complete file there")
    return tags


def _most_relevant(
    batches: Iterable[dict[str, Column]], known: Ints, tag_ids: Ints, count: int
) -> dict[int, list[int]]:
    # Most movies have no genome: rows of zeros that are never written to take no memory.
    relevance = np.zeros((len(known), len(tag_ids)))
    given = np.zeros(relevance.shape, dtype=bool)
    total = 0
    for batch in batches:
        if not (are_in(batch["movieId"], known).all() and are_in(batch["tagId"], tag_ids).all()):
            raise NotPlain("scores of unknown movies or tags")
        rows, columns = np.searchsorted(known, batch["movieId"]), np.searchsorted(tag_ids, batch["tagId"])
        relevance[rows, columns] = batch["relevance"]
        given[rows, columns] = True
        total += len(rows)
    if total != np.count_nonzero(given):
        raise NotPlain("a score is there twice")
    top = {}
    for row in np.flatnonzero(given.any(axis=1)).tolist():
        scored = np.flatnonzero(given[row])
        order = np.argsort(-relevance[row, scored], kind="stable")[:count]
        top[int(known[row])] = tag_ids[scored[order]].tolist()
    return top


def _read_by_lines(file: CsvFile, known: Ints, tag_ids: Ints) -> dict[str, Column]:
    """The whole file as one batch, or the error that says what is wrong with it."""
    movie_rows = {movie: row for row, movie in enumerate(known.tolist())}
    tag_rows = {tag: row for row, tag in enumerate(tag_ids.tolist())}
    given = bytearray(len(movie_rows) * len(tag_rows))
    movies, tags, relevance = array("q"), array("q"), array("d")
    for row in read_table(file, ("movieId", "tagId", "relevance")):
        movie, tag = row.integer(0, "movieId"), row.integer(1, "tagId")
        if movie not in movie_rows:
            raise row.error(f"movieId {movie} is not in movies.csv")
        if tag not in tag_rows:
            raise row.error(f"tagId {tag} is not in genome-tags.csv")
        place = movie_rows[movie] * len(tag_rows) + tag_rows[tag]
        if given[place]:
            raise row.error(f"the relevance of tagId {tag} to movieId {movie} is there a second time")
        given[place] = True
        movies.append(movie)
        tags.append(tag)
        relevance.append(row.number(2, "relevance"))
    return {"movieId": np.array(movies), "tagId": np.array(tags), "relevance": np.array(relevance)}
