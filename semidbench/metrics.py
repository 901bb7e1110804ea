"""Recall and NDCG in closed form, with ties inside an ID broken uniformly at random, in expectation.

The target's group of g tied items fills ranks p..p+g-1, and the target is equally likely at each of them. There
is one relevant item per query, so the ideal DCG is 1. The paper (section 4) evaluates Recall@30 and is silent on
ties; this rule is ours.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil, fsum
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Group = Literal["all", "head", "torso"]
GROUPS: tuple[Group, Group, Group] = ("all", "head", "torso")

Values = NDArray[np.float64]
Whole = NDArray[np.integer]
Mask = NDArray[np.bool_]


def recall_at(start: Whole, size: Whole, k: int) -> Values:
    """Expected recall@k per query: clip((k - p + 1) / g, 0, 1), 0 if not retrieved; float64 (Q,).

    Args:
        start: integers (Q,), rank p at which the target's group starts, 1-based; 0 if not retrieved.
        size: integers (Q,), items g in that group; 0 if not retrieved.
        k: cut-off, at least 1.
    """
    p, g = start.astype(np.float64), np.maximum(size, 1)
    return np.where(start > 0, np.clip((k - p + 1) / g, 0, 1), 0.0)


def ndcg_at(start: Whole, size: Whole, k: int) -> Values:
    """Expected NDCG@k per query: the mean over r = p..p+g-1 of 1/log2(1+r), 0 for r > k; float64 (Q,).

    Arguments as for `recall_at`.
    """
    discounts = np.concatenate([[0.0], np.cumsum(1 / np.log2(1 + np.arange(1, k + 1)))])  # up to rank r
    before = np.minimum(np.maximum(start.astype(np.int64), 1) - 1, k)
    last = np.minimum(before + size, k)
    return np.where(start > 0, (discounts[last] - discounts[before]) / np.maximum(size, 1), 0.0)


def id_recall_at(id_rank: Whole, k: int) -> Values:
    """1 where the target's ID is among the first k distinct IDs, else 0: float64 (Q,) of integers (Q,)."""
    return ((id_rank > 0) & (id_rank <= k)).astype(np.float64)


def unit_mean(values: Values, units: Whole) -> float | None:
    """The mean over units (test items for search, users for recommendation) of the mean of each unit's cases.

    That is what the t-tests pair, so that a table and its tests agree where items have unequal numbers of
    queries; with equal ones it is the mean over the cases.

    Args:
        values: float64 (Q,).
        units: integers (Q,), the unit of each case.

    Returns:
        None where there is no case. The order of the cases changes no bit: fsum rounds once.
    """
    if not len(values):
        return None
    _, inverse, counts = np.unique(units, return_inverse=True, return_counts=True)
    return fsum((values / counts[inverse]).tolist()) / len(counts)


def head_items(train_interaction_counts: Whole, share: float) -> Mask:
    """The head: the ceil(share * N) items with the most training interactions, ties by item number; bool (N,).

    The paper (Table 2) takes the top 1%. The rest is the torso.
    """
    n_items = len(train_interaction_counts)
    # 0.07 * 100 is 7.000000000000001 in binary: count in the decimals that the track file wrote.
    n_head = ceil(Fraction(repr(float(share))) * n_items)
    head = np.zeros(n_items, bool)
    head[np.argsort(-train_interaction_counts.astype(np.int64), kind="stable")[:n_head]] = True
    return head


def in_group(group: Group, head: Mask) -> Mask:
    """Which cases belong to a group, given whether each case's target is a head item: bool (Q,)."""
    return {"all": np.ones_like(head), "head": head, "torso": ~head}[group]
