"""rq-kmeans and kmeans: the contract, and equality with FAISS called directly."""

from __future__ import annotations

from collections.abc import Callable

import faiss
import numpy as np
import pytest
from semidbench_faiss.kmeans import Kmeans
from semidbench_faiss.rq_kmeans import RqKmeans

from semidbench.api import Context, Quantizer

MakeContext = Callable[..., Context]
X = np.random.default_rng(3).standard_normal((500, 16)).astype(np.float32)


def fitted(context: Context, beam: int = 5) -> RqKmeans:
    quantizer = RqKmeans(beam=beam)
    quantizer.fit(X, context)
    return quantizer


def fitted_kmeans(context: Context, size: int = 0, x: np.ndarray = X) -> Kmeans:
    quantizer = Kmeans(size=size)
    quantizer.fit(x, context)
    return quantizer


@pytest.mark.parametrize("sizes", [(16,), (8, 8), (4, 32, 8)])
def test_codes_fill_the_codebooks(context: MakeContext, sizes: tuple[int, ...]) -> None:
    quantizer = fitted(context(codebook_sizes=sizes))
    codes = quantizer.encode(X)
    assert isinstance(quantizer, Quantizer)
    assert quantizer.codebook_sizes == sizes
    assert codes.shape == (500, len(sizes))
    assert codes.dtype == np.int64
    assert codes.min(axis=0).tolist() == [0] * len(sizes)
    assert codes.max(axis=0).tolist() == [size - 1 for size in sizes]


@pytest.mark.parametrize("beam", [1, 5])
def test_equals_faiss_called_directly(context: MakeContext, beam: int) -> None:
    direct = faiss.ResidualQuantizer(16, 2, 4)  # 2 levels of 4 bits, packed in one byte: low bits first
    direct.max_beam_size = beam
    direct.cp.seed = 11
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    direct.train(X)
    packed = direct.compute_codes(X)[:, 0]
    faiss.omp_set_num_threads(threads)
    quantizer = fitted(context(seed=11, codebook_sizes=(16, 16)), beam)
    expected = np.stack([packed & 15, packed >> 4], axis=1)
    np.testing.assert_array_equal(quantizer.encode(X), expected)


def test_beam_1_takes_the_nearest_centroid_first(context: MakeContext) -> None:
    quantizer = fitted(context(codebook_sizes=(16, 16)), beam=1)
    first = faiss.vector_to_array(quantizer._quantizer.codebooks).reshape(32, 16)[:16]
    distances = ((X[:, None] - first[None]) ** 2).sum(-1)
    np.testing.assert_array_equal(quantizer.encode(X)[:, 0], distances.argmin(1))


def test_reconstructs_better_than_the_mean(context: MakeContext) -> None:
    quantizer = fitted(context(codebook_sizes=(16, 16)))
    rebuilt = quantizer.decode(quantizer.encode(X))
    assert ((X - rebuilt) ** 2).sum() < 0.7 * ((X - X.mean(0)) ** 2).sum()


def test_decodes_as_faiss_does(context: MakeContext) -> None:
    quantizer = fitted(context(codebook_sizes=(8, 32, 4)))
    packed = quantizer._quantizer.compute_codes(X)
    np.testing.assert_allclose(quantizer.decode(quantizer.encode(X)), quantizer._quantizer.decode(packed), rtol=1e-6)


def test_same_seed_same_codes_other_seed_others(context: MakeContext) -> None:
    first, again, other = (fitted(context(seed=seed)).encode(X) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_leaves_the_thread_count_alone(context: MakeContext) -> None:
    before = faiss.omp_get_max_threads()
    fitted(context()).encode(X)
    assert faiss.omp_get_max_threads() == before


def test_refuses_what_it_cannot_do(context: MakeContext) -> None:
    with pytest.raises(ValueError, match="powers of two, not \\[48\\]"):
        fitted(context(codebook_sizes=(64, 48)))
    with pytest.raises(ValueError, match="512 codes from 500 vectors"):
        fitted(context(codebook_sizes=(512,)))
    with pytest.raises(ValueError, match="as many vectors as dimensions"):
        RqKmeans().fit(np.zeros((40, 50), np.float32), context(codebook_sizes=(16, 16)))
    with pytest.raises(ValueError, match="beam"):
        RqKmeans(beam=0)


def test_kmeans_spends_the_tokens_asked_for(context: MakeContext) -> None:
    quantizer = fitted_kmeans(context(codebook_sizes=(20, 7)))
    codes = quantizer.encode(X)
    assert isinstance(quantizer, Quantizer)
    assert quantizer.codebook_sizes == (27,)
    assert codes.shape == (500, 1)
    assert codes.dtype == np.int64
    assert sorted(set(codes[:, 0])) == list(range(27))
    assert fitted_kmeans(context(), size=33).codebook_sizes == (33,)


def test_kmeans_equals_faiss_called_directly(context: MakeContext) -> None:
    direct = faiss.Kmeans(16, 48, niter=25, seed=11, min_points_per_centroid=1)
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    direct.train(X)
    _, expected = direct.index.search(X, 1)
    faiss.omp_set_num_threads(threads)
    codes = fitted_kmeans(context(seed=11), size=48).encode(X)
    np.testing.assert_array_equal(codes, expected)


def test_kmeans_takes_the_nearest_centroid_and_each_is_the_mean_of_its_vectors(context: MakeContext) -> None:
    blobs = np.repeat(np.eye(16, dtype=np.float32) * 50, 20, axis=0) + X[:320]
    quantizer = fitted_kmeans(context(), size=16, x=blobs)
    centroids = quantizer._kmeans.centroids
    codes = quantizer.encode(blobs)[:, 0]
    np.testing.assert_array_equal(codes, ((blobs[:, None] - centroids[None]) ** 2).sum(-1).argmin(1))
    means = np.stack([blobs[codes == code].mean(0) for code in range(16)])
    np.testing.assert_allclose(centroids, means, atol=1e-4)


def test_kmeans_same_seed_same_codes_other_seed_others(context: MakeContext) -> None:
    first, again, other = (fitted_kmeans(context(seed=seed)).encode(X) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_kmeans_refuses_what_it_cannot_do(context: MakeContext) -> None:
    with pytest.raises(ValueError, match="501 centroids from 500 vectors"):
        fitted_kmeans(context(), size=501)
    with pytest.raises(ValueError, match="at least 2, or 0"):
        Kmeans(size=1)
    with pytest.raises(ValueError, match="iterations"):
        Kmeans(iterations=0)
