"""A result's metrics are what counting rank by rank gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semidbench.api import TASKS, Task
from semidbench.results import cell_metrics
from semidbench.results.cases import Cases
from semidbench.results.cell_metrics import compute_metrics, metrics_at
from semidbench.results.placements import Placements
from tests.forged import CONTENT, SEEDS, TRACK, made_cell
from tests.oracles.counted_metrics import differences

FAR = 10**6  # a rank or a unit that no table of counts has a place for
CASE = st.tuples(
    st.integers(1, 40) | st.sampled_from([0, FAR]),  # where the target's group starts
    st.integers(1, 50),  # how many items it has
    st.integers(0, 40),  # the rank of its ID
    st.integers(0, 60),  # IDs in the list
    st.integers(0, 90),  # items in the list
    st.integers(0, 6) | st.just(FAR),  # the unit
    st.booleans(),  # whether it is of the head
)
CUT_OFFS = st.lists(st.integers(1, 45), min_size=1, max_size=3, unique=True).map(tuple)


def cases_of(rows: list[tuple[Any, ...]], with_ids: bool) -> Cases:
    start, size, id_rank, n_ids, n_items, units, head = (np.array([row[i] for row in rows], np.int32) for i in range(7))
    placed = Placements(start, size * (start > 0), id_rank * with_ids, n_ids * with_ids, n_items)
    return Cases(placed, units, head.astype(bool))


@given(st.lists(CASE, max_size=40), st.lists(CASE, max_size=40), st.booleans(), CUT_OFFS, CUT_OFFS)
def test_metrics_are_what_counting_gives(
    search: list[Any], rec: list[Any], with_ids: bool, recall_ks: tuple[int, ...], ndcg_ks: tuple[int, ...]
) -> None:
    """Random placements: ties over a cut-off, targets that are not ranked, groups without cases, units of many."""
    cases: dict[Task, Cases] = {"search": cases_of(search, with_ids), "rec": cases_of(rec, with_ids)}
    assert differences(metrics_at(cases, recall_ks, ndcg_ks), cases) == []


@pytest.mark.parametrize("name", ["ndcg_at", "id_recall_at", "recall_at"])
def test_an_error_in_a_closed_form_is_found(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    right = getattr(cell_metrics, name)
    monkeypatch.setattr(cell_metrics, name, lambda *args: right(*args[:-1], args[-1] - 1))
    for seed in range(SEEDS):
        cases = made_cell(CONTENT, seed)[1]
        found = differences(compute_metrics(cases, TRACK.evaluation), cases)
        assert {line.split(",")[0] for line in found} == {*TASKS}
        assert all(f"{name.removesuffix('_at')}@" in line and "and counting gives" in line for line in found)


def test_an_error_in_the_means_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = cell_metrics.kinds
    monkeypatch.setattr(cell_metrics, "kinds", lambda units, head: right(units, ~head))
    cases = made_cell(CONTENT, 0)[1]
    found = differences(compute_metrics(cases, TRACK.evaluation), cases)
    assert any(line.startswith("search, head: n_cases is") for line in found)


def test_a_false_number_is_found() -> None:
    cell, cases = made_cell(CONTENT, 0)
    torso = cell.metrics["rec"]["torso"]
    for change in (
        {"n_cases": torso.n_cases - 1},
        {"id_recall": None},
        {"mean_ids": None},
        {"mean_items": torso.mean_items + 1e-8},
        {"recall": torso.recall | {30: torso.recall[30] - 1e-8}},
    ):
        false = cell.metrics["rec"] | {"torso": torso.model_copy(update=change)}
        (line,) = differences(cell.metrics | {"rec": false}, cases)
        assert line.startswith("rec, torso: ")
        assert next(iter(change)) in line
