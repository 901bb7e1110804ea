"""Co-occurring items of the training interactions, and the order in which training sees pairs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from semidbench.api import Interactions, Ints


@dataclass(frozen=True, slots=True, eq=False)
class ItemPairs:
    """Pairs of different items that one user consumed close to each other: two int64 (P,) arrays.

    A pair stands as often as users made it.
    """

    earlier: Ints
    later: Ints

    def __len__(self) -> int:
        return len(self.earlier)


def co_occurring(interactions: Interactions, window: int) -> ItemPairs:
    """The pairs of items at most `window` places apart in a user's history.

    Ordered by distance, then as the interactions are. The paper (section 3.2) says "co-occurring item pairs" only.

    Raises:
        ValueError: there are none.
    """
    users, items = interactions.users, interactions.items
    longest = int(np.bincount(users).max(initial=0))
    earlier, later = [items[:0]], [items[:0]]
    for gap in range(1, min(window + 1, longest)):
        kept = (users[:-gap] == users[gap:]) & (items[:-gap] != items[gap:])
        earlier.append(items[:-gap][kept])
        later.append(items[gap:][kept])
    pairs = ItemPairs(np.concatenate(earlier), np.concatenate(later))
    if not len(pairs):
        raise ValueError(
            "multi-task training needs co-occurring items and no user's training history holds two different ones. "
            "Use the search bi-encoder, or ratio=1:0"
        )
    return pairs


def shuffled(length: int, batch: int, seed: int) -> Iterator[Tensor]:
    """Row numbers 0..length-1, int64 (at most batch,) at a time, shuffled again for each pass, without end.

    Drawn on the CPU, so that a GPU sees the same batches; nothing is drawn before the first batch is asked for.
    """
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield from torch.randperm(length, generator=generator).split(batch)  # type: ignore[no-untyped-call]


def item_stream_seed(seed: int) -> int:
    """The seed of the item pairs' order: another than the queries', which is the cell's own."""
    return int(np.random.SeedSequence([seed, 1]).generate_state(1, np.uint64)[0])
