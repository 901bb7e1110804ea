"""The collaborative model behind the `rec` embedder as a reference: ENMF's own scores."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from semidbench.api import Context, Floats, Ints, TrainData
from semidbench_recbole.models import recbole_settings
from semidbench_recbole.scope import recbole_scope
from semidbench_recbole.training import train_model


@dataclass(frozen=True, slots=True)
class Factors:
    """ENMF's users (U, dim), items (N, dim) and output weights (dim,): score = (user * item) @ weights."""

    users: Floats
    items: Floats
    weights: Floats


class Enmf:
    """Ranker: ENMF with the options of the `rec` embedder, and with them the same item factors.

    ENMF has factors of users, and a ranker gets histories. So a history stands for the user that had it in
    training. Where several users had it, their scores are averaged.
    """

    def __init__(
        self,
        *,
        epochs: int = 30,
        batch: int = 512,
        dim: int = 256,
        lr: float = 0.001,
        dropout_prob: float | None = None,
        negative_weight: float | None = None,
        reg_weight: float | None = None,
    ) -> None:
        """Set the options of `semidbench_recbole.embedder.Rec` with model=ENMF.

        Raises:
            ValueError: an option is out of range.
        """
        self.settings = recbole_settings(
            "ENMF",
            epochs=epochs,
            batch=batch,
            dim=dim,
            lr=lr,
            dropout_prob=dropout_prob,
            negative_weight=negative_weight,
            reg_weight=reg_weight,
        )

    def fit(self, train: TrainData, context: Context) -> None:
        """Train ENMF; bit-identical for the same seed and threads on a CPU.

        Raises:
            ValueError: there are no interactions.
        """
        self.factors = enmf_factors(self.settings, train, context)
        self.users_of: dict[bytes, list[int]] = defaultdict(list)
        for user, history in enumerate(train.interactions.histories()):
            self.users_of[_key(history)].append(user)

    def search(self, queries: Sequence[str]) -> Floats:
        """Zeros (len(queries), N): ENMF reads no text, and equal scores share their ranks."""
        return np.zeros((len(queries), len(self.factors.items)), np.float32)

    def recommend(self, histories: Sequence[Ints]) -> Floats:
        """Scores float32 (len(histories), N).

        Raises:
            ValueError: a history is no user's training history; ENMF has no factors for it.
        """
        users = np.zeros((len(histories), self.factors.users.shape[1]), np.float32)
        for row, history in enumerate(histories):
            if _key(history) not in self.users_of:
                raise ValueError(
                    f"history {row} ({len(history)} items) is no user's training history, and ENMF has factors for "
                    "the users it was trained on only; ask about whole training histories, or use another ranker"
                )
            # A score is linear in the user's factors, so that these give the mean score.
            users[row] = self.factors.users[self.users_of[_key(history)]].mean(axis=0)
        scores: Floats = ((users * self.factors.weights) @ self.factors.items.T).astype(np.float32, copy=False)
        return scores


def enmf_factors(settings: dict[str, Any], train: TrainData, context: Context) -> Factors:
    """Train ENMF and take its parameters, float32."""
    with recbole_scope(context):
        trained = train_model("ENMF", settings, train, context)
        state = {name: value.cpu().numpy().astype(np.float32) for name, value in trained.model.state_dict().items()}
        return Factors(
            users=state["user_embedding.weight"][trained.users],
            items=state["item_embedding.weight"][trained.items],
            weights=state["H_i.weight"][0].copy(),
        )


def _key(history: Ints) -> bytes:
    return np.asarray(history, np.int64).tobytes()
