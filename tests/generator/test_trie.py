from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semidbench.generator import trie
from semidbench.generator.trie import build_trie
from semidbench.ids.distinct import distinct_ids


@st.composite
def id_tables(draw: st.DrawFn) -> tuple[tuple[int, ...], np.ndarray[Any, Any]]:
    """Up to eight levels, some of so many codes that one number does not hold an ID."""
    sizes = draw(st.lists(st.sampled_from([1, 2, 3, 7, 1024, 2**20]), min_size=1, max_size=8))
    row = st.tuples(*(st.integers(0, min(size, 4) - 1) | st.integers(0, size - 1) for size in sizes))
    return tuple(sizes), np.array(draw(st.lists(row, min_size=1, max_size=30)))


@settings(max_examples=60, deadline=None)
@given(id_tables())
def test_distinct_ids_are_those_of_numpy(table: tuple[tuple[int, ...], np.ndarray[Any, Any]]) -> None:
    codes = table[1]
    unique, inverse = np.unique(codes, axis=0, return_inverse=True)
    found = distinct_ids(codes)
    assert found.codes.dtype == found.item_to_id.dtype == np.int64
    np.testing.assert_array_equal(found.codes, unique)
    np.testing.assert_array_equal(found.item_to_id, inverse.ravel())


@settings(max_examples=60, deadline=None)
@given(id_tables(), st.sampled_from([0, 40, 2**22]))
def test_children_are_the_prefixes_that_go_on(table: tuple[tuple[int, ...], np.ndarray[Any, Any]], dense: int) -> None:
    sizes, codes = tuple(min(size, 1024) for size in table[0]), table[1] % 1024
    distinct = distinct_ids(codes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trie, "_DENSE", dense)
        tree = build_trie(distinct, sizes)
    assert tree.sizes == sizes
    for depth, size in enumerate(sizes):
        prefixes = sorted({tuple(row) for row in distinct.codes[:, :depth].tolist()})
        longer = sorted({tuple(row) for row in distinct.codes[:, : depth + 1].tolist()})
        children = tree.children(depth, torch.arange(len(prefixes)))
        assert children.shape == (len(prefixes), size)
        expected = np.full((len(prefixes), size), -1)
        for number, prefix in enumerate(longer):
            expected[prefixes.index(prefix[:-1]), prefix[-1]] = number
        np.testing.assert_array_equal(children.numpy(), expected)
    assert longer == [tuple(row) for row in distinct.codes.tolist()]


def test_a_lookup_reads_the_nodes_asked_for_in_any_order_and_twice() -> None:
    distinct = distinct_ids(np.array([[0, 1], [2, 0], [2, 3]]))
    for dense in (0, 2**22):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(trie, "_DENSE", dense)
            children = build_trie(distinct, (4, 4)).children(1, torch.tensor([1, 0, 1]))
        assert children.tolist() == [[1, -1, -1, 2], [-1, 0, -1, -1], [1, -1, -1, 2]]
