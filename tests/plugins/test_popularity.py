"""The popularity ranker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
from semidbench_popularity.ranker import Popularity

from semidbench.api import Context, Ranker, TrainData


def test_scores_are_training_counts_for_both_tasks(train: TrainData, context: Callable[..., Context]) -> None:
    ranker = Popularity()
    ranker.fit(train, context())
    assert isinstance(ranker, Ranker)
    counts = Counter(train.interactions.items.tolist())
    expected = np.array([[counts[item] for item in range(train.n_items)]] * 2, np.float32)
    assert expected[0, -1] == 0
    for scores in (ranker.search(["a", "b"]), ranker.recommend([np.array([1]), np.array([], np.int64)])):
        assert scores.dtype == np.float32
        np.testing.assert_array_equal(scores, expected)
    assert ranker.search([]).shape == (0, train.n_items)
