"""The tag genome of ML-25M: how relevant each of some thousand tags is to a movie (Vig, Sen and Riedl 2012)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semidbench.api import Ints
from semidbench.dataset.latest import are_in
from semidbench.dataset.movielens.locate import ReleaseFiles
from semidbench.dataset.tables.csv_files import CsvFile, NumberBatch, read_numbers, read_rows
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
    top = _most_relevant(files.file("genome-scores"), known, tag_ids, count)
    return {movie: tuple(tags[tag] for tag in chosen) for movie, chosen in top.items()}


def _read_tags(file: CsvFile) -> dict[int, str]:
    tags: dict[int, str] = {}
    for row in read_rows(file, ("tagId", "tag")):
        tag, text = row.integer(0, "tagId"), " ".join(row.fields[1].split())
        if tag in tags:
            raise row.error(f"tagId {tag} is there a second time")
        if not text:
            raise row.error(f"tag {tag} is blank")
        tags[tag] = text
    if not tags:
        raise UserError(f"{file.source} has no tags. Put the complete file there")
    return tags


def _most_relevant(file: CsvFile, known: Ints, tag_ids: Ints, count: int) -> dict[int, list[int]]:
    # Most movies have no genome: rows of zeros that are never written to take no memory.
    relevance = np.zeros((len(known), len(tag_ids)))
    given = np.zeros(relevance.shape, dtype=bool)
    for batch in read_numbers(file, ("movieId", "tagId"), ("relevance",)):
        for name, ids, where in (("movieId", known, "movies.csv"), ("tagId", tag_ids, "genome-tags.csv")):
            if len(unknown := np.flatnonzero(~are_in(batch[name], ids))):
                raise batch.error(int(unknown[0]), f"{name} {batch[name][unknown[0]]} is not in {where}")
        rows, columns = np.searchsorted(known, batch["movieId"]), np.searchsorted(tag_ids, batch["tagId"])
        _refuse_repeats(batch, given[rows, columns], rows * len(tag_ids) + columns)
        relevance[rows, columns] = batch["relevance"]
        given[rows, columns] = True
    top = {}
    for row in np.flatnonzero(given.any(axis=1)).tolist():
        scored = np.flatnonzero(given[row])
        order = np.argsort(-relevance[row, scored], kind="stable")[:count]
        top[int(known[row])] = tag_ids[scored[order]].tolist()
    return top


def _refuse_repeats(batch: NumberBatch, given: NDArray[np.bool_], places: Ints) -> None:
    """A UserError if a score is there twice.

    Args:
        batch: N scores.
        given: bool (N,), whether an earlier batch has a score of that movie and tag.
        places: int64 (N,), one number per (movie, tag).
    """
    repeated = given
    if (places[1:] <= places[:-1]).any():  # the official file is in order, and needs no sorting
        repeated = np.ones(len(places), dtype=bool)
        repeated[np.unique(places, return_index=True)[1]] = False
        repeated |= given
    if repeated.any():
        row = int(np.argmax(repeated))
        pair = f"tagId {batch['tagId'][row]} to movieId {batch['movieId'][row]}"
        raise batch.error(row, f"the relevance of {pair} is there a second time")
