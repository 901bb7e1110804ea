"""Matrix factorization by alternating least squares: a ranker, and its item factors as an embedder.

Hu, Koren and Volinsky (ICDM 2008), with the conjugate gradients of Takács, Pilászy and Tikk (RecSys 2011), as implicit
has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from implicit.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits

from semidbench.api import Context, Floats, Ints, TrainData, Views
from semidbench_implicit.counts import history_counts, training_counts


@dataclass(frozen=True, slots=True)
class AlsOptions:
    """What implicit's model is made with, checked.

    Attributes:
        factors: width of the factors.
        regularization: weight of the L2 penalty.
        alpha: the confidence in an interaction; in an entry without one it is 1.
        iterations: passes over users and items.
    """

    factors: int
    regularization: float
    alpha: float
    iterations: int

    def __post_init__(self) -> None:
        if not (self.factors >= 1 and self.iterations >= 1 and self.regularization >= 0 and self.alpha > 0):
            raise ValueError(
                f"needs factors ({self.factors}) and iterations ({self.iterations}) of 1 or more, "
                f"regularization ({self.regularization}) >= 0 and alpha ({self.alpha}) > 0"
            )


def train_als(options: AlsOptions, train: TrainData, context: Context) -> Any:
    """implicit's model, trained on the CPU; bit-identical for the same seed, whatever the threads.

    Raises:
        ValueError: there are no interactions.
    """
    counts = training_counts(train)
    with threadpool_limits(1, "blas"):  # implicit calls BLAS from each of its threads
        model = AlternatingLeastSquares(
            factors=options.factors,
            regularization=options.regularization,
            alpha=options.alpha,
            iterations=options.iterations,
            use_gpu=False,
            num_threads=context.threads,
            random_state=context.seed,
        )
        model.fit(
            counts,
            show_progress=False,
            callback=lambda done, *_: context.progress("ALS iterations", done + 1, options.iterations),
        )
    return model


class _WithAlsOptions:
    def __init__(
        self, *, factors: int = 100, regularization: float = 0.01, alpha: float = 1.0, iterations: int = 15
    ) -> None:
        """Set the options, those of `AlsOptions`; the defaults are implicit's.

        Raises:
            ValueError: an option is out of range.
        """
        self.options = AlsOptions(factors, regularization, alpha, iterations)


class AlsItemFactors(_WithAlsOptions):
    """Embedder: one view `item`, float32 (N, factors). An item without interactions has factors of 0."""

    def embed(self, train: TrainData, context: Context) -> Views:
        """Train ALS and take its item factors.

        Raises:
            ValueError: there are no interactions.
        """
        return {"item": train_als(self.options, train, context).item_factors}


class Als(_WithAlsOptions):
    """Ranker: with the options of the embedder, it has the same item factors.

    A history's factors are those of a user with this history, given the item factors: the exact solution of ALS's
    own least squares (implicit's `recalculate_user`). So any history can be asked about, not only those of training.
    """

    def fit(self, train: TrainData, context: Context) -> None:
        """Train ALS.

        Raises:
            ValueError: there are no interactions.
        """
        self.model = train_als(self.options, train, context)

    def search(self, queries: Sequence[str]) -> Floats:
        """Zeros (len(queries), N): ALS reads no text, and equal scores share their ranks."""
        return np.zeros((len(queries), len(self.model.item_factors)), np.float32)

    def recommend(self, histories: Sequence[Ints]) -> Floats:
        """Scores float32 (len(histories), N); 0 for an empty history."""
        items: Floats = self.model.item_factors
        with threadpool_limits(1, "blas"):
            users: Floats = self.model.recalculate_user(
                np.arange(len(histories)), history_counts(histories, len(items))
            )
        scores: Floats = users @ items.T
        return scores
