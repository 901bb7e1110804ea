"""Numbers about a split that tables report."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from semidbench.api import Queries, TrainData
from semidbench.dataset import HeldOut


def facts(train: TrainData, held_out: HeldOut, *, k: int, codebook_sizes: Sequence[int]) -> dict[str, int | float]:
    """Numbers about a split that tables report.

    Args:
        train: training data.
        held_out: its held-out cases.
        k: of the R@k whose ceiling is wanted.
        codebook_sizes: of the track; their product is the number of possible IDs.

    Returns:
        Counts; `shared_query_share`, the share of held-out queries whose text was written for several items;
        `query_recall_ceiling`, the highest expected R@k of a ranking that sees only the text;
        `load`, items per possible ID; `seen_item_share`, items with a training interaction.
    """
    return {
        "items": train.n_items,
        "users": train.interactions.n_users,
        "train_interactions": len(train.interactions),
        "train_queries": len(train.queries),
        "test_users": len(held_out.users),
        "test_queries": len(held_out.queries),
        "shared_query_share": shared_query_share(held_out.queries),
        "query_recall_ceiling": recall_ceiling(held_out.queries, k),
        "load": train.n_items / math.prod(codebook_sizes),
        "seen_item_share": len(np.unique(train.interactions.items)) / train.n_items,
    }


def shared_query_share(queries: Queries) -> float:
    """The share of queries whose text stands with more than one item."""
    targets = _targets_by_text(queries)
    return sum(sum(items.values()) for items in targets.values() if len(items) > 1) / len(queries)


def recall_ceiling(queries: Queries, k: int) -> float:
    """The best mean R@k of any ranking that depends on the query's text alone.

    For each text it puts the k items first that the text was written for most often.
    """
    return sum(sum(count for _, count in items.most_common(k)) for items in _targets_by_text(queries).values()) / len(
        queries
    )


def _targets_by_text(queries: Queries) -> dict[str, Counter[int]]:
    targets: dict[str, Counter[int]] = {}
    for item, text in zip(queries.items.tolist(), queries.texts, strict=True):
        targets.setdefault(text, Counter())[item] += 1
    return targets
