"""The text embedders: the frozen encoder (content), a bi-encoder tuned for search, one tuned for both tasks."""

from __future__ import annotations

from semidbench.api import Context, TrainData, Views
from semidbench_biencoder.options import Tuned, TunedForBoth
from semidbench_biencoder.towers import train_towers


class Content:
    """Embedder: the track's text encoder over the items' texts, as it is (DSI, TIGER). No options."""

    def embed(self, train: TrainData, context: Context) -> Views:
        """One view `item`, float32 (N, context.text_encoder.dimension), unit length."""
        return {"item": context.text_encoder.encode(train.catalogue.texts)}


class Search(Tuned):
    """Embedder: the item side of a bi-encoder fine-tuned on training queries (RIPOR; the paper's section 3.1)."""

    def embed(self, train: TrainData, context: Context) -> Views:
        """One view `item`, float32 (N, context.text_encoder.dimension), unit length.

        Raises:
            ValueError: there are no training queries, or `tune` does not suit the text encoder.
        """
        return {"item": train_towers(train, context, self.options).items}


class MultiTask(TunedForBoth, Search):
    """Embedder: the item side of a bi-encoder fine-tuned for both tasks (multi-task in the paper's section 3.2)."""
