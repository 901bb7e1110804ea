"""Closed forms against averages over all tie orders, and against ranx and ir-measures where nothing ties."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from fractions import Fraction
from itertools import permutations, product
from math import ceil, log2

import ir_measures
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semidbench.results.metrics import (
    GROUPS,
    head_items,
    id_recall_at,
    in_group,
    kinds,
    ndcg_at,
    recall_at,
    tally,
    unit_means,
)
from semidbench.results.placements import place_beams, place_scores

# Sizes of the groups in a list, at most 7 items, so that all orders of ties can be gone through.
GROUP_SIZES = st.lists(st.integers(1, 4), min_size=1, max_size=4).filter(lambda sizes: sum(sizes) <= 7)


def over_tie_orders(groups: list[list[int]], target: int, k: int) -> tuple[float, float]:
    """Mean recall@k and NDCG@k over every way to order each group."""
    recalls, ndcgs = [], []
    for orders in product(*(permutations(group) for group in groups)):
        ranking = [item for group in orders for item in group]
        rank = ranking.index(target) + 1 if target in ranking else k + 1
        recalls.append(float(rank <= k))
        ndcgs.append(1 / log2(1 + rank) if rank <= k else 0.0)
    return float(np.mean(recalls)), float(np.mean(ndcgs))


@given(GROUP_SIZES, st.integers(1, 9), st.data())
def test_metrics_are_averages_over_tie_orders(sizes: list[int], k: int, data: st.DataObject) -> None:
    item_to_id = np.repeat(np.arange(len(sizes)), sizes)
    listed = data.draw(st.permutations(range(len(sizes))))[: data.draw(st.integers(1, len(sizes)))]
    target = data.draw(st.integers(0, len(item_to_id) - 1))
    beam_ids = np.array([[*listed, listed[0]]])
    scores = -np.arange(beam_ids.size, dtype=np.float32)[None]
    p = place_beams(beam_ids, scores, item_to_id, np.array([target]))
    recall, ndcg = over_tie_orders([np.flatnonzero(item_to_id == i).tolist() for i in listed], target, k)
    assert recall_at(p.start, p.size, k)[0] == pytest.approx(recall, abs=1e-12)
    assert ndcg_at(p.start, p.size, k)[0] == pytest.approx(ndcg, abs=1e-12)
    assert id_recall_at(p.id_rank, k)[0] == float(item_to_id[target] in listed[:k])


def test_a_ranker_that_knows_nothing_is_at_chance() -> None:
    p = place_scores(np.zeros((3, 50), np.float32), np.array([0, 7, 49]))
    assert recall_at(p.start, p.size, 30).tolist() == pytest.approx([0.6] * 3)


@pytest.fixture(scope="module")
def untied() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    scores = rng.permuted(np.tile(np.arange(60, dtype=np.float32), (40, 1)), axis=1)
    return scores, rng.integers(0, 60, 40)


def as_run(scores: np.ndarray, targets: np.ndarray) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, float]]]:
    qrels = {f"q{q}": {f"d{target}": 1} for q, target in enumerate(targets)}
    run = {f"q{q}": {f"d{item}": float(score) for item, score in enumerate(row)} for q, row in enumerate(scores)}
    return qrels, run


RANX = """
import json, ranx, sys
qrels, run, names = json.load(sys.stdin)
run = ranx.Run(run)
ranx.evaluate(ranx.Qrels(qrels), run, names)
print(json.dumps({name: {query: float(value) for query, value in run.scores[name].items()} for name in names}))
"""


def test_metrics_equal_ranx(untied: tuple[np.ndarray, np.ndarray]) -> None:
    names = ["recall@5", "recall@30", "ndcg@5", "ndcg@30"]
    # numba would compile for a minute; a process of its own runs the same code without
    given = json.dumps([*as_run(*untied), names])
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([sys.executable, "-c", RANX], input=given, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    theirs = json.loads(done.stdout.splitlines()[-1])
    p = place_scores(*untied)
    for name, ours in zip(names, all_metrics(p.start, p.size), strict=True):
        np.testing.assert_allclose(ours, [theirs[name][f"q{q}"] for q in range(len(ours))], rtol=0, atol=1e-9)


def test_metrics_equal_ir_measures(untied: tuple[np.ndarray, np.ndarray]) -> None:
    qrels, run = as_run(*untied)
    measures = [ir_measures.R @ 5, ir_measures.R @ 30, ir_measures.nDCG @ 5, ir_measures.nDCG @ 30]
    p = place_scores(*untied)
    ours = dict(zip(measures, all_metrics(p.start, p.size), strict=True))
    found = list(ir_measures.iter_calc(measures, qrels, run))
    assert len(found) == len(measures) * len(untied[1])
    for metric in found:
        assert ours[metric.measure][int(metric.query_id[1:])] == pytest.approx(metric.value, abs=1e-9)


def all_metrics(start: np.ndarray, size: np.ndarray) -> list[np.ndarray]:
    return [metric(start, size, k) for metric in (recall_at, ndcg_at) for k in (5, 30)]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40), st.integers(0, 100))
def test_the_head_are_the_most_popular(counts: list[int], percent: int) -> None:
    head = head_items(np.array(counts), percent / 100)
    order = sorted(range(len(counts)), key=lambda item: (-counts[item], item))
    n_head = -(-percent * len(counts) // 100)
    assert np.flatnonzero(head).tolist() == sorted(order[:n_head])


def test_the_head_counts_in_decimals() -> None:
    assert ceil(0.07 * 100) == 8  # what binary floating point would make of it
    assert head_items(np.zeros(100, int), 0.07).sum() == 7
    assert head_items(np.zeros(3650, np.uint8), 0.01).sum() == 37


def test_head_and_torso_partition_the_cases() -> None:
    head = np.array([True, False, False])
    assert in_group("all", head).all()
    assert (in_group("head", head) ^ in_group("torso", head)).all()


FAR = 10**7  # numbers too far apart to count each in a place of its own: they are sorted


@given(
    st.lists(
        st.tuples(st.sampled_from([0, 1, 2, 3, 4, FAR]), st.booleans(), st.integers(0, 3), st.integers(0, 70)),
        max_size=60,
    )
    | st.lists(
        st.tuples(st.integers(0, 5), st.booleans(), st.integers(0, 3), st.sampled_from([0, 1, 5, FAR])), max_size=60
    )
)
def test_a_mean_gives_each_unit_the_same_weight_and_is_rounded_once(cases: list[tuple[int, bool, int, int]]) -> None:
    every_unit, every_head, *every_column = (np.array([case[i] for case in cases], np.int32) for i in range(4))
    of = kinds(every_unit, every_head.astype(bool))
    counted = tally(of, *every_column)
    assert int(counted.times.sum()) == len(cases)

    def score(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.log2(1 + a + b) / 3

    found = counted.unit_means(*[score(*counted.columns)] * 2)
    for group in GROUPS:
        members = in_group(group, every_head.astype(bool))
        units, columns = every_unit[members], [column[members] for column in every_column]
        mean, again = found[group]
        assert (again, of.n_cases[group]) == (mean, len(units))
        if not len(units):
            assert mean is None
            continue
        values, own = score(*columns), [units == unit for unit in sorted(set(units.tolist()))]
        assert of.n_units[group] == len(own)
        by_unit = unit_means(values, np.unique(units, return_inverse=True)[1], len(own))
        assert by_unit.tolist() == pytest.approx([values[chosen].mean() for chosen in own], abs=1e-12)
        assert mean == pytest.approx(by_unit.mean(), abs=1e-12)
        shares = [Fraction(value / np.sum(units == unit)) for value, unit in zip(values, units, strict=True)]
        assert mean == float(sum(shares)) / len(own)
