"""Residual dictionary encoding: a MiniBatchDictionaryLearning per level (section 4 of the paper names the class)."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.decomposition import MiniBatchDictionaryLearning

from semidbench.api import Context, Floats, Ints


class Dictionary:
    """Quantizer: each level learns a dictionary and keeps one atom of it per vector; what it leaves goes on.

    How a dictionary becomes an ID is ours, for the paper does not say. A level's code is the atom with the
    one non-zero coefficient that orthogonal matching pursuit finds; the residual is the vector minus coefficient
    times atom. The coefficient, its sign included, is not part of the ID. A vector of zeros, or one that no atom
    helps, has code 0.
    """

    def __init__(self, *, alpha: float = 0.3, batch: int = 256, epochs: int = 30) -> None:
        """Set the options.

        Args:
            alpha: sparsity in training, in units of the level's root-mean-square vector length. In absolute units
                scikit-learn's default of 1 would leave every coefficient of a unit vector zero and learn nothing.
            batch: vectors per update, scikit-learn's default of 256.
            epochs: at most so many passes over the vectors per level; scikit-learn stops once it no longer improves.

        Raises:
            ValueError: one of them is not positive.
        """
        for name, value in (("alpha", alpha), ("batch", batch), ("epochs", epochs)):
            if value <= 0:
                raise ValueError(f"{name} must be positive, not {value}")
        self.alpha = alpha
        self.batch = batch
        self.epochs = epochs
        self.codebook_sizes: tuple[int, ...] = ()

    def fit(self, x: Floats, context: Context) -> None:
        """Learn `context.codebook_sizes` atoms per level from float32 (N, d).

        Each level's input is scaled to a root mean square of 1 per entry, for scikit-learn's limits are absolute: it
        shortens atoms to length 1, but lengthens none, so that an atom it draws anew among short vectors hardly counts.

        Raises:
            ValueError: there are fewer vectors than atoms in a level, nothing is left for a level to learn from, or
                `alpha` leaves every coefficient of a level zero.
        """
        sizes = context.codebook_sizes
        if len(x) < max(sizes):
            raise ValueError(
                f"dictionary cannot learn {max(sizes)} atoms from {len(x)} vectors. Ask for smaller codebooks"
            )
        self._levels: list[MiniBatchDictionaryLearning] = []
        residual = x
        for level, size in enumerate(sizes):
            scale = np.sqrt(np.mean(np.square(residual)))
            if not scale:
                raise ValueError(
                    f"dictionary has nothing to learn at level {level + 1}: all vectors are zero. Ask for fewer levels"
                )
            learner = self._learner(size, self.alpha * x.shape[1] ** 0.5, context.seed)
            self._levels.append(learner.fit(residual / scale))
            if not _has_coefficients(learner, residual / scale):
                raise ValueError(
                    f"dictionary has learned nothing at level {level + 1}: with alpha={self.alpha} every coefficient "
                    f"of every vector is zero in training. Lower alpha"
                )
            _, residual = _step(learner, residual)
            context.progress("dictionary levels", level + 1, len(sizes))
        self.codebook_sizes = sizes

    def encode(self, x: Floats) -> Ints:
        """Codes int64 (M, L) of float32 (M, d)."""
        codes = []
        residual = x
        for learner in self._levels:
            level, residual = _step(learner, residual)
            codes.append(level)
        return np.stack(codes, axis=1)

    def _learner(self, size: int, alpha: float, seed: int) -> MiniBatchDictionaryLearning:
        return MiniBatchDictionaryLearning(
            n_components=size,
            alpha=alpha,
            batch_size=self.batch,
            max_iter=self.epochs,
            transform_algorithm="omp",
            transform_n_nonzero_coefs=1,
            random_state=seed % 2**32,  # what NumPy's RandomState takes
        )


def _has_coefficients(learner: MiniBatchDictionaryLearning, x: Floats) -> bool:
    """Whether any vector of float32 (N, d) has a non-zero coefficient in training, by the learned atoms.

    Training solves a lasso per vector. Its solution is zero where no product with an atom is above alpha.
    """
    return bool(np.abs(x @ learner.components_.T).max() > learner.alpha)


def _step(learner: MiniBatchDictionaryLearning, x: Floats) -> tuple[Ints, Floats]:
    """A level's codes int64 (M,) and what it leaves, float32 (M, d)."""
    with warnings.catch_warnings():
        # its words for a vector of zeros, which has code 0 here
        warnings.filterwarnings("ignore", "Orthogonal matching pursuit ended prematurely", RuntimeWarning)
        coefficients = learner.transform(x)
    codes: Ints = np.abs(coefficients).argmax(axis=1).astype(np.int64)
    return codes, (x - coefficients @ learner.components_).astype(np.float32)
