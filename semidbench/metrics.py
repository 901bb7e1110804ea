"""Recall and NDCG in closed form, with ties inside an ID broken uniformly at random, in expectation.

The target's group of g tied items fills ranks p..p+g-1, and the target is equally likely at each of them. There
is one relevant item per query, so the ideal DCG is 1. The paper (section 4) evaluates Recall@30 and is silent on
ties; this rule is ours.
"""

from __future__ import annotations

from dataclasses import dataclass
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


def cases_per_unit(units: Whole) -> Whole:
    """For each case, how many cases its unit has: int64 (Q,) of integers (Q,)."""
    _, unit, cases = np.unique(units, return_inverse=True, return_counts=True)
    return cases[unit]


def unit_means(values: Values, unit: Whole, n_units: int) -> Values:
    """The mean of each unit's cases, what the t-tests pair: float64 (n_units,).

    Args:
        values: float64 (Q,).
        unit: integers (Q,) in 0..n_units - 1, each of them at least once.
    """
    means: Values = np.bincount(unit, values, n_units) / np.bincount(unit, minlength=n_units)
    return means


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """Cases counted, those that are alike together: D rows.

    Attributes:
        columns: integers (D,) each, what alike cases have in common.
        sharing: integers (D,), how many cases the unit of such a case has.
        times: integers (D,), how many such cases there are.
    """

    columns: tuple[Whole, ...]
    sharing: Whole
    times: Whole

    def unit_mean(self, values: Values) -> float | None:
        """The mean over units (test items for search, users for recommendation) of the mean of each unit's cases.

        That is what the t-tests pair, so that a table and its tests agree where items have unequal numbers of
        queries; with equal ones it is the mean over the cases.

        Args:
            values: float64 (D,), of a case of each row.

        Returns:
            None where there is no case. The order of the cases changes no bit, and neither does counting: the sum is
            rounded once.
        """
        if not len(values):
            return None
        shares = values / self.sharing
        upper = shares.astype(np.float32).astype(np.float64)  # two halves, whose products with a count are exact
        total = fsum(np.concatenate([upper * self.times, (shares - upper) * self.times]).tolist())
        return total / round(fsum((self.times / self.sharing).tolist()))


def tally(sharing: Whole, *columns: Whole) -> Tally:
    """Count the cases that are alike.

    Args:
        sharing: integers (Q,), how many cases the unit of each case has.
        columns: integers (Q,) each, 0 or more.
    """
    spans = [int(column.max(initial=0)) + 1 for column in (sharing, *columns)]
    keys, times = np.unique(np.ravel_multi_index((sharing, *columns), spans), return_counts=True)
    units, *found = np.unravel_index(keys, spans)
    return Tally(tuple(found), units, times)


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
