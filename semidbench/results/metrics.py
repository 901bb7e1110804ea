"""Recall and NDCG in closed form, with ties inside an ID broken uniformly at random, in expectation.

The target's group of g tied items fills ranks p..p+g-1, and the target is equally likely at each of them. There
is one relevant item per query, so the ideal DCG is 1. The paper (section 4) evaluates Recall@30 and is silent on
ties; this rule is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, fsum, prod
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
    if not _dense(span := int(units.max(initial=-1)) + 1, len(units)):
        _, unit, cases = np.unique(units, return_inverse=True, return_counts=True)
        return cases[unit]
    return np.bincount(units, minlength=span)[units]


def unit_means(values: Values, unit: Whole, n_units: int) -> Values:
    """The mean of each unit's cases, what the t-tests pair: float64 (n_units,).

    Args:
        values: float64 (Q,).
        unit: integers (Q,) in 0..n_units - 1, each of them at least once.
    """
    means: Values = np.bincount(unit, values, n_units) / np.bincount(unit, minlength=n_units)
    return means


@dataclass(frozen=True, slots=True, eq=False)
class Kinds:
    """Cases by all that a mean over units takes from them beside their values: K kinds of Q cases.

    Attributes:
        of: integers (Q,), each case's kind.
        head: bool (K,), whether the target is a head item.
        sharing: by group, integers (K,): how many of the group's cases the unit of such a case has.
        n_cases: by group, how many cases there are.
        n_units: by group, how many units they have.
    """

    of: Whole
    head: Mask
    sharing: Mapping[Group, Whole]
    n_cases: Mapping[Group, int]
    n_units: Mapping[Group, int]


def kinds(units: Whole, head: Mask) -> Kinds:
    """The kinds of cases, given each one's unit, integers (Q,), and whether its target is a head item, bool (Q,)."""
    columns = head.astype(np.int64), cases_per_unit(units), cases_per_unit(2 * units.astype(np.int64) + head)
    keys, spans = _keys(columns)
    found, times = _counted(keys, prod(spans))
    of_head, of_all, of_group = np.unravel_index(found, spans)
    sharing: dict[Group, Whole] = {"all": of_all, "head": of_group, "torso": of_group}
    members = {group: in_group(group, of_head.astype(bool)) for group in GROUPS}
    return Kinds(
        of=np.searchsorted(found, keys),
        head=of_head.astype(bool),
        sharing=sharing,
        n_cases={group: int(times[members[group]].sum()) for group in GROUPS},
        n_units={group: round(fsum((times / sharing[group])[members[group]].tolist())) for group in GROUPS},
    )


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """Cases counted, those that are alike together: D rows.

    Attributes:
        columns: integers (D,) each, what alike cases have in common.
        kinds: all kinds of cases.
        kind: integers (D,), that of such a case.
        times: integers (D,), how many such cases there are.
    """

    columns: tuple[Whole, ...]
    kinds: Kinds
    kind: Whole
    times: Whole

    def unit_means(self, *metrics: Values) -> Mapping[Group, list[float | None]]:
        """By group, of each metric the mean over units (items for search, users for recommendation) of a unit's mean.

        That is what the t-tests pair, so that a table and its tests agree where items have unequal numbers of
        queries; with equal ones it is the mean over the cases.

        Args:
            metrics: one or more; float64 (D,) each, of a case of each row.

        Returns:
            None where the group has no case. The order of the cases changes no bit, and neither does counting: each
            sum is rounded once.
        """
        values = np.stack(metrics)
        return {group: self._group_means(group, values) for group in GROUPS}

    def _group_means(self, group: Group, values: NDArray[np.float64]) -> list[float | None]:
        n_units = self.kinds.n_units[group]
        if not n_units:
            return [None] * len(values)
        chosen = np.flatnonzero(in_group(group, self.kinds.head)[self.kind])
        times = self.times[chosen]
        shares = values[:, chosen] / self.kinds.sharing[group][self.kind[chosen]]
        upper = shares.astype(np.float32).astype(np.float64)  # two halves, whose products with a count are exact
        parts = np.concatenate([upper * times, (shares - upper) * times], axis=1)
        return [fsum(part) / n_units for part in parts.tolist()]


def tally(kinds: Kinds, *columns: Whole) -> Tally:
    """Count the cases that are alike; columns: integers (Q,) each, 0 or more."""
    keys, spans = _keys((kinds.of, *columns))
    found, times = _counted(keys, prod(spans))
    kind, *alike = np.unravel_index(found, spans)
    return Tally(tuple(alike), kinds, kind, times)


def _keys(columns: tuple[Whole, ...]) -> tuple[Whole, list[int]]:
    """A number for each case, equal for cases that are alike, and what it was made with."""
    spans = [int(column.max(initial=0)) + 1 for column in columns]
    return np.ravel_multi_index(columns, spans), spans


def _counted(keys: Whole, span: int) -> tuple[Whole, Whole]:
    """The different keys, rising, and how often each occurs; keys in 0..span - 1."""
    if not _dense(span, len(keys)):
        return np.unique(keys, return_counts=True)
    times = np.bincount(keys, minlength=span)
    found = np.flatnonzero(times)
    return found, times[found]


def _dense(span: int, n: int) -> bool:
    """Whether a place for each of `span` numbers costs less than sorting n of them."""
    return span <= 8 * n + 4096


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
