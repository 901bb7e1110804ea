"""The fused embedders: item embeddings of `search` and `rec` in one (the paper's section 3.2)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import TruncatedSVD

from semidbench.api import Context, Floats, TrainData, Views

Doubles = NDArray[np.float64]


class FusedConcat:
    """Embedder: both embeddings with rows of unit length, side by side. No options."""

    builds_on = ("search", "rec")

    def embed(self, train: TrainData, context: Context) -> Views:
        """One view `item`, float32 (N, d_search + d_rec); reads `context.views`."""
        return {"item": np.hstack(_unit_views(context)).astype(np.float32)}


class FusedSvd:
    """Embedder: both embeddings with rows of unit length, the wider one reduced by truncated SVD, added. No options."""

    builds_on = ("search", "rec")

    def embed(self, train: TrainData, context: Context) -> Views:
        """One view `item`, float32 (N, min(d_search, d_rec)); reads `context.views`.

        Raises:
            ValueError: the wider embedding cannot be reduced: too few items, or nothing but zeros.
        """
        search, rec = _unit_views(context)
        width = min(search.shape[1], rec.shape[1])
        fused = _reduced("search", search, width, context.seed) + _reduced("rec", rec, width, context.seed)
        return {"item": fused.astype(np.float32)}


def _unit_views(context: Context) -> tuple[Doubles, Doubles]:
    return _unit(context.views["search"]["item"]), _unit(context.views["rec"]["item"])


def _unit(view: Floats) -> Doubles:
    """Rows of unit length; a row of zeros stays one."""
    rows = view.astype(np.float64)  # squares of small float32 vanish
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms > 0, norms, 1)


def _reduced(name: str, rows: Doubles, width: int, seed: int) -> Doubles:
    """The rows in the space of their first `width` right singular vectors; as they are where that is their width."""
    if rows.shape[1] == width:
        return rows
    if len(rows) <= width:
        raise ValueError(
            f"fused-svd cannot reduce {len(rows)} {name} embeddings from {rows.shape[1]} to {width} dimensions: "
            f"truncated SVD needs more than {width} items. Use fused-concat, or fewer dimensions in the narrower one"
        )
    if not rows.any():
        raise ValueError(f"fused-svd cannot reduce the {name} embeddings: all are zero. Use fused-concat")
    # ARPACK is exact up to rounding; the seed is that of its starting vector.
    reduced: Doubles = TruncatedSVD(width, algorithm="arpack", random_state=seed % 2**32).fit_transform(rows)
    return reduced
