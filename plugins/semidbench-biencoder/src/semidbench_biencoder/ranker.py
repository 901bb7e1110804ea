"""Dense retrieval with the bi-encoders behind the `search` and `multi-task` embedders."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from semidbench.api import Context, Floats, Ints, TrainData
from semidbench_biencoder.options import Tuned, TunedForBoth
from semidbench_biencoder.towers import train_towers


class Dense(Tuned):
    """Ranker: cosine similarity. With the options of the `search` embedder its item embeddings are that one's."""

    def fit(self, train: TrainData, context: Context) -> None:
        """Train the bi-encoder.

        Raises:
            ValueError: there are no training queries, or `tune` does not suit the text encoder.
        """
        self.towers = train_towers(train, context, self.options)

    def search(self, queries: Sequence[str]) -> Floats:
        """Query encodings times item embeddings: float32 (len(queries), N)."""
        return _cosines(self.towers.encode_queries(queries), self.towers.items)

    def recommend(self, histories: Sequence[Ints]) -> Floats:
        """The mean of the history's item embeddings, times item embeddings: float32 (len(histories), N)."""
        items = self.towers.items
        profiles = np.zeros((len(histories), items.shape[1]), np.float32)
        for row, history in enumerate(histories):
            if len(history):  # an empty one scores all items 0
                profiles[row] = items[history].mean(axis=0)
        norms = np.linalg.norm(profiles, axis=1, keepdims=True)
        return _cosines((profiles / np.where(norms > 0, norms, 1)).astype(np.float32), items)


class DenseMultiTask(TunedForBoth, Dense):
    """Ranker: the same with the bi-encoder of the `multi-task` embedder, given that one's options."""


def _cosines(rows: Floats, items: Floats) -> Floats:
    scores: Floats = (rows @ items.T).astype(np.float32, copy=False)
    return scores
