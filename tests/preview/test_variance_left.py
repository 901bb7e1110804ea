"""ID use and reconstruction errors against brute force."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semidbench.api import Floats, Ints, ItemIds
from semidbench.ids.usage import id_use
from semidbench.preview.variance_left import left_by_means, left_by_sums


def lstsq_left(view: Floats, codes: Ints) -> float:
    """Least squares on the dense one-hot matrix."""
    onehot = np.hstack([level[:, None] == np.arange(level.max() + 1) for level in codes.T]).astype(float)
    centred = view - view.mean(0, dtype=float)
    fitted = onehot @ np.linalg.lstsq(onehot, centred)[0]
    return float(((centred - fitted) ** 2).sum() / (centred**2).sum())


def means_left(view: Floats, codes: Ints) -> float:
    """By a loop over IDs."""
    error = 0.0
    for id_ in {tuple(row) for row in codes.tolist()}:
        rows = view[(codes == id_).all(axis=1)].astype(float)
        error += ((rows - rows.mean(0)) ** 2).sum()
    return error / ((view - view.mean(0, dtype=float)) ** 2).sum()


def drawn(seed: int, items: int, sizes: tuple[int, ...], width: int = 3) -> tuple[Floats, Ints]:
    rng = np.random.default_rng(seed)
    view = rng.standard_normal((items, width)).astype(np.float32) + 5
    return view, rng.integers(0, sizes, (items, len(sizes)), dtype=np.int64)


@given(
    seed=st.integers(0, 10**6),
    items=st.integers(2, 60),
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4).map(tuple),
)
def test_errors_equal_brute_force(seed: int, items: int, sizes: tuple[int, ...]) -> None:
    view, codes = drawn(seed, items, sizes)
    means, sums = left_by_means(view, codes), left_by_sums(view, codes)
    assert means == pytest.approx(means_left(view, codes), abs=1e-9)
    assert sums == pytest.approx(lstsq_left(view, codes), abs=1e-9)
    assert -1e-9 <= means <= sums + 1e-9
    assert sums <= 1 + 1e-9


@given(seed=st.integers(0, 100), items=st.integers(2, 50), levels=st.integers(1, 4))
def test_items_with_ids_of_their_own_leave_nothing(seed: int, items: int, levels: int) -> None:
    view, codes = drawn(seed, items, (3,) * levels)
    codes[:, -1] = np.random.default_rng(seed).permutation(items)
    assert left_by_means(view, codes) == 0
    assert left_by_sums(view, codes) == pytest.approx(0, abs=1e-12)


def test_a_view_made_of_the_codes_is_additive() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, (7, 5, 4), (400, 3), dtype=np.int64)
    books = [rng.standard_normal((size, 6)) for size in (7, 5, 4)]
    view = sum(book[level] for book, level in zip(books, codes.T, strict=True))
    assert left_by_sums(view.astype(np.float32), codes) == pytest.approx(0, abs=1e-12)
    product = (books[0][codes[:, 0]] * books[1][codes[:, 1]]).astype(np.float32)
    assert left_by_sums(product, codes[:, :2]) > 0.5  # no sum of vectors tells a product
    assert left_by_means(product, codes[:, :2]) == pytest.approx(0, abs=1e-12)


def test_one_id_for_all_leaves_everything_and_a_constant_view_nothing() -> None:
    view, codes = drawn(0, 30, (4, 4))
    assert left_by_means(view, np.zeros_like(codes)) == pytest.approx(1)
    assert left_by_sums(view, np.zeros_like(codes)) == pytest.approx(1)
    constant = np.full_like(view, 0.5)
    assert left_by_means(constant, codes) == left_by_sums(constant, codes) == 0


def test_equal_and_nested_levels_are_no_trouble() -> None:
    """Levels that repeat or refine each other make the least squares singular."""
    view, codes = drawn(1, 200, (12,))
    nested = np.hstack([codes, codes, codes // 3, codes * 0])
    assert left_by_sums(view, nested) == pytest.approx(left_by_means(view, codes), abs=1e-9)


def test_more_items_than_a_block() -> None:
    view, codes = drawn(2, 20_000, (256, 256), width=16)
    assert left_by_sums(view, codes) == pytest.approx(1 - 511 / 20_000, abs=0.005)  # chance explains the rest


def test_id_use_by_counting() -> None:
    codes = np.array([[0, 1], [0, 1], [2, 0], [2, 3], [0, 0], [0, 0], [0, 0]], np.int64)
    use = id_use(ItemIds(codes, ("a", "b"), (4, 5)))
    counts = Counter(map(tuple, codes.tolist()))
    assert (use.tokens, use.possible, use.distinct, use.max_items) == (9, 20, len(counts), 3)
    assert use.mean_items == 7 / 4
    assert use.colliding == 5 / 7
    assert use.load == 7 / 20
    assert [(level.slot, level.size, level.used) for level in use.levels] == [("a", 4, 2), ("b", 5, 3)]
    assert use.levels[0].perplexity == pytest.approx(np.exp(-(5 / 7) * np.log(5 / 7) - (2 / 7) * np.log(2 / 7)))


def test_a_slot_named_twice_counts_its_tokens_once() -> None:
    assert id_use(ItemIds(np.zeros((3, 2), np.int64), ("a", "a"), (4, 4))).tokens == 4


@given(size=st.integers(1, 40), times=st.integers(1, 4))
def test_perplexity_of_equally_frequent_codes_is_their_number(size: int, times: int) -> None:
    codes = np.tile(np.arange(size), times)[:, None]
    level = id_use(ItemIds(codes, ("a",), (50,))).levels[0]
    assert level.used == size
    assert level.perplexity == pytest.approx(size)
