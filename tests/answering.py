"""Plugins whose answers depend on all that they are handed, and one that answers wrongly."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from semidbench.api import Context, TrainData


class Scores:
    """A ranker whose answers depend on all that it is handed."""

    def fit(self, train: TrainData, context: Context) -> None:
        self.base = context.rng.random(train.n_items, np.float32) + context.seed
        self.base[train.interactions.items[:9]] += len(train.queries)

    def search(self, queries: Any) -> Any:
        assert isinstance(queries, list)
        return np.stack([self.base + len(query) for query in queries])

    def recommend(self, histories: Any) -> Any:
        assert all(history.dtype == np.int64 and not history.flags.writeable for history in histories)
        return np.stack([self.base * np.float32(history[-1]) + len(history) for history in histories])


class Vectors:
    """An embedder whose view depends on all that it is handed."""

    def embed(self, train: TrainData, context: Context) -> Any:
        texts = context.text_encoder.encode(train.catalogue.texts)
        context.progress("work", 1, 2)
        below = context.views["rec"]["item"]
        return {"item": texts + below[:, :1] + context.rng.random(texts.shape, np.float32)}


class Wrong(Scores):
    def search(self, queries: Any) -> Any:
        return [1.0]

    def recommend(self, histories: Any) -> Any:
        sys.exit(1)


class Passing:
    """A layout that hands its quantizer two rows."""

    def assign(self, train: TrainData, views: Any, quantizer: Any, context: Context) -> Any:
        fitted = quantizer()
        x = np.zeros((2, 3), np.float32)
        fitted.fit(x, context)
        return fitted.encode(x)


class Short:
    """A quantizer whose codes are of another type than promised."""

    codebook_sizes = (2,)

    def fit(self, x: Any, context: Context) -> None: ...
    def encode(self, x: Any) -> Any:
        return np.zeros((len(x), 1), np.int32)
