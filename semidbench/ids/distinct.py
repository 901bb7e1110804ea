"""The distinct IDs of a catalogue, in lexicographic order, and which items share each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semidbench.api import Ints

_KEY = 2**62  # IDs are sorted as numbers below this, several where one is not enough


@dataclass(frozen=True, slots=True)
class DistinctIds:
    """The distinct IDs of a catalogue.

    Attributes:
        codes: int64 (U, L), sorted, all different.
        item_to_id: int64 (N,), each item's row in `codes`.
    """

    codes: Ints
    item_to_id: Ints


def distinct_ids(codes: Ints) -> DistinctIds:
    """Group items by ID: `codes` int64 (N, L), N > 0, none negative."""
    keys = _keys(codes)
    order = np.argsort(keys[0], kind="stable") if len(keys) == 1 else np.lexsort(keys[::-1])
    new = np.ones(len(codes), bool)
    new[1:] = np.logical_or.reduce([key[order[1:]] != key[order[:-1]] for key in keys])
    item_to_id = np.empty(len(codes), np.int64)
    item_to_id[order] = np.cumsum(new) - 1
    return DistinctIds(codes[order[new]], item_to_id)


def _keys(codes: Ints) -> list[Ints]:
    """Numbers that order as the IDs do, most significant first: int64 (N,) each."""
    keys: list[Ints] = []
    room = 0
    for column, size in zip(codes.T, (codes.max(axis=0) + 1).tolist(), strict=True):
        if room < size:
            keys.append(column.copy())
            room = _KEY // size
        else:
            keys[-1] *= size
            keys[-1] += column
            room //= size
    return keys
