"""fused-concat and fused-svd: equality with scikit-learn and NumPy called by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from semidbench_fusion.embedders import FusedConcat, FusedSvd, _unit
from sklearn.decomposition import TruncatedSVD
from sklearn.preprocessing import normalize

from semidbench.api import Context, Embedder, Floats, TrainData

MakeContext = Callable[..., Context]


def views(n: int, search: int, rec: int) -> tuple[Floats, Floats]:
    """Random embeddings of which the two tasks' lengths differ, read-only as the harness hands them over."""
    rng = np.random.default_rng(5)
    made = (5 * rng.standard_normal((n, search))).astype(np.float32), rng.random((n, rec)).astype(np.float32)
    for view in made:
        view.setflags(write=False)
    return made


def with_views(context: Context, search: Floats, rec: Floats) -> Context:
    return replace(context, views={"search": {"item": search}, "rec": {"item": rec}})


@pytest.mark.parametrize("widths", [(16, 10), (10, 16), (12, 12)])
def test_concat_equals_numpy(train: TrainData, context: MakeContext, widths: tuple[int, int]) -> None:
    search, rec = views(60, *widths)
    fused = FusedConcat().embed(train, with_views(context(), search, rec))
    assert isinstance(FusedConcat(), Embedder)
    assert list(fused) == ["item"]
    assert fused["item"].dtype == np.float32
    np.testing.assert_allclose(fused["item"], np.concatenate([normalize(search), normalize(rec)], axis=1), atol=1e-6)


@pytest.mark.parametrize("widths", [(40, 10), (10, 40)])
def test_svd_equals_scikit_learn(train: TrainData, context: MakeContext, widths: tuple[int, int]) -> None:
    search, rec = views(60, *widths)
    wide, narrow = (search, rec) if widths[0] > widths[1] else (rec, search)
    svd = TruncatedSVD(n_components=10, algorithm="arpack", random_state=0).fit(normalize(wide).astype(np.float64))
    fused = FusedSvd().embed(train, with_views(context(seed=7), search, rec))["item"]
    assert isinstance(FusedSvd(), Embedder)
    assert fused.dtype == np.float32
    np.testing.assert_allclose(fused, svd.transform(normalize(wide).astype(np.float64)) + normalize(narrow), atol=1e-5)


def test_svd_keeps_what_any_svd_keeps(train: TrainData, context: MakeContext) -> None:
    """The other view is zero, so that the reduced one is seen: its scalar products are those of LAPACK's rank 10."""
    search, _ = views(60, 40, 10)
    fused = FusedSvd().embed(train, with_views(context(), search, np.zeros((60, 10), np.float32)))["item"]
    u, s, _ = np.linalg.svd(normalize(search).astype(np.float64), full_matrices=False)
    np.testing.assert_allclose(fused @ fused.T, (u[:, :10] * s[:10] ** 2) @ u[:, :10].T, atol=1e-5)


def test_equal_widths_add_plainly(train: TrainData, context: MakeContext) -> None:
    search, rec = views(60, 12, 12)
    fused = FusedSvd().embed(train, with_views(context(), search, rec))["item"]
    np.testing.assert_allclose(fused, normalize(search) + normalize(rec), atol=1e-6)


def test_same_seed_same_bits(train: TrainData, context: MakeContext) -> None:
    search, rec = views(60, 16, 10)
    first, again = (FusedSvd().embed(train, with_views(context(seed=3), search, rec))["item"] for _ in range(2))
    far = FusedSvd().embed(train, with_views(context(seed=2**40 + 3), search, rec))["item"]
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(first, far, atol=1e-6)


@pytest.mark.parametrize("widths", [(16, 10), (10, 16), (12, 12)])
def test_rows_of_zeros_have_the_other_view_alone(
    train: TrainData, context: MakeContext, widths: tuple[int, int]
) -> None:
    search, rec = (view.copy() for view in views(60, *widths))
    search[3], rec[3:5] = 0, 0
    concat, svd = (
        each.embed(train, with_views(context(), search, rec))["item"] for each in (FusedConcat(), FusedSvd())
    )
    assert np.isfinite(concat).all()
    assert np.isfinite(svd).all()
    assert not concat[3].any()
    assert not concat[4, widths[0] :].any()
    np.testing.assert_allclose(svd[3], 0, atol=1e-12)
    assert 0 < np.linalg.norm(svd[4]) < 1 + 1e-6


@given(arrays(np.float32, (4, 3), elements=st.floats(-(2.0**100), 2.0**100, width=32)))
def test_rows_have_unit_length_or_none(rows: Floats) -> None:
    """Also where the squares are beyond float32."""
    lengths = np.linalg.norm(_unit(rows), axis=1)
    np.testing.assert_allclose(lengths, rows.any(axis=1), atol=1e-12)


def test_svd_refuses_what_it_cannot_reduce(train: TrainData, context: MakeContext) -> None:
    search, rec = views(10, 16, 10)
    with pytest.raises(ValueError, match="10 search embeddings from 16 to 10 dimensions"):
        FusedSvd().embed(train, with_views(context(), search, rec))
    _, rec = views(60, 16, 10)
    with pytest.raises(ValueError, match="the search embeddings: all are zero"):
        FusedSvd().embed(train, with_views(context(), np.zeros((60, 16), np.float32), rec))
