"""A result's metrics counted rank by rank: no closed form, and none of the code that computes them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from semidbench.api import TASKS, Task
from semidbench.results.cases import Cases
from semidbench.results.cell_metrics import GroupMetrics, Metrics
from semidbench.results.metrics import GROUPS

Values = NDArray[np.float64]
NEAR = 1e-9


def differences(metrics: Metrics, cases: Mapping[Task, Cases]) -> list[str]:
    """Metrics that counting does not give, a sentence for each task and group at most."""
    found = []
    for task in TASKS:
        of = cases[task]
        counted = counts(of, tuple(metrics[task]["all"].recall), tuple(metrics[task]["all"].ndcg))
        members = {"all": np.ones(len(of), bool), "head": of.head, "torso": ~of.head}
        for group in GROUPS:
            problem = _difference(metrics[task][group], counted, of, members[group])
            if problem:
                found.append(f"{task}, {group}: {problem}")
    return found


def _difference(
    metrics: GroupMetrics, counted: Mapping[str, Values], cases: Cases, members: NDArray[np.bool_]
) -> str | None:
    if metrics.n_cases != members.sum():
        return f"n_cases is {metrics.n_cases}, and there are {members.sum()}"
    if (metrics.id_recall is None) != (not (cases.placements.n_ids > 0).any()):
        return "id_recall is of lists with IDs alone"
    values = {"mean_ids": metrics.mean_ids, "mean_items": metrics.mean_items}
    for name in ("recall", "ndcg", "id_recall"):
        values |= {f"{name}@{k}": value for k, value in (getattr(metrics, name) or {}).items()}
    for name, value in values.items():
        mean = mean_over_units(counted[name][members], cases.units[members])
        if mean != value and (mean is None or value is None or not abs(mean - value) <= NEAR):
            return f"{name} is {value}, and counting gives {mean}"
    return None


def counts(cases: Cases, recall_ks: tuple[int, ...], ndcg_ks: tuple[int, ...]) -> dict[str, Values]:
    """Each case's metrics by going through the ranks: float64 (Q,) each.

    At each rank within the target's group stands the target with probability 1 / size.
    """
    p = cases.placements
    hits, gains, by_id = (np.zeros(len(cases)) for _ in range(3))
    found: dict[str, Values] = {"mean_ids": p.n_ids.astype(np.float64), "mean_items": p.n_items.astype(np.float64)}
    for rank in range(1, max((*recall_ks, *ndcg_ks), default=0) + 1):
        here = (p.start > 0) & (p.start <= rank) & (rank - p.start < p.size)
        chance = here / np.maximum(p.size, 1)
        hits += chance
        gains += chance / np.log2(1 + rank)
        by_id += p.id_rank == rank
        if rank in recall_ks:
            found |= {f"recall@{rank}": hits.copy(), f"id_recall@{rank}": by_id.copy()}
        if rank in ndcg_ks:
            found[f"ndcg@{rank}"] = gains.copy()
    return found


def mean_over_units(values: Values, units: NDArray[np.int32]) -> float | None:
    """The mean over units of the mean of a unit's cases; None of no case."""
    if not len(values):
        return None
    order = np.argsort(units, kind="stable")
    starts = np.flatnonzero(np.diff(units[order], prepend=-1))
    sizes = np.diff(starts, append=len(values))
    return float((np.add.reduceat(values[order], starts) / sizes).mean())
