"""The tests in a leaderboard.json are what the formula of the paired t-test and the incomplete beta function give."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.special import stdtr

from semidbench.api import TASKS, Task
from semidbench.leaderboards.board import leaderboard
from semidbench.leaderboards.tables import to_json
from semidbench.results.cases import Cases
from semidbench.results.cell_metrics import compute_metrics
from semidbench.results.files import write_cell
from semidbench.results.placements import Placements
from tests.forged import CONTENT, RANDOM, SEARCH, SEEDS, TRACK, made_cell
from tests.oracles.paired_tests import PairScores, differences, two_sided_p

ALPHA, PRIMARY = TRACK.evaluation.alpha, TRACK.evaluation.primary
NAMES = (CONTENT, SEARCH, RANDOM, "rec/rq-kmeans/shared", "-/-/atomic")
Cell = tuple[Any, dict[Task, Cases]]


@example(t=30.0, freedom=1000)  # where p is far below the rounding of 1
@given(t=st.floats(1e-6, 60), freedom=st.integers(1, 800_000))
def test_p_by_two_functions(t: float, freedom: int) -> None:
    assert two_sided_p(t, freedom) == pytest.approx(2 * stdtr(freedom, -t), rel=1e-9)


def board_of(cells: list[Cell]) -> tuple[dict[str, Any], PairScores]:
    """The leaderboard.json of these results, and what its tests pair."""
    scores = PairScores(PRIMARY)
    with TemporaryDirectory() as folder:
        for cell, cases in cells:
            write_cell(Path(folder) / TRACK.name / "results", cell, cases)
            scores.add(cell, cases)
        return json.loads(to_json(leaderboard(TRACK, folder))), scores


ROW = st.tuples(
    st.sampled_from(NAMES),
    st.sampled_from([1, 5, 60, 2000]),  # how far from the top targets are, at most
    st.sampled_from([0, 1]),  # rows with the same noise, and as far, are equal
)


@settings(max_examples=15, deadline=None)
@given(
    rows=st.lists(ROW, min_size=1, max_size=4, unique_by=lambda row: row[0]),
    seeds=st.integers(1, 3),
    n_cases=st.sampled_from([0, 1, 2, 5, 40]),
    items=st.integers(1, 30),
    head_share=st.sampled_from([0, 0.3, 1]),
)
@example(rows=[(CONTENT, 5, 0), (SEARCH, 5, 0), (RANDOM, 60, 1)], seeds=3, n_cases=40, items=9, head_share=0.3)
def test_tests_are_what_the_incomplete_beta_function_gives(
    rows: list[tuple[str, int, int]], seeds: int, n_cases: int, items: int, head_share: float
) -> None:
    """Rows that are better than others, equal, or without a hit; groups without a case or with one unit."""
    data = np.random.default_rng(items)
    units = {"search": data.integers(0, items, n_cases).astype(np.int32), "rec": np.arange(n_cases, dtype=np.int32)}
    head = data.random(n_cases) < head_share
    cells: list[Cell] = []
    for name, far, noise in rows:
        for seed in range(seeds):
            rng = np.random.default_rng([noise, seed])
            cases = {task: random_cases(rng, far, units[task], head) for task in TASKS}
            cell = made_cell(name, seed, metrics=compute_metrics(cases, TRACK.evaluation))[0]
            cells.append((cell, cases))
    board, scores = board_of(cells)
    assert differences(board, scores, ALPHA) == []


def random_cases(rng: np.random.Generator, far: int, units: np.ndarray, head: np.ndarray) -> Cases:
    """Targets in groups of up to 39 items that start at random ranks, 0 (not in the list) to `far`."""
    start = rng.integers(0, far + 1, len(units)).astype(np.int32)
    size = np.where(start > 0, rng.integers(1, 40, len(units)), 0).astype(np.int32)
    n_ids = np.full(len(units), 60, np.int32)
    return Cases(Placements(start, size, np.minimum(start, 60), n_ids, start + size), units, head)


def test_significant_and_ahead_in_one_seed_of_three() -> None:
    """Far ahead in the one, and level or behind in the others: significant by the paper's test, but unsettled."""
    n = 40
    hits = {CONTENT: (36, 0, 0), SEARCH: (0, 1, 21)}
    cells: list[Cell] = []
    for name, by_seed in hits.items():
        for seed, n_hits in enumerate(by_seed):
            start = (np.arange(n) < n_hits).astype(np.int32)
            lists = np.full(n, 60, np.int32)
            one = Cases(Placements(start, start, start, lists, lists), np.arange(n, dtype=np.int32), np.arange(n) < 20)
            cases = dict.fromkeys(TASKS, one)
            cells.append((made_cell(name, seed, metrics=compute_metrics(cases, TRACK.evaluation))[0], cases))
    board, scores = board_of(cells)
    pairs = column_of(board)["pairs"]
    assert (pairs["paper_significant"], pairs["seeds_ahead"], pairs["verdict"]) == ([True], [1], ["unsettled"])
    assert differences(board, scores, ALPHA) == []


@pytest.fixture(scope="module")
def right() -> tuple[dict[str, Any], PairScores]:
    return board_of([made_cell(name, seed) for name in (CONTENT, SEARCH, RANDOM) for seed in range(SEEDS)])


@pytest.fixture
def board(right: tuple[dict[str, Any], PairScores]) -> dict[str, Any]:
    """One to edit."""
    return deepcopy(right[0])


@pytest.fixture
def scores(right: tuple[dict[str, Any], PairScores]) -> PairScores:
    return right[1]


def test_a_board_that_is_right_has_no_differences(board: dict[str, Any], scores: PairScores) -> None:
    assert differences(board, scores, ALPHA) == []


def column_of(board: dict[str, Any]) -> dict[str, Any]:
    return next(column for column in board["columns"] if (column["task"], column["group"]) == ("rec", "torso"))


@pytest.mark.parametrize(
    ("field", "change", "message"),
    [
        ("paper_corrected_p", lambda p: p * (1 - 1e-7), "the corrected p of"),
        ("paper_corrected_p", lambda p: None, "the corrected p of"),
        ("difference", lambda d: d + 1e-8, "the difference of"),
        ("paper_significant", lambda yes: not yes, "`significant` of"),
        ("seeds_ahead", lambda n: n + SEEDS, "`seeds_ahead` of"),
        ("common_seeds", lambda n: n - 1, "`common_seeds` of"),
        ("standard_error", lambda error: error * (1 + 1e-7), "`standard_error` of"),
        ("df", lambda df: df + 1e-6, "`df` of"),
        ("holm_p", lambda p: p * (1 + 1e-7), "`holm_p` of"),
        ("bh_p", lambda p: None, "`bh_p` of"),
        ("verdict", lambda verdict: "holds" if verdict == "unsettled" else "unsettled", "`verdict` of"),
        ("a", lambda a: a % 3 + 1, "its pairs are not those of its rows"),
    ],
)
def test_a_false_pair_is_found(
    board: dict[str, Any], scores: PairScores, field: str, change: Callable[[Any], Any], message: str
) -> None:
    pairs = column_of(board)["pairs"]
    pairs[field][1] = change(pairs[field][1])
    (line,) = differences(board, scores, ALPHA)
    assert line.startswith(f"rec, torso: {message}")


@pytest.mark.parametrize(
    ("field", "change", "message"),
    [
        ("critical_t", lambda t: t * (1 + 1e-5), "`critical_t` "),
        ("critical_t", lambda t: None, "`critical_t` is None for 3 tests"),
        ("critical_t", lambda t: -t, "`critical_t` is -"),
        ("m", lambda m: m - 1, "m is 2 and n "),
        ("n", lambda n: n + 1, "m is 3 and n "),
    ],
)
def test_a_false_bound_is_found(
    board: dict[str, Any], scores: PairScores, field: str, change: Callable[[Any], Any], message: str
) -> None:
    column = column_of(board)
    holder = column if field == "n" else column["paper_test"]
    holder[field] = change(holder[field])
    (line,) = differences(board, scores, ALPHA)
    assert line.startswith(f"rec, torso: {message}")


def test_a_pair_that_is_missing_is_found(board: dict[str, Any], scores: PairScores) -> None:
    for values in column_of(board)["pairs"].values():
        values.pop()
    assert differences(board, scores, ALPHA) == ["rec, torso: its pairs are not those of its rows"]


def test_each_column_is_compared(board: dict[str, Any], scores: PairScores) -> None:
    for column in board["columns"]:
        column["paper_test"]["m"] = 99
    assert len(differences(board, scores, ALPHA)) == 6
