"""Collaborative item embeddings, trained by RecBole 1.2.1 on all training interactions.

ENMF, the default, is Efficient Neural Matrix Factorization (Chen et al., TOIS 2020). The defaults are the
paper's (section 4.1: 30 epochs, batches of 512 users, 256 dimensions, Adam, learning rate 0.001) and, where
it is silent, RecBole's.
"""

from __future__ import annotations

import numpy as np
import torch

from semidbench.api import Context, Floats, TrainData, Views
from semidbench_recbole.models import MODELS, recbole_settings
from semidbench_recbole.scope import recbole_scope
from semidbench_recbole.training import Prepared, train_model


class Rec:
    """Embedder: one view `item`, float32 (N, d).

    d is `dim`, but NGCF and SpectralCF append the embeddings of their layers to it. Every item of the
    catalogue is in the model. One without interactions is trained like any unobserved entry: ENMF pulls
    every user's score for it to zero, the others sample it as a negative.
    """

    def __init__(
        self,
        *,
        model: str = "ENMF",
        epochs: int = 30,
        batch: int = 512,
        dim: int = 256,
        lr: float = 0.001,
        dropout_prob: float | None = None,
        negative_weight: float | None = None,
        n_layers: int | None = None,
        reg_weight: float | None = None,
    ) -> None:
        """Set the options; None is RecBole's default.

        Args:
            model: BPR, ENMF, LightGCN, NGCF or SpectralCF.
            epochs: passes over the users (ENMF) or over the interactions (the others).
            batch: users (ENMF) or interactions (the others) per step.
            dim: width of the embeddings.
            lr: Adam's learning rate.
            dropout_prob: ENMF: of the user embeddings, in training.
            negative_weight: ENMF: weight of the unobserved entries.
            n_layers: LightGCN, SpectralCF: steps of propagation.
            reg_weight: all but BPR: of the L2 penalty.

        Raises:
            ValueError: another model, an option that the model does not read or that is out of range.
        """
        self.model = model
        self.settings = recbole_settings(
            model,
            epochs=epochs,
            batch=batch,
            dim=dim,
            lr=lr,
            dropout_prob=dropout_prob,
            negative_weight=negative_weight,
            n_layers=n_layers,
            reg_weight=reg_weight,
        )

    def embed(self, train: TrainData, context: Context) -> Views:
        """Train the model; bit-identical for the same seed and threads on a CPU.

        Raises:
            ValueError: there are no interactions, or no item is left to be a user's negative.
        """
        with recbole_scope(context):
            trained = train_model(self.model, self.settings, train, context)
            return {"item": item_embeddings(trained, MODELS[self.model].propagated)}


def item_embeddings(trained: Prepared, propagated: bool) -> Floats:
    """Float32 (N, d): the table `item_embedding`, or what `forward()` makes of it without dropout."""
    trained.model.eval()
    with torch.no_grad():
        table = trained.model.forward()[1] if propagated else trained.model.item_embedding.weight
    rows: Floats = table.detach().cpu().numpy().astype(np.float32)[trained.items]
    return rows
