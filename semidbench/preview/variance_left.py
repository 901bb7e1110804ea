"""What Semantic IDs keep of the items' embeddings: alike for every scheme."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import pinvh

from semidbench.api import Floats, Ints
from semidbench.ids.usage import groups

Doubles = NDArray[np.float64]
_ROWS = 8_192  # of a view in double precision at a time


def left_by_means(view: Floats, codes: Ints) -> float:
    """Share of a view's variance left by the mean of the items that share the ID.

    Args:
        view: float32 (N, d).
        codes: int64 (N, L).

    Returns:
        0 if every ID is one item's (or the view is constant), 1 if all items share one.
    """
    shared = groups(codes)
    return _left(view, _onehot([shared]), _means(view, shared))


def left_by_sums(view: Floats, codes: Ints) -> float:
    """Share of a view's variance left by the best additive decoder: one vector per level and code, summed.

    Least squares of the view on the one-hot codes of all levels. The level with the most codes is eliminated first, so
    that the system to solve has as many unknowns as the other levels have codes; memory grows with their square and
    with the used codes times d, not with N times the codes.

    Args:
        view: float32 (N, d).
        codes: int64 (N, L).

    Returns:
        Between `left_by_means` and 1.
    """
    used = [np.unique(level, return_inverse=True)[1].reshape(-1) for level in codes.T]
    largest = max(range(len(used)), key=lambda level: int(used[level].max()))
    last = used.pop(largest)
    if not used:
        return left_by_means(view, codes)
    rest, most = _onehot(used), _onehot([last])
    means = _means(view, last)  # float64 (codes of the largest level, d)
    counts = np.bincount(last)
    crossed = (
        (most.T @ rest).multiply(1 / counts[:, None]).tocsr()
    )  # the others' codes, averaged over each of its codes
    gram = (rest.T @ rest - (rest.T @ most) @ crossed).toarray()
    sums = _sums(view, rest) - rest.T @ (most @ means)
    scale = 1 / np.sqrt(np.asarray(rest.sum(axis=0)).reshape(-1))  # eigenvalues between 0 and L
    vectors = scale[:, None] * (pinvh(scale[:, None] * gram * scale, rtol=1e-10) @ (scale[:, None] * sums))
    return _left(view, sparse.hstack([rest, most]).tocsr(), np.vstack([vectors, means - crossed @ vectors]))


def _onehot(levels: list[Any]) -> Any:
    """Sparse float64 (N, codes of all levels): a one for each level's code."""
    rows = len(levels[0])
    offsets = np.cumsum([0, *(int(level.max()) + 1 for level in levels)])
    columns = np.stack([level + offset for level, offset in zip(levels, offsets[:-1], strict=True)], axis=1)
    starts = np.arange(0, columns.size + 1, len(levels))
    return sparse.csr_matrix((np.ones(columns.size), columns.reshape(-1), starts), shape=(rows, int(offsets[-1])))


def _centre(view: Floats) -> Doubles:
    centre: Doubles = view.mean(axis=0, dtype=np.float64)
    return centre


def _sums(view: Floats, design: Any) -> Doubles:
    """Transposed design times centred view, by blocks of rows: float64 (columns, d)."""
    centre = _centre(view)
    total = np.zeros((design.shape[1], view.shape[1]))
    for start in range(0, len(view), _ROWS):
        total += design[start : start + _ROWS].T @ (view[start : start + _ROWS] - centre)
    return total


def _means(view: Floats, groups: Ints) -> Doubles:
    """Mean centred vector of each group: float64 (groups, d)."""
    means: Doubles = _sums(view, _onehot([groups])) / np.bincount(groups)[:, None]
    return means


def _left(view: Floats, design: Any, vectors: Doubles) -> float:
    """Share of the variance left by design @ vectors, by blocks of rows."""
    centre, left, total = _centre(view), 0.0, 0.0
    for start in range(0, len(view), _ROWS):
        block = view[start : start + _ROWS] - centre
        left += float(np.square(block - design[start : start + _ROWS] @ vectors).sum())
        total += float(np.square(block).sum())
    return left / total if total else 0.0
