"""Histories as the sparse matrix that implicit reads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_matrix

from semidbench.api import Ints, TrainData


def history_counts(histories: Sequence[Ints], n_items: int) -> csr_matrix:
    """Float32 (len(histories), n_items): how often each history holds each item; order plays no part."""
    items = np.concatenate([np.zeros(0, np.int64), *histories])
    starts = np.cumsum([0, *map(len, histories)])
    matrix = csr_matrix((np.ones(len(items), np.float32), items, starts), shape=(len(histories), n_items))
    matrix.sum_duplicates()
    return matrix


def training_counts(train: TrainData) -> csr_matrix:
    """Float32 (n_users, N): the training interactions.

    Raises:
        ValueError: there are none.
    """
    if not len(train.interactions):
        raise ValueError("training needs interactions and there are none")
    return history_counts(train.interactions.histories(), train.n_items)
