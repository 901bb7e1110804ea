"""A dataset: what methods may learn from, and what is held out.

Read `prepare` first: it goes from a track's recipe to data. The recipes are `world` (synthetic), `movielens/` and
`folder` (a user's own files); `latest` keeps each user's latest interactions and `item_text` writes an item's text.
`split` holds out the test cases, `split_hash` identifies the result, `facts` counts it, and `files` stores it. `check`
says what a data folder lacks. `queries/` writes and reads search queries, `tables/` reads CSV and Parquet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from semidbench.api import Catalogue, Interactions, Ints, Queries

Split = Literal["test", "development"]


@dataclass(frozen=True, slots=True)
class RawData:
    """A dataset before it is split: every interaction, and both sets of queries."""

    catalogue: Catalogue
    interactions: Interactions
    train_queries: Queries
    test_queries: Queries


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The evaluation cases of a split. Never handed to a plugin.

    Attributes:
        queries: held-out queries and their target items.
        users: int64 (U,), users (numbered as in the training interactions) with a held-out interaction.
        targets: int64 (U,), that interaction's item. The history to predict it from is all of the
            user's training interactions.
    """

    queries: Queries
    users: Ints
    targets: Ints


def counted(*facts: tuple[int, str]) -> list[str]:
    """A note for each count that is not zero."""
    return [f"{what}: {count:,}" for count, what in facts if count]
