"""Matrix factorization by Bayesian Personalized Ranking (Rendle et al., UAI 2009), as implicit has it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from implicit.bpr import BayesianPersonalizedRanking

from semidbench.api import Context, Floats, Ints, TrainData
from semidbench_implicit.counts import training_counts


class Bpr:
    """Ranker: BPR's factors of users and items.

    BPR has factors of users, and a ranker gets histories. So a history stands for the user that had it in training.
    Where several users had it, their scores are averaged.
    """

    def __init__(
        self,
        *,
        factors: int = 100,
        learning_rate: float = 0.01,
        regularization: float = 0.01,
        iterations: int = 100,
    ) -> None:
        """Set the options; the defaults are implicit's.

        Args:
            factors: width of the factors; each item has a bias, too.
            learning_rate: of stochastic gradient descent.
            regularization: weight of the L2 penalty.
            iterations: passes over the interactions, with one sampled negative for each.

        Raises:
            ValueError: an option is out of range.
        """
        if not (factors >= 1 and iterations >= 1 and learning_rate > 0 and regularization >= 0):
            raise ValueError(
                f"needs factors ({factors}) and iterations ({iterations}) of 1 or more, "
                f"learning_rate ({learning_rate}) > 0 and regularization ({regularization}) >= 0"
            )
        self.factors, self.learning_rate = factors, learning_rate
        self.regularization, self.iterations = regularization, iterations

    def fit(self, train: TrainData, context: Context) -> None:
        """Train BPR on the CPU; bit-identical for the same seed.

        In one thread, because implicit's threads write to the same factors.

        Raises:
            ValueError: there are no interactions.
        """
        model = BayesianPersonalizedRanking(
            factors=self.factors,
            learning_rate=self.learning_rate,
            regularization=self.regularization,
            iterations=self.iterations,
            use_gpu=False,
            num_threads=1,
            random_state=context.seed,
        )
        model.fit(
            training_counts(train),
            show_progress=False,
            callback=lambda done, *_: context.progress("BPR iterations", done + 1, self.iterations),
        )
        self.users: Floats = model.user_factors
        self.items: Floats = model.item_factors
        self.users_of: dict[bytes, list[int]] = defaultdict(list)
        for user, history in enumerate(train.interactions.histories()):
            self.users_of[_key(history)].append(user)

    def search(self, queries: Sequence[str]) -> Floats:
        """Zeros (len(queries), N): BPR reads no text, and equal scores share their ranks."""
        return np.zeros((len(queries), len(self.items)), np.float32)

    def recommend(self, histories: Sequence[Ints]) -> Floats:
        """Scores float32 (len(histories), N).

        Raises:
            ValueError: a history is no user's training history; BPR has no factors for it.
        """
        users = np.zeros((len(histories), self.users.shape[1]), np.float32)
        for row, history in enumerate(histories):
            if _key(history) not in self.users_of:
                raise ValueError(
                    f"history {row} ({len(history)} items) is no user's training history, and BPR has factors for "
                    "the users it was trained on only; ask about whole training histories, or use another ranker"
                )
            # A score is linear in the user's factors, so that these give the mean score.
            users[row] = self.users[self.users_of[_key(history)]].mean(axis=0)
        scores: Floats = users @ self.items.T
        return scores


def _key(history: Ints) -> bytes:
    return np.asarray(history, np.int64).tobytes()
