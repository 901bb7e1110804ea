"""What is held out: the last interaction and the paraphrases, or, while developing, neither of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semidbench.api import Catalogue, Interactions, Ints, Queries, TrainData
from semidbench.dataset import HeldOut, RawData, Split
from semidbench.dataset.latest import from_end
from semidbench.errors import UserError

Mask = NDArray[np.bool_]
DEVELOPMENT_SHARE = 5  # one training query in so many is held out, at least one of two


def split(raw: RawData, which: Split) -> tuple[TrainData, HeldOut]:
    """Training data and held-out cases. All arrays are copies of their own, read-only.

    "test" holds out the last interaction of each user with two or more, and the test queries.

    "development" drops all of these and holds out the interaction before, of users with three or more, and
    the last fifth of each item's training queries (of two or more at least one). A training query that repeats
    a held-out query of the same item is dropped.

    Raises:
        UserError: nothing is held out, or no training interaction is left.
    """
    later = from_end(raw.interactions.users)
    length = np.bincount(raw.interactions.users)[raw.interactions.users]
    if which == "test":
        held = (later == 0) & (length >= 2)
        kept = ~held
        queries, held_queries = raw.train_queries, raw.test_queries
    else:
        held = (later == 1) & (length >= 3)
        kept = ~held & ~((later == 0) & (length >= 2))
        queries, held_queries = _development_queries(raw.train_queries)
    if not held.any() or not len(held_queries):
        raise UserError(
            f"the {which} split holds out {int(held.sum())} interactions and {len(held_queries)} queries. "
            "Use data with more interactions per user and more queries per item"
        )
    train = TrainData(
        catalogue=_frozen_catalogue(raw.catalogue),
        interactions=Interactions(
            users=_frozen(raw.interactions.users[kept]),
            items=_frozen(raw.interactions.items[kept]),
            timestamps=_frozen(raw.interactions.timestamps[kept]),
        ),
        queries=_frozen_queries(queries),
    )
    held_out = HeldOut(
        queries=_frozen_queries(held_queries),
        users=_frozen(raw.interactions.users[held]),
        targets=_frozen(raw.interactions.items[held]),
    )
    return train, held_out


def _development_queries(queries: Queries) -> tuple[Queries, Queries]:
    order = np.argsort(queries.items, kind="stable")
    items = queries.items[order]
    counts = np.bincount(items)[items] if len(items) else items
    wanted = np.where(counts >= 2, np.maximum(counts // DEVELOPMENT_SHARE, 1), 0)
    held = np.zeros(len(items), dtype=bool)
    held[order] = from_end(items) < wanted
    secret = {(int(item), queries.texts[row]) for row, item in enumerate(queries.items) if held[row]}
    repeats = np.array([(int(item), text) in secret for item, text in zip(queries.items, queries.texts, strict=True)])
    return _chosen(queries, ~held & ~repeats if len(held) else held), _chosen(queries, held)


def _chosen(queries: Queries, mask: Mask) -> Queries:
    return Queries(queries.items[mask], tuple(queries.texts[row] for row in np.flatnonzero(mask).tolist()))


def _frozen(array: Ints) -> Ints:
    """An int64 copy that owns its memory and cannot be written to."""
    copy = np.array(array, dtype=np.int64)
    copy.setflags(write=False)
    return copy


def _frozen_queries(queries: Queries) -> Queries:
    return Queries(_frozen(queries.items), tuple(queries.texts))


def _frozen_catalogue(catalogue: Catalogue) -> Catalogue:
    return Catalogue(
        texts=catalogue.texts,
        titles=catalogue.titles,
        years=_frozen(catalogue.years),
        categories=catalogue.categories,
        tags=catalogue.tags,
        descriptions=catalogue.descriptions,
    )
