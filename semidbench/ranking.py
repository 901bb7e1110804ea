"""From beams or scores to where the target stands: item-level ranks when several items share one ID.

A generated ID stands for all its items, so a list of IDs is a list of groups of tied items. Each query is
kept as the rank p at which the target's group starts and the size g of that group. Those two give every metric
in expectation over the orders of the ties (semidbench.metrics).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semidbench.api import Floats, Ints

Columns = NDArray[np.int32]
Mask = NDArray[np.bool_]


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


def place_beams(beam_ids: Ints, beam_scores: Floats, item_to_id: Ints, targets: Ints) -> Placements:
    """Where the targets stand in lists of generated IDs.

    An ID that several beam groups found counts once, where it comes first.

    Args:
        beam_ids: int64 (Q, B), rows of the table of distinct IDs, best first; -1 marks an unused beam.
        beam_scores: float32 (Q, B), falling along each row where a beam is used.
        item_to_id: int64 (N,), each item's row in the table of distinct IDs.
        targets: int64 (Q,), the one relevant item of each query.

    Raises:
        ValueError: shapes that do not fit, a row number out of range, NaN, or scores that rise along a row.
    """
    _check_beams(beam_ids, beam_scores, item_to_id, targets)
    group_sizes = np.bincount(item_to_id)
    first = first_occurrences(beam_ids)
    sizes = np.where(first, group_sizes[beam_ids], 0)
    target_ids = item_to_id[targets]
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
    if np.isnan(scores).any():
        raise ValueError(f"scores of query {int(np.isnan(scores).any(axis=1).argmax())} hold NaN")
    n_queries, n_items = scores.shape
    _check_range("targets", targets, 0, n_items)
    own = scores[np.arange(n_queries), targets][:, None]
    none = np.zeros(n_queries, np.int32)
    return Placements(
        start=1 + np.count_nonzero(scores > own, axis=1).astype(np.int32),
        size=np.count_nonzero(scores == own, axis=1).astype(np.int32),
        id_rank=none,
        n_ids=none,
        n_items=np.full(n_queries, n_items, np.int32),
    )


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
    depth = min(depth, scores.shape[1])
    border = -np.partition(-scores, depth - 1, axis=1)[:, depth - 1 : depth]
    above, level = scores > border, scores == border
    room = depth - np.count_nonzero(above, axis=1)[:, None]
    chosen = above | (level & (np.cumsum(level, axis=1) <= room))
    items = np.nonzero(chosen)[1].reshape(len(scores), depth)
    order = np.argsort(-np.take_along_axis(scores, items, axis=1), axis=1, kind="stable")
    return np.take_along_axis(items, order, axis=1)


def rankings_sha256(rankings: Mapping[str, Ints]) -> str:
    """Hash of complete rankings, the same on every platform.

    Duplicates are merged and unused entries (-1) dropped first, so that two decoders that agree on the distinct
    IDs and their order give one hash. Scores are not hashed: their last bits differ between processors.

    Args:
        rankings: per task int64 (Q, B): beams' ID rows as for `place_beams`, or items from `best_items`.
    """
    digest = hashlib.sha256(b"semidbench rankings 1\n")
    for task in sorted(rankings):
        ids = rankings[task]
        first = first_occurrences(ids)
        digest.update(f"{task} {len(ids)}\n".encode())
        digest.update(np.count_nonzero(first, axis=1).astype("<i8").tobytes())
        digest.update(ids[first].astype("<i8").tobytes())
    return digest.hexdigest()


def first_occurrences(ids: Ints) -> Mask:
    """True where a row's value is there for the first time and is not -1: bool (Q, B) of int64 (Q, B)."""
    order = np.argsort(ids, axis=1, kind="stable")
    ordered = np.take_along_axis(ids, order, axis=1)
    new = np.ones(ids.shape, bool)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    first = np.empty_like(new)
    np.put_along_axis(first, order, new, axis=1)
    return first & (ids >= 0)


def _check_beams(beam_ids: Ints, beam_scores: Floats, item_to_id: Ints, targets: Ints) -> None:
    if beam_ids.ndim != 2 or beam_scores.shape != beam_ids.shape or targets.shape != beam_ids.shape[:1]:
        raise ValueError(
            f"beam_ids {beam_ids.shape}, beam_scores {beam_scores.shape} and targets {targets.shape} "
            "do not fit (Q, B), (Q, B) and (Q,)"
        )
    _check_range("item_to_id", item_to_id, 0, None)
    _check_range("beam_ids", beam_ids, -1, int(item_to_id.max(initial=-1)) + 1)
    _check_range("targets", targets, 0, len(item_to_id))
    used = beam_ids >= 0
    if np.isnan(beam_scores[used]).any():
        raise ValueError("beam_scores hold NaN")
    lowest = np.minimum.accumulate(np.where(used, beam_scores, np.inf), axis=1)
    rises = used[:, 1:] & (beam_scores[:, 1:] > lowest[:, :-1])
    if rises.any():
        raise ValueError(f"beam_scores of query {int(rises.any(axis=1).argmax())} rise: beams must come best first")


def _check_range(name: str, values: Ints, low: int, end: int | None) -> None:
    if values.size and (values.min() < low or (end is not None and values.max() >= end)):
        raise ValueError(f"{name} hold {values.min()}..{values.max()}, outside {low}..{'' if end is None else end - 1}")
