"""Every metric of a result counted rank by rank, with no closed form and none of the scoring's code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from semidbench.api import TASKS, Task
from semidbench.results.cases import Cases
from semidbench.results.cell_result import CellResult
from semidbench.results.metrics import GROUPS

Values = NDArray[np.float64]
NEAR = 1e-9


def score_problems(cell: CellResult, cases: Mapping[Task, Cases]) -> Iterator[str]:
    """Metrics that the placements do not give when they are counted, a sentence for each task at most.

    The time is by the largest cut-off: the caller has seen that the cut-offs are the track's.
    """
    for task in TASKS:
        of = cases[task]
        metrics = cell.metrics[task]
        counted = counts(of, tuple(metrics["all"].recall), tuple(metrics["all"].ndcg))
        chosen = {"all": np.ones(len(of), bool), "head": of.head, "torso": ~of.head}
        for group in GROUPS:
            said = metrics[group].model_dump()
            told = {"mean_ids": said["mean_ids"], "mean_items": said["mean_items"]}
            for name in ("recall", "ndcg", "id_recall"):
                told |= {f"{name}@{k}": value for k, value in (said[name] or {}).items()}
            wrong = _first_wrong(told, counted, of.units, chosen[group])
            if said["n_cases"] != chosen[group].sum():
                wrong = f"n_cases is {said['n_cases']}, and there are {chosen[group].sum()}"
            if wrong:
                yield f"{task}, {group}: {wrong}"
                break


def _first_wrong(
    told: Mapping[str, float | None], counted: Mapping[str, Values], units: NDArray[np.int32], chosen: NDArray[np.bool_]
) -> str | None:
    for name, value in told.items():
        mean = mean_over_units(counted[name][chosen], units[chosen])
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
