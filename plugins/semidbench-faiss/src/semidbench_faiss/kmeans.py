"""Plain k-means: one level, FAISS's Kmeans (beside the quantizers of the paper's Table 3)."""

from __future__ import annotations

import faiss
import numpy as np

from semidbench.api import Context, Floats, Ints
from semidbench_faiss.threads import faiss_threads


class Kmeans:
    """Quantizer: the nearest of `size` centroids is the only code.

    With as many centroids as there are possible IDs of several levels nearly every item would have a
    centroid of its own. So the default spends the same tokens instead: as many centroids as the codebooks
    asked for have codes together (our choice). Then many more items share an ID than with several levels.
    """

    def __init__(self, *, size: int = 0, iterations: int = 25) -> None:
        """Set the options.

        Args:
            size: the number of centroids; 0: the sum of the codebook sizes asked for.
            iterations: of Lloyd's algorithm; 25 is FAISS's default.

        Raises:
            ValueError: size is negative or 1, or iterations is not positive.
        """
        if size < 0 or size == 1:
            raise ValueError(f"size must be at least 2, or 0 for the sum of the codebook sizes, not {size}")
        if iterations < 1:
            raise ValueError(f"iterations must be positive, not {iterations}")
        self.size = size
        self.iterations = iterations
        self.codebook_sizes: tuple[int, ...] = ()

    def fit(self, x: Floats, context: Context) -> None:
        """Learn the centroids from float32 (N, d). FAISS takes a sample of 256 vectors a centroid if there are more.

        Raises:
            ValueError: there are fewer vectors than centroids.
        """
        size = self.size or sum(context.codebook_sizes)
        if len(x) < size:
            raise ValueError(f"kmeans cannot learn {size} centroids from {len(x)} vectors. Ask for a smaller size")
        self._threads = context.threads
        self._kmeans = faiss.Kmeans(
            x.shape[1],
            size,
            niter=self.iterations,
            seed=context.seed % 2**31,  # a C int
            min_points_per_centroid=1,  # only silences a warning on stderr
        )
        with faiss_threads(context.threads):
            self._kmeans.train(np.ascontiguousarray(x, np.float32))
        self.codebook_sizes = (size,)

    def encode(self, x: Floats) -> Ints:
        """Codes int64 (M, 1) of float32 (M, d)."""
        with faiss_threads(self._threads):
            _, nearest = self._kmeans.assign(np.ascontiguousarray(x, np.float32))
        codes: Ints = nearest.astype(np.int64)[:, None]
        return codes
