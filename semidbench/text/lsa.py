"""LSA: TF-IDF and truncated SVD fitted on training text, the text encoder of tracks with nothing pretrained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from semidbench.api import Floats, TrainData
from semidbench.errors import UserError

if TYPE_CHECKING:
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

SEED = 0  # of the decomposition: the same for every cell, for the encoder is the same for every plugin


def training_texts(train: TrainData) -> tuple[str, ...]:
    """What the encoder is fitted on, in this order: items' texts, then training queries."""
    return (*train.catalogue.texts, *train.queries.texts)


@dataclass(frozen=True)
class LsaEncoder:
    """TF-IDF (sublinear term frequency) and truncated SVD, l2-normalised. Fitted at the first text to encode."""

    width: int
    training_texts: tuple[str, ...]
    threads: int

    def encode(self, texts: Sequence[str]) -> Floats:
        """Encodings float32 (len(texts), width); a text with no known word gets the training texts' mean direction.

        Raises:
            UserError: fewer training texts or words than `width`.
        """
        import sklearn.decomposition  # noqa: F401  # first: threads of a BLAS that is not loaded yet stay unlimited
        from threadpoolctl import threadpool_limits

        with threadpool_limits(self.threads):
            vectorizer, svd, fallback = self._fitted
            return _unit(svd.transform(vectorizer.transform(texts)), fallback)

    @cached_property
    def _fitted(self) -> tuple[TfidfVectorizer, TruncatedSVD, Floats]:
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizer = TfidfVectorizer(sublinear_tf=True)
        weights = vectorizer.fit_transform(self.training_texts)
        if self.width >= min(weights.shape):
            raise UserError(
                f"text encoder `lsa` of dimension {self.width} needs more than {self.width} training texts and words; "
                f"there are {weights.shape[0]} and {weights.shape[1]}. Lower `dimension` in the track"
            )
        # arpack converges to rounding, so that the seed, its starting vector, is no source of variance
        svd = TruncatedSVD(self.width, algorithm="arpack", random_state=SEED)
        projected = svd.fit_transform(weights)
        mean = projected.mean(axis=0)
        return vectorizer, svd, (mean / np.linalg.norm(mean)).astype(np.float32)


def _unit(vectors: Any, fallback: Floats) -> Floats:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    known = norms > 1e-9
    return np.where(known, vectors / np.where(known, norms, 1), fallback).astype(np.float32)
