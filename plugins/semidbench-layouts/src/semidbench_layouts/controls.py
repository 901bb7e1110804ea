"""Controls (ours, not the paper's): IDs with no information, with little, or with the item alone."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from semidbench.api import Context, Ints, ItemIds, NewQuantizer, Task, TrainData, Views


class Random:
    """Layout: every code drawn uniformly, in the codebooks that the track asks for; one ID for both tasks."""

    uses_embedder = False
    uses_quantizer = False

    def assign(
        self, train: TrainData, views: Views, new_quantizer: NewQuantizer, context: Context
    ) -> Mapping[Task, ItemIds]:
        """The same ItemIds object for both tasks, drawn from `context.rng`."""
        sizes = context.codebook_sizes
        codes = context.rng.integers(0, sizes, size=(train.n_items, len(sizes)), dtype=np.int64)
        ids = ItemIds(codes=codes, slots=tuple(f"item-{level}" for level in range(1, len(sizes) + 1)), sizes=sizes)
        return {"search": ids, "rec": ids}


class CategoryPrefix:
    """Layout: the item's first category, then a number within the category; one ID for both tasks.

    The slot `category` has a code for each first category of the data, and one more if some item has none. The levels
    behind it share what is left of the possible IDs that the track asks for: with C categories and two codebooks of s
    codes, `number` has ceil(s * s / C), so that there are as many possible IDs, or a few more. A category's items are
    numbered in an order drawn at random, so that an ID holds no information but the category; where a category has more
    items than numbers, the numbers begin again, and no ID of a category has two items more than another.
    """

    uses_embedder = False
    uses_quantizer = False

    def assign(
        self, train: TrainData, views: Views, new_quantizer: NewQuantizer, context: Context
    ) -> Mapping[Task, ItemIds]:
        """The same ItemIds object for both tasks; the order of numbers is drawn from `context.rng`.

        Raises:
            ValueError: the track asks for one level.
        """
        levels = len(context.codebook_sizes)
        if levels < 2:
            raise ValueError("layout `category-prefix` needs two levels or more: the track's codebook_sizes has one")
        first = [categories[0] if categories else "" for categories in train.catalogue.categories]
        names, categories = np.unique(np.array(first), return_inverse=True)  # sorted, so that items without are code 0
        size = _ceil_root(-(-math.prod(context.codebook_sizes) // len(names)), levels - 1)
        numbers = _numbered(categories, context.rng) % size ** (levels - 1)
        digits = [numbers // size**place % size for place in reversed(range(levels - 1))]
        ids = ItemIds(
            codes=np.stack([categories, *digits], axis=1).astype(np.int64),
            slots=("category", *(f"number-{level}" for level in range(1, levels))),
            sizes=(len(names), *[size] * (levels - 1)),
        )
        return {"search": ids, "rec": ids}


class Atomic:
    """Layout: one token per item; one ID for both tasks."""

    uses_embedder = False
    uses_quantizer = False

    def assign(
        self, train: TrainData, views: Views, new_quantizer: NewQuantizer, context: Context
    ) -> Mapping[Task, ItemIds]:
        """The same ItemIds object for both tasks: item i is code i of the slot `item`."""
        codes = np.arange(train.n_items, dtype=np.int64)[:, None]
        ids = ItemIds(codes=codes, slots=("item",), sizes=(train.n_items,))
        return {"search": ids, "rec": ids}


def _numbered(groups: Ints, rng: np.random.Generator) -> Ints:
    """Each row's place among the rows of its group, in a random order, from 0: int64 (N,)."""
    shuffled = rng.permutation(len(groups))
    order = shuffled[np.argsort(groups[shuffled], kind="stable")]
    counts = np.bincount(groups)
    within = np.arange(len(groups)) - np.repeat(np.cumsum(counts) - counts, counts)
    numbers = np.empty(len(groups), np.int64)
    numbers[order] = within
    return numbers


def _ceil_root(value: int, degree: int) -> int:
    """The smallest positive integer whose `degree`-th power is at least `value`."""
    root = max(1, int(value ** (1 / degree)) - 1)
    while root**degree < value:
        root += 1
    return root
