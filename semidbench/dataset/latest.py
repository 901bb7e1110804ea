"""The latest interactions of each user."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semidbench.api import Ints


def from_end(groups: Ints) -> Ints:
    """How many entries of the same group follow each entry; equal groups stand together."""
    order = np.arange(len(groups), dtype=np.int64)
    last = np.flatnonzero(np.append(np.diff(groups) != 0, True))
    return last[np.searchsorted(last, order)] - order


def latest(users: Ints, items: Ints, timestamps: Ints, count: int | None) -> Ints:
    """Indices, int64, of each user's last `count` interactions (all if None), sorted by user, timestamp, item."""
    order: Ints = np.lexsort((items, timestamps, users))
    if count is None or not len(order):
        return order
    kept: NDArray[np.bool_] = from_end(users[order]) < count
    return order[kept]


def are_in(ids: Ints, sorted_ids: Ints) -> NDArray[np.bool_]:
    """Which of the ids are among the sorted ones; much faster than numpy.isin where these are few."""
    if not len(sorted_ids):
        return np.zeros(len(ids), dtype=bool)
    places = np.minimum(np.searchsorted(sorted_ids, ids), len(sorted_ids) - 1)
    are_equal: NDArray[np.bool_] = sorted_ids[places] == ids
    return are_equal
