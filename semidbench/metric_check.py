"""The metrics of a result against its placements: computed anew, and compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from semidbench.api import TASKS, Task
from semidbench.cases import Cases
from semidbench.metrics import GROUPS
from semidbench.scoring import GroupMetrics, metrics_at

if TYPE_CHECKING:
    from semidbench.results import CellResult


def check_metrics(cell: CellResult, cases: Mapping[Task, Cases], fail: Callable[[str], Exception]) -> None:
    """Every number of the JSON must follow from the placements (to 1e-9: log2 differs in its last bit)."""
    some = cell.metrics["search"]["all"]
    again = metrics_at(cases, tuple(some.recall), tuple(some.ndcg))
    for task in TASKS:
        for group in GROUPS:
            said, found = _flat(cell.metrics[task][group]), _flat(again[task][group])
            if said.keys() != found.keys() or not all(_near(said[key], found[key]) for key in said):
                raise fail(f"the metrics in the JSON for {task}, {group}, do not follow from the placements")


def _flat(metrics: GroupMetrics) -> dict[str, float | None]:
    flat: dict[str, float | None] = {}
    for name, value in metrics:
        flat |= {f"{name}@{k}": v for k, v in value.items()} if isinstance(value, dict) else {name: value}
    return flat


def _near(a: float | None, b: float | None) -> bool:
    return a == b if a is None or b is None else abs(a - b) <= 1e-9
