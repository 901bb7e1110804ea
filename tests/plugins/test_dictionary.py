"""dictionary: the contract, and equality with scikit-learn called directly and with brute force."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
from semidbench_dictionary.quantizer import Dictionary, _has_coefficients
from sklearn.decomposition import MiniBatchDictionaryLearning, sparse_encode

from semidbench.api import Context, Quantizer

MakeContext = Callable[..., Context]
X = np.random.default_rng(3).standard_normal((300, 12)).astype(np.float32)
X /= np.linalg.norm(X, axis=1, keepdims=True)


def fitted(context: Context, x: np.ndarray = X, epochs: int = 3) -> Dictionary:
    quantizer = Dictionary(epochs=epochs)
    quantizer.fit(x, context)
    return quantizer


def test_codes_fill_the_codebooks(context: MakeContext) -> None:
    quantizer = fitted(context(codebook_sizes=(6, 9)))
    codes = quantizer.encode(X)
    assert isinstance(quantizer, Quantizer)
    assert quantizer.codebook_sizes == (6, 9)
    assert codes.shape == (300, 2)
    assert codes.dtype == np.int64
    assert codes.min(axis=0).tolist() == [0, 0]
    assert codes.max(axis=0).tolist() == [5, 8]


def test_equals_scikit_learn_called_level_by_level(context: MakeContext) -> None:
    codes = fitted(context(seed=11)).encode(X)
    rest = X
    for level in range(2):
        learner = MiniBatchDictionaryLearning(
            8,
            alpha=0.3 * np.sqrt(12),
            max_iter=3,
            random_state=11,
            transform_algorithm="omp",
            transform_n_nonzero_coefs=1,
        )
        sparse = learner.fit(rest / np.sqrt((rest**2).mean())).transform(rest)
        assert ((sparse != 0).sum(1) == 1).all()
        np.testing.assert_array_equal(codes[:, level], (sparse != 0).argmax(1))
        rest = rest - sparse @ learner.components_


def test_the_code_is_the_atom_with_the_largest_product(context: MakeContext) -> None:
    """One step of matching pursuit by hand, and its residual at right angles to the atom."""
    quantizer = fitted(context())
    codes = quantizer.encode(X)
    rest = X.astype(np.float64)
    for level, learner in enumerate(quantizer._levels):
        atoms = learner.components_.astype(np.float64)
        chosen = np.abs(rest @ atoms.T).argmax(1)
        np.testing.assert_array_equal(codes[:, level], chosen)
        own = atoms[chosen]
        rest = rest - ((rest * own).sum(1) / (own * own).sum(1))[:, None] * own
    assert (rest**2).sum() < 0.6 * (X**2).sum()


def test_scale_and_sign_do_not_matter(context: MakeContext) -> None:
    quantizer = fitted(context())
    codes = quantizer.encode(X)
    np.testing.assert_array_equal(quantizer.encode(-2 * X), codes)
    np.testing.assert_array_equal(fitted(context(), x=4 * X).encode(4 * X), codes)


def test_a_vector_of_zeros_has_code_0(context: MakeContext) -> None:
    x = X.copy()
    x[5] = 0
    quantizer = fitted(context(), x=x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert quantizer.encode(x)[5].tolist() == [0, 0]
        assert quantizer.encode(np.zeros((3, 12), np.float32)).tolist() == [[0, 0]] * 3


def test_a_row_has_its_code_in_any_company(context: MakeContext) -> None:
    quantizer = fitted(context())
    codes = quantizer.encode(X)
    order = np.random.default_rng(0).permutation(300)
    np.testing.assert_array_equal(quantizer.encode(X[order]), codes[order])
    np.testing.assert_array_equal(np.concatenate([quantizer.encode(X[at : at + 1]) for at in range(20)]), codes[:20])


def test_same_seed_same_codes_other_seed_others_and_global_state_untouched(context: MakeContext) -> None:
    before = np.random.get_state()[1].copy()  # noqa: NPY002  # what scikit-learn would draw from without a seed
    first, again, other = (fitted(context(seed=seed)).encode(X) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_refuses_what_it_cannot_do(context: MakeContext) -> None:
    with pytest.raises(ValueError, match="301 atoms from 300 vectors"):
        fitted(context(codebook_sizes=(8, 301)))
    with pytest.raises(ValueError, match="level 1: all vectors are zero"):
        fitted(context(), x=np.zeros((20, 4), np.float32))
    for option in ("alpha", "batch", "epochs"):
        with pytest.raises(ValueError, match=f"{option} must be positive"):
            Dictionary(**{option: 0})


@pytest.mark.parametrize("alpha", [3.0, 50.0])
def test_refuses_an_alpha_that_leaves_nothing(context: MakeContext, alpha: float) -> None:
    with pytest.raises(ValueError, match=f"nothing at level 1: with alpha={alpha} every coefficient.*Lower alpha"):
        Dictionary(alpha=alpha, epochs=3).fit(X, context())


def test_knows_when_training_finds_only_zeros() -> None:
    """Against scikit-learn's own lasso, at alphas on both sides of the largest product."""
    unit = X[:16] / np.linalg.norm(X[:16], axis=1, keepdims=True)
    largest = np.abs(X @ unit.T).max()
    for share, expected in ((0.5, True), (0.99, True), (1.01, False), (4.0, False)):
        learner = MiniBatchDictionaryLearning(16, alpha=share * largest)
        learner.components_ = unit
        codes = sparse_encode(X, unit, algorithm="lasso_lars", alpha=share * largest)
        assert bool(codes.any()) == _has_coefficients(learner, X) == expected
