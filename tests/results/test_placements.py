"""Placements against plain loops."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from semidbench.results import placements as ranking
from semidbench.results.placements import (
    Placements,
    best_items,
    concatenate,
    place_beams,
    place_scores,
    rankings_sha256,
)


def rows(placements: Placements) -> list[tuple[int, ...]]:
    columns = (placements.start, placements.size, placements.id_rank, placements.n_ids, placements.n_items)
    return list(zip(*(column.tolist() for column in columns), strict=True))


@st.composite
def beams(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    n_ids = draw(st.integers(1, 5))
    extra = draw(st.lists(st.integers(0, n_ids - 1), max_size=6))
    item_to_id = np.array(draw(st.permutations([*range(n_ids), *extra])))  # every ID has an item
    shape = draw(st.tuples(st.integers(0, 4), st.integers(0, 7)))
    beam_ids = draw(arrays(np.int64, shape, elements=st.integers(-1, n_ids - 1)))
    scores = -np.sort(-draw(arrays(np.float32, shape, elements=st.floats(-9, 0, width=32))), axis=1)
    targets = draw(arrays(np.int64, shape[0], elements=st.integers(0, len(item_to_id) - 1)))
    return beam_ids, np.where(beam_ids < 0, -np.inf, scores).astype(np.float32), item_to_id, targets


def by_hand(beam_ids: list[int], item_to_id: list[int], target: int) -> tuple[int, ...]:
    distinct = list(dict.fromkeys(i for i in beam_ids if i >= 0))
    groups = [[item for item, of in enumerate(item_to_id) if of == i] for i in distinct]
    start = 1
    for rank, group in enumerate(groups, 1):
        if target in group:
            return start, len(group), rank, len(distinct), sum(map(len, groups))
        start += len(group)
    return 0, 0, 0, len(distinct), sum(map(len, groups))


@pytest.fixture(params=[2**16, 5])
def piece(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Numbers that are worked on at a time."""
    monkeypatch.setattr(ranking, "_PIECE", request.param)
    return int(request.param)


MANY = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@MANY
@given(case=beams())
def test_beams_are_placed_as_by_hand(piece: int, case: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]) -> None:
    beam_ids, scores, item_to_id, targets = case
    placed = place_beams(beam_ids, scores, item_to_id, targets)
    expected = [by_hand(ids, item_to_id.tolist(), int(t)) for ids, t in zip(beam_ids.tolist(), targets, strict=True)]
    assert rows(placed) == expected
    assert all(getattr(placed, name).dtype == np.int32 for name in Placements.__dataclass_fields__)


@MANY
@given(
    scores=arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 9)), elements=st.integers(-2, 2).map(float)),
    data=st.data(),
)
def test_scores_are_placed_as_by_hand(piece: int, scores: np.ndarray, data: st.DataObject) -> None:
    targets = np.array([data.draw(st.integers(0, scores.shape[1] - 1)) for _ in scores])
    expected = []
    for row, target in zip(scores.tolist(), targets, strict=True):
        order = sorted(row, reverse=True)
        expected.append((1 + order.index(row[target]), order.count(row[target]), 0, 0, len(row)))
    assert rows(place_scores(scores, targets)) == expected


def test_batches_concatenate() -> None:
    rng = np.random.default_rng(0)
    scores, targets = rng.random((7, 5)).astype(np.float32), rng.integers(0, 5, 7)
    parts = [place_scores(scores[a:b], targets[a:b]) for a, b in ((0, 3), (3, 3), (3, 7))]
    assert rows(concatenate(parts)) == rows(place_scores(scores, targets))
    assert len(concatenate([])) == 0


ONE = np.array([[0, 1]]), np.array([[0.0, -1.0]], np.float32), np.array([0, 1]), np.array([1])


@pytest.mark.parametrize(
    ("which", "wrong", "message"),
    [
        (0, np.array([[0, 2]]), "beam_ids hold 0..2, outside -1..1"),
        (0, np.array([0, 1]), "do not fit"),
        (1, np.array([[-1.0, 0.0]], np.float32), "query 0 rise"),
        (1, np.array([[np.nan, 0.0]], np.float32), "NaN"),
        (2, np.array([0, -1]), "item_to_id"),
        (3, np.array([2]), "targets"),
        (3, np.array([1, 1]), "do not fit"),
    ],
)
def test_malformed_beams_are_refused(which: int, wrong: np.ndarray, message: str) -> None:
    arguments = [wrong if i == which else right for i, right in enumerate(ONE)]
    with pytest.raises(ValueError, match=message):
        place_beams(*arguments)


def test_malformed_scores_are_refused() -> None:
    scores = np.array([[0.0, 1.0], [np.nan, 0.0]], np.float32)
    with pytest.raises(ValueError, match="query 1 hold NaN"):
        place_scores(scores, np.array([0, 0]))
    with pytest.raises(ValueError, match="targets"):
        place_scores(scores[:1], np.array([2]))
    with pytest.raises(ValueError, match="do not fit"):
        place_scores(scores, np.array([0]))


@given(
    arrays(np.float32, st.tuples(st.integers(0, 4), st.integers(1, 60)), elements=st.integers(-2, 2).map(float)),
    st.integers(1, 10),
)
def test_best_items_are_the_sorted_ones(scores: np.ndarray, depth: int) -> None:
    expected = [sorted(range(len(row)), key=lambda item: (-row[item], item))[:depth] for row in scores.tolist()]
    assert best_items(scores, depth).tolist() == expected


def test_the_row_at_fault_is_named_wherever_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "_PIECE", 2)
    beam_ids, scores, targets = np.zeros((5, 2), int), np.zeros((5, 2), np.float32), np.zeros(5, int)
    scores[3, 1] = 1
    with pytest.raises(ValueError, match="query 3 rise"):
        place_beams(beam_ids, scores, np.zeros(1, int), targets)
    scores[3, 1] = np.nan
    with pytest.raises(ValueError, match="query 3 hold NaN"):
        place_scores(scores, targets)


def test_the_hash_is_of_merged_rankings(piece: int) -> None:
    plain = rankings_sha256({"search": np.array([[3, 1], [2, -1]]), "rec": np.array([[0]])})
    assert plain == "815b25c4fabc36cdaf158f403204332b38cbcaf22825c38f3e91a3b20f2765b2"
    assert plain == rankings_sha256({"rec": np.array([[0, 0]]), "search": np.array([[3, 3, 1], [-1, 2, 2]])})
    assert plain != rankings_sha256({"search": np.array([[1, 3], [2, -1]]), "rec": np.array([[0]])})
    assert plain != rankings_sha256({"search": np.array([[3, -1], [1, 2]]), "rec": np.array([[0]])})
    assert plain != rankings_sha256({"rec": np.array([[3, 1], [2, -1]]), "search": np.array([[0]])})


def test_a_test_set_is_placed_in_no_time() -> None:
    rng = np.random.default_rng(0)
    item_to_id = np.concatenate([np.arange(3500), rng.integers(0, 3500, 150)])
    beam_ids = rng.integers(0, 3500, (40_000, 60))
    scores = np.zeros(beam_ids.shape, np.float32)
    before = time.process_time()
    place_beams(beam_ids, scores, item_to_id, rng.integers(0, 3650, 40_000))
    assert time.process_time() - before < 1.5  # 0.2 s on one core; a loop over queries takes ten times that
