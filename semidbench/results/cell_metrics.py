"""A cell's metrics from its placements alone.

Placements are small whole numbers, so that many cases are alike: a metric is computed once for those, and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from pydantic import BaseModel, ConfigDict, NonNegativeInt

from semidbench.api import TASKS, Task
from semidbench.results.cases import Cases
from semidbench.results.metrics import GROUPS, Group, Tally, id_recall_at, kinds, ndcg_at, recall_at, tally
from semidbench.tracks.track import Evaluation


class GroupMetrics(BaseModel):
    """One task's metrics over one group of test cases: see semidbench.results.metrics.Tally for what a mean is.

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
    return {task: _task_metrics(cases[task], recall_ks, ndcg_ks) for task in TASKS}


def _task_metrics(cases: Cases, recall_ks: tuple[int, ...], ndcg_ks: tuple[int, ...]) -> dict[Group, GroupMetrics]:
    p, of = cases.placements, kinds(cases.units, cases.head)
    beyond = max((*recall_ks, *ndcg_ks), default=0) + 1  # all later ranks are alike
    near = p.start < beyond
    placed = tally(of, np.where(near, p.start, 0), np.where(near, p.size, 0))
    start, size = placed.columns
    found = placed.unit_means(
        *(recall_at(start, size, k) for k in recall_ks), *(ndcg_at(start, size, k) for k in ndcg_ks)
    )
    ranked = tally(of, np.minimum(p.id_rank, beyond))
    by_id = ranked.unit_means(*(id_recall_at(ranked.columns[0], k) for k in recall_ks))
    ids, items = _means(tally(of, p.n_ids)), _means(tally(of, p.n_items))
    return {
        group: GroupMetrics(
            n_cases=of.n_cases[group],
            recall=dict(zip(recall_ks, found[group], strict=False)),
            ndcg=dict(zip(ndcg_ks, found[group][len(recall_ks) :], strict=True)),
            id_recall=dict(zip(recall_ks, by_id[group], strict=True)) if p.n_ids.any() else None,
            mean_ids=ids[group],
            mean_items=items[group],
        )
        for group in GROUPS
    }


def _means(counts: Tally) -> dict[Group, float | None]:
    return {group: mean for group, (mean,) in counts.unit_means(counts.columns[0].astype(np.float64)).items()}


def check_metrics(metrics: Metrics, cases: Mapping[Task, Cases], fail: Callable[[str], Exception]) -> None:
    """Raise `fail(why)` unless every number follows from the placements (to 1e-9: log2 differs in its last bit)."""
    some = metrics["search"]["all"]
    again = metrics_at(cases, tuple(some.recall), tuple(some.ndcg))
    for task in TASKS:
        for group in GROUPS:
            given, computed = _flat(metrics[task][group]), _flat(again[task][group])
            if given.keys() != computed.keys() or not all(_near(given[key], computed[key]) for key in given):
                raise fail(f"the metrics in the JSON for {task}, {group}, do not follow from the placements")


def _flat(metrics: GroupMetrics) -> dict[str, float | None]:
    flat: dict[str, float | None] = {}
    for name, value in metrics:
        flat |= {f"{name}@{k}": v for k, v in value.items()} if isinstance(value, dict) else {name: value}
    return flat


def _near(a: float | None, b: float | None) -> bool:
    return a == b if a is None or b is None else abs(a - b) <= 1e-9
