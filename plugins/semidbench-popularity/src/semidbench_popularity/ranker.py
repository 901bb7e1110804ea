"""Items by how often they were interacted with in training: the least that a scheme must beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from semidbench.api import Context, Floats, Ints, TrainData


class Popularity:
    """Ranker: the same scores for every query and every history. Seed and text play no part."""

    def fit(self, train: TrainData, context: Context) -> None:
        """Count the training interactions of each item."""
        self.counts = np.bincount(train.interactions.items, minlength=train.n_items).astype(np.float32)

    def search(self, queries: Sequence[str]) -> Floats:
        """Scores float32 (len(queries), N)."""
        return np.tile(self.counts, (len(queries), 1))

    def recommend(self, histories: Sequence[Ints]) -> Floats:
        """Scores float32 (len(histories), N)."""
        return np.tile(self.counts, (len(histories), 1))
