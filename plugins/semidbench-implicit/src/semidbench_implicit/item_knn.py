"""Item-based nearest neighbours (Deshpande and Karypis, TOIS 2004), as implicit has them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender
from implicit.utils import ParameterWarning

from semidbench.api import Context, Floats, Ints, TrainData
from semidbench_implicit.counts import history_counts, training_counts


class ItemKnn:
    """Ranker: the score of an item is the sum of its similarities to the history's items that have it as a neighbour.

    An item's neighbours are the `k` items most similar to it by who consumed them; itself is one of them. The seed has
    no effect.
    """

    def __init__(
        self,
        *,
        k: int = 20,
        similarity: Literal["cosine", "bm25"] = "cosine",
        k1: float | None = None,
        b: float | None = None,
    ) -> None:
        """Set the options; the defaults are implicit's.

        Args:
            k: neighbours of each item.
            similarity: cosine, of the items' columns of interactions; or bm25, the product of columns that are
                weighted as BM25 weights words, each user a word.
            k1: bm25: how slowly repeated interactions saturate; None is 1.2.
            b: bm25: how strongly items with many interactions are discounted; None is .75.

        Raises:
            ValueError: an option is out of range, or the similarity does not read it.
        """
        if similarity == "cosine" and not (k1 is None and b is None):
            raise ValueError("k1 and b are options of similarity=bm25; cosine reads neither")
        weights = {"K1": 1.2 if k1 is None else k1, "B": 0.75 if b is None else b}
        if not (k >= 1 and weights["K1"] >= 0 and 0 <= weights["B"] <= 1):
            raise ValueError(f"needs k ({k}) >= 1, k1 ({weights['K1']}) >= 0 and 0 <= b ({weights['B']}) <= 1")
        self.k, self.similarity, self.weights = k, similarity, weights

    def fit(self, train: TrainData, context: Context) -> None:
        """Find each item's neighbours.

        Raises:
            ValueError: there are no interactions.
        """
        self.n_items = train.n_items
        model = self._model(context.threads)
        counts = training_counts(train)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ParameterWarning)  # about a matrix of implicit's own
            model.fit(counts, show_progress=False)
        self.neighbours = model.similarity  # sparse float64 (N, N), at most k in a row

    def _model(self, threads: int) -> Any:
        if self.similarity == "bm25":
            return BM25Recommender(K=self.k, num_threads=threads, **self.weights)
        return CosineRecommender(K=self.k, num_threads=threads)

    def search(self, queries: Sequence[str]) -> Floats:
        """Zeros (len(queries), N): nothing here reads text, and equal scores share their ranks."""
        return np.zeros((len(queries), self.n_items), np.float32)

    def recommend(self, histories: Sequence[Ints]) -> Floats:
        """Scores float32 (len(histories), N); 0 where no item of the history has the item as a neighbour."""
        scores: Floats = (history_counts(histories, self.n_items) @ self.neighbours).toarray().astype(np.float32)
        return scores
