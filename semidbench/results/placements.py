"""From beams or scores to where the target stands: item-level ranks when several items share one ID.

A generated ID stands for all its items, so a list of IDs is a list of groups of tied items. Each query is
kept as the rank p at which the target's group starts and the size g of that group. Those two give every metric
in expectation over the orders of the ties (semidbench.results.metrics).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semidbench.api import Floats, Ints

Columns = NDArray[np.int32]
Mask = NDArray[np.bool_]
Whole = NDArray[np.integer]
_PIECE = 2**16  # numbers worked on at a time


@dataclass(frozen=True, slots=True, eq=False)
class Placements:
    """Where each query's target stands: int32 (Q,) columns.

    Attributes:
        start: 1-based item-level rank p at which the target's group of tied items starts; 0 if not retrieved.
        size: items g in that group; 0 if not retrieved.
        id_rank: 1-based rank of the target's ID among the distinct IDs of the list; 0 if not retrieved, and for
            rankers, which have no IDs.
        n_ids: distinct IDs in the list; 0 for rankers.
        n_items: items in the list.
    """

    start: Columns
    size: Columns
    id_rank: Columns
    n_ids: Columns
    n_items: Columns

    def __len__(self) -> int:
        return len(self.start)


def place_beams(beam_ids: Whole, beam_scores: Floats, item_to_id: Ints, targets: Ints) -> Placements:
    """Where the targets stand in lists of generated IDs.

    An ID that several beam groups found counts once, where it comes first.

    Args:
        beam_ids: integers (Q, B), rows of the table of distinct IDs, best first; -1 marks an unused beam.
        beam_scores: float32 (Q, B), falling along each row where a beam is used.
        item_to_id: int64 (N,), each item's row in the table of distinct IDs.
        targets: int64 (Q,), the one relevant item of each query.

    Raises:
        ValueError: shapes that do not fit, a row number out of range, NaN, or scores that rise along a row.
    """
    _check_beams(beam_ids, beam_scores, item_to_id, targets)
    group_sizes, target_ids = np.bincount(item_to_id), item_to_id[targets]
    parts = []
    for rows in _pieces(*beam_ids.shape):
        _check_falling(beam_scores[rows], beam_ids[rows] >= 0, rows.start)
        parts.append(_place_ids(beam_ids[rows], group_sizes, target_ids[rows]))
    return concatenate(parts)


def _place_ids(beam_ids: Whole, group_sizes: Ints, target_ids: Ints) -> Placements:
    first = first_occurrences(beam_ids)
    sizes = np.where(first, group_sizes[beam_ids], 0)
    hits = first & (beam_ids == target_ids[:, None])
    found = hits.any(axis=1)
    ahead = np.arange(beam_ids.shape[1]) < (hits.argmax(axis=1) if hits.size else np.zeros(len(hits), int))[:, None]
    return Placements(
        start=np.where(found, 1 + (sizes * ahead).sum(axis=1), 0).astype(np.int32),
        size=np.where(found, group_sizes[target_ids], 0).astype(np.int32),
        id_rank=np.where(found, 1 + (first & ahead).sum(axis=1), 0).astype(np.int32),
        n_ids=first.sum(axis=1, dtype=np.int32),
        n_items=sizes.sum(axis=1).astype(np.int32),
    )


def place_scores(scores: Floats, targets: Ints) -> Placements:
    """Where the targets stand when every item has a score; items with equal scores are tied.

    Args:
        scores: float32 (Q, N), higher is better.
        targets: int64 (Q,).

    Raises:
        ValueError: shapes that do not fit, a target out of range, or NaN.
    """
    if scores.ndim != 2 or targets.shape != scores.shape[:1]:
        raise ValueError(f"scores {scores.shape} and targets {targets.shape} do not fit (Q, N) and (Q,)")
    n_queries, n_items = scores.shape
    _check_range("targets", targets, 0, n_items)
    own = scores[np.arange(n_queries), targets][:, None]
    start, size, none = (np.zeros(n_queries, np.int32) for _ in range(3))
    for rows in _pieces(n_queries, n_items):
        if np.isnan(scores[rows].min()):
            raise ValueError(f"scores of query {rows.start + int(np.isnan(scores[rows]).any(1).argmax())} hold NaN")
        start[rows] = 1 + np.count_nonzero(scores[rows] > own[rows], axis=1)
        size[rows] = np.count_nonzero(scores[rows] == own[rows], axis=1)
    return Placements(start, size, id_rank=none, n_ids=none, n_items=np.full(n_queries, n_items, np.int32))


def concatenate(parts: Sequence[Placements]) -> Placements:
    """The placements of consecutive batches as one."""
    return Placements(
        *(
            np.concatenate([np.zeros(0, np.int32), *(getattr(part, name) for part in parts)])
            for name in Placements.__dataclass_fields__
        )
    )


def best_items(scores: Floats, depth: int) -> Ints:
    """The `depth` best items of each row, best first, ties by item number: int64 (Q, min(depth, N)).

    For `rankings_sha256` only: it breaks ties, so no metric may be computed from it.
    """
    n_queries, n_items = scores.shape
    depth = min(depth, n_items)
    least = _lower_bounds(scores, depth)
    flat = np.flatnonzero(scores > least[:, None])
    above = np.bincount(flat // n_items, minlength=n_queries)
    level = [  # fewer than `depth` items above the bound: then it is the score of the last that is listed
        row * n_items + np.flatnonzero(scores[row] == least[row])[: depth - above[row]]
        for row in np.flatnonzero(above < depth)
    ]
    flat = np.concatenate([flat, *level])
    flat = flat[np.lexsort((flat, -scores.reshape(-1)[flat], flat // n_items))]
    starts = np.cumsum(np.maximum(above, depth)) - np.maximum(above, depth)
    listed: Ints = flat[starts[:, None] + np.arange(depth)] % n_items
    return listed


def _lower_bounds(scores: Floats, depth: int) -> Floats:
    """A score that `depth` items of each row have or exceed, the highest that is cheap to find: float32 (Q,).

    Of the best scores of disjoint sets of items, the `depth`-th.
    """
    n_queries, n_items = scores.shape
    sets = min(n_items, 8 * depth)
    in_set = n_items // sets
    best = scores[:, : in_set * sets].reshape(n_queries, in_set, sets).max(axis=1)
    bounds: Floats = np.partition(best, sets - depth, axis=1)[:, sets - depth]
    return bounds


def rankings_sha256(rankings: Mapping[str, Whole]) -> str:
    """Hash of complete rankings, the same on every platform.

    Duplicates are merged and unused entries (-1) dropped first, so that two decoders that agree on the distinct
    IDs and their order give one hash. Scores are not hashed: their last bits differ between processors.

    Args:
        rankings: per task integers (Q, B): beams' ID rows as for `place_beams`, or items from `best_items`.
    """
    digest = hashlib.sha256(b"semidbench rankings 1\n")
    for task in sorted(rankings):
        ids = rankings[task]
        first = first_occurrences(ids)
        digest.update(f"{task} {len(ids)}\n".encode())
        digest.update(np.count_nonzero(first, axis=1).astype("<i8").tobytes())
        for rows in _pieces(*ids.shape):
            digest.update(ids[rows][first[rows]].astype("<i8").tobytes())
    return digest.hexdigest()


def first_occurrences(ids: Whole) -> Mask:
    """True where a row's value is there for the first time and is not -1: bool (Q, B) of integers (Q, B)."""
    first = np.empty(ids.shape, bool)
    bits = ids.shape[1].bit_length()  # of a place in a row; a value and its place sort as one number
    places = np.arange(ids.shape[1])
    for rows in _pieces(*ids.shape):
        ordered = np.sort((ids[rows].astype(np.int64) << bits) | places, axis=1)
        values = ordered >> bits
        new = values >= 0
        new[:, 1:] &= values[:, 1:] != values[:, :-1]
        np.put_along_axis(first[rows], ordered & ((1 << bits) - 1), new, axis=1)
    return first


def _pieces(rows: int, columns: int) -> Iterator[slice]:
    """Consecutive rows, few enough for a core's cache."""
    step = max(1, _PIECE // max(1, columns))
    return (slice(start, start + step) for start in range(0, rows, step))


def _check_beams(beam_ids: Whole, beam_scores: Floats, item_to_id: Ints, targets: Ints) -> None:
    if beam_ids.ndim != 2 or beam_scores.shape != beam_ids.shape or targets.shape != beam_ids.shape[:1]:
        raise ValueError(
            f"beam_ids {beam_ids.shape}, beam_scores {beam_scores.shape} and targets {targets.shape} "
            "do not fit (Q, B), (Q, B) and (Q,)"
        )
    _check_range("item_to_id", item_to_id, 0, None)
    _check_range("beam_ids", beam_ids, -1, int(item_to_id.max(initial=-1)) + 1)
    _check_range("targets", targets, 0, len(item_to_id))


def _check_falling(beam_scores: Floats, used: Mask, first_row: int) -> None:
    if np.isnan(beam_scores[used]).any():
        raise ValueError("beam_scores hold NaN")
    lowest = np.minimum.accumulate(np.where(used, beam_scores, np.inf), axis=1)
    rises = (used[:, 1:] & (beam_scores[:, 1:] > lowest[:, :-1])).any(axis=1)
    if rises.any():
        raise ValueError(f"beam_scores of query {first_row + int(rises.argmax())} rise: beams must come best first")


def _check_range(name: str, values: Whole, low: int, end: int | None) -> None:
    if values.size and (values.min() < low or (end is not None and values.max() >= end)):
        raise ValueError(f"{name} hold {values.min()}..{values.max()}, outside {low}..{'' if end is None else end - 1}")
