"""What the trained embedders and the dense rankers share: the two ways to train."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from semidbench.api import Context, Floats, TrainData
from semidbench_biencoder.options import Options


class Towers(Protocol):
    """A trained bi-encoder: unit-length item embeddings, and a function for queries in the same space."""

    @property
    def items(self) -> Floats:
        """float32 (N, d)."""

    def encode_queries(self, texts: Sequence[str]) -> Floats:
        """float32 (len(texts), d)."""


def train_towers(train: TrainData, context: Context, options: Options) -> Towers:
    """A bi-encoder trained on (query, item) pairs, item pairs or both, with in-batch negatives.

    Raises:
        ValueError: there are no training queries, no item pairs where they have a weight, or `tune` does not suit
            the text encoder.
    """
    if not len(train.queries):
        raise ValueError(
            "a bi-encoder is fine-tuned on training queries and there are none. Use the `content` embedder"
        )
    if options.tune == "full":
        from semidbench_biencoder.full import train_full

        return train_full(train, context, options)
    from semidbench_biencoder.head import train_head

    return train_head(train, context, options)
