"""The IDs that exist, as a prefix tree: what constrains decoding.

A node's children are found at a cost that does not grow with the catalogue, as in STATIC (arXiv 2602.22647): by a
dense table on the first levels, where few nodes have many children each, and in compressed rows (CSR) below, where
a node's row is read at the length of the level's longest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

if TYPE_CHECKING:
    from semidbench.ids.distinct import DistinctIds


_DENSE = 2**22  # entries of a level's dense table at most: 16 MiB


@dataclass(frozen=True, slots=True)
class Level:
    """The children of the nodes of one depth, for one of the two ways to look them up; the other's fields are empty.

    Attributes:
        size: codes of the level below.
        table: int32 (nodes, size), dense: the child by code, -1 where there is none.
        first_child: int32 (nodes + 1), CSR: children of node i are nodes first_child[i] to first_child[i + 1] - 1.
        codes: int32 (children), CSR: the last code of each child.
        most: children of the node that has most.
    """

    size: int
    table: torch.Tensor
    first_child: torch.Tensor
    codes: torch.Tensor
    most: int


@dataclass(frozen=True, slots=True)
class Trie:
    """Prefixes of the distinct IDs. Node i of depth d is the i-th prefix of d codes, in sorted order.

    Node i of depth L is row i of the distinct IDs.
    """

    levels: tuple[Level, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Codes of each level."""
        return tuple(level.size for level in self.levels)

    def to(self, device: str) -> Trie:
        """The same tree on a device."""
        return Trie(
            tuple(
                replace(
                    level,
                    table=level.table.to(device),
                    first_child=level.first_child.to(device),
                    codes=level.codes.to(device),
                )
                for level in self.levels
            )
        )

    def children(self, depth: int, nodes: torch.Tensor) -> torch.Tensor:
        """Child nodes by code, -1 where there is none: int32 (N, codes) for int64 nodes (N,) of that depth."""
        level = self.levels[depth]
        if len(level.table):
            return level.table.index_select(0, nodes)
        start, stop = level.first_child[nodes], level.first_child[nodes + 1]
        child = start[:, None] + torch.arange(level.most, dtype=torch.int32, device=nodes.device)
        code = level.codes[child.clamp(max=len(level.codes) - 1)].long()
        code.masked_fill_(child >= stop[:, None], level.size)  # behind a row's end: a column that is cut off
        found = torch.full((len(nodes), level.size + 1), -1, dtype=torch.int32, device=nodes.device)
        return found.scatter_(1, code, child)[:, : level.size]


def build_trie(distinct: DistinctIds, sizes: Sequence[int]) -> Trie:
    """The prefix tree of sorted distinct IDs whose levels have `sizes` codes."""
    codes = distinct.codes
    changed = np.zeros(len(codes), dtype=bool)  # a row differs from the one before in its first codes
    changed[0] = True
    starts = np.zeros(1, np.int64)  # the first row of each node
    levels = []
    for column, size in zip(codes.T, sizes, strict=True):
        changed[1:] |= column[1:] != column[:-1]
        below = np.flatnonzero(changed)
        first_child = np.searchsorted(below, np.append(starts, len(codes))).astype(np.int32)
        levels.append(_level(first_child, column[below].astype(np.int32), size))
        starts = below
    return Trie(tuple(levels))


def _level(first_child: NDArray[np.int32], codes: NDArray[np.int32], size: int) -> Level:
    nodes, counts = len(first_child) - 1, np.diff(first_child)
    none = torch.zeros(0, dtype=torch.int32)
    most = int(counts.max())
    if nodes * size > _DENSE:
        return Level(size, none, torch.from_numpy(first_child), torch.from_numpy(codes), most)
    table = np.full((nodes, size), -1, np.int32)
    table[np.repeat(np.arange(nodes), counts), codes] = np.arange(len(codes))
    return Level(size, torch.from_numpy(table), none, none, most)
