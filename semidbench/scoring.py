"""A cell's metrics from its placements alone.

Placements are small whole numbers, so that many cases are alike: a metric is computed once for those, and counted.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from pydantic import BaseModel, ConfigDict, NonNegativeInt

from semidbench.api import TASKS, Task
from semidbench.cases import Cases
from semidbench.metrics import GROUPS, Group, Mask, cases_per_unit, id_recall_at, in_group, ndcg_at, recall_at, tally
from semidbench.track import Evaluation


class GroupMetrics(BaseModel):
    """One task's metrics over one group of test cases: see semidbench.metrics.Tally for what a mean is.

    `recall` and `ndcg` are at item level, by cut-off k. `id_recall` is None for rankers, which have no IDs.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    n_cases: NonNegativeInt
    recall: dict[int, float | None]
    ndcg: dict[int, float | None]
    id_recall: dict[int, float | None] | None
    mean_ids: float | None
    mean_items: float | None


Metrics = dict[Task, dict[Group, GroupMetrics]]


def compute_metrics(cases: Mapping[Task, Cases], evaluation: Evaluation) -> Metrics:
    """All metrics that a track asks for."""
    return metrics_at(cases, evaluation.recall_at, evaluation.ndcg_at)


def metrics_at(cases: Mapping[Task, Cases], recall_ks: tuple[int, ...], ndcg_ks: tuple[int, ...]) -> Metrics:
    """All metrics at these cut-offs."""
    return {
        task: {
            group: _group_metrics(cases[task], in_group(group, cases[task].head), recall_ks, ndcg_ks)
            for group in GROUPS
        }
        for task in TASKS
    }


def _group_metrics(cases: Cases, chosen: Mask, recall_ks: tuple[int, ...], ndcg_ks: tuple[int, ...]) -> GroupMetrics:
    p, sharing = cases.placements, cases_per_unit(cases.units[chosen])
    beyond = max((*recall_ks, *ndcg_ks), default=0) + 1  # all later ranks are alike
    near = p.start < beyond
    placed = tally(sharing, np.where(near, p.start, 0)[chosen], np.where(near, p.size, 0)[chosen])
    ranked = tally(sharing, np.minimum(p.id_rank, beyond)[chosen])
    ids, items = tally(sharing, p.n_ids[chosen]), tally(sharing, p.n_items[chosen])
    (start, size), (id_rank,) = placed.columns, ranked.columns
    return GroupMetrics(
        n_cases=len(sharing),
        recall={k: placed.unit_mean(recall_at(start, size, k)) for k in recall_ks},
        ndcg={k: placed.unit_mean(ndcg_at(start, size, k)) for k in ndcg_ks},
        id_recall={k: ranked.unit_mean(id_recall_at(id_rank, k)) for k in recall_ks} if p.n_ids.any() else None,
        mean_ids=ids.unit_mean(ids.columns[0].astype(float)),
        mean_items=items.unit_mean(items.columns[0].astype(float)),
    )
