"""The IDs that exist, as a prefix tree in compressed rows: what constrains decoding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from semidbench.api import Ints


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
    """Group items by ID: `codes` int64 (N, L)."""
    unique, inverse = np.unique(codes, axis=0, return_inverse=True)
    return DistinctIds(unique, inverse.reshape(-1).astype(np.int64))


@dataclass(frozen=True, slots=True)
class Trie:
    """Prefixes of the distinct IDs. A node of depth d is the d-th prefix in sorted order.

    Attributes:
        first_child: per depth d < L, int64 (nodes of depth d + 1): the children of node i are nodes
            first_child[d][i] to first_child[d][i + 1] - 1 of depth d + 1. Node i of depth L is row i of
            the distinct IDs.
        codes: per depth d < L, int64 (nodes of depth d + 1): the last code of each node of depth d + 1.
    """

    first_child: tuple[torch.Tensor, ...]
    codes: tuple[torch.Tensor, ...]

    def to(self, device: str) -> Trie:
        """The same tree on a device."""
        return Trie(
            tuple(rows.to(device) for rows in self.first_child), tuple(codes.to(device) for codes in self.codes)
        )

    def children(self, depth: int, nodes: torch.Tensor, width: int) -> torch.Tensor:
        """Child nodes by code, -1 where none: int64 (..., width) for int64 nodes (...) of that depth."""
        start, stop = self.first_child[depth][nodes], self.first_child[depth][nodes + 1]
        counts = (stop - start).reshape(-1)
        rows = torch.repeat_interleave(torch.arange(counts.numel(), device=nodes.device), counts)
        within = torch.arange(rows.numel(), device=nodes.device) - (counts.cumsum(0) - counts)[rows]
        child = start.reshape(-1)[rows] + within
        table = torch.full((counts.numel(), width), -1, dtype=torch.int64, device=nodes.device)
        table[rows, self.codes[depth][child]] = child
        return table.view(*nodes.shape, width)


def build_trie(distinct: DistinctIds) -> Trie:
    """The prefix tree of sorted distinct IDs."""
    codes = distinct.codes
    changed = np.zeros(len(codes), dtype=bool)  # row differs from the one before in codes[:, :d]
    changed[0] = True
    node = np.zeros(len(codes), dtype=np.int64)  # each row's node of depth d
    first_child, last_codes = [], []
    for level in range(codes.shape[1]):
        changed = changed | np.concatenate([[True], codes[1:, level] != codes[:-1, level]])
        starts = np.flatnonzero(changed)  # one row for each node of depth level + 1
        counts = np.bincount(node[starts])
        first_child.append(torch.from_numpy(np.concatenate([[0], np.cumsum(counts)])))
        last_codes.append(torch.from_numpy(codes[starts, level].copy()))
        node = np.cumsum(changed) - 1
    return Trie(tuple(first_child), tuple(last_codes))
