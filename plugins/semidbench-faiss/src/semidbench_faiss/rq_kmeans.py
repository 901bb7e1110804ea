"""Residual k-means: FAISS's ResidualQuantizer (the paper's RQ-KMeans, section 3.3)."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np

from semidbench.api import Context, Floats, Ints
from semidbench_faiss.threads import faiss_threads


class RqKmeans:
    """Quantizer: k-means on the vectors, then on what each level leaves over.

    FAISS keeps the `beam` best partial codes per vector, in training and in encoding. Each level after the first is
    thus trained on the residuals of `beam` partial codes per vector, of which encoding keeps one; and codes are not
    greedy nearest neighbours. With `beam` 1 each level is k-means on the residuals of the nearest codes. The
    error was then smaller in all that we measured (the plugin's README). The default is FAISS's, for the paper names
    FAISS's residual quantizer and no beam.
    """

    def __init__(self, *, beam: int = 5) -> None:
        """Set the options.

        Args:
            beam: FAISS's `max_beam_size`; 5 is its default.

        Raises:
            ValueError: beam is not positive.
        """
        if beam < 1:
            raise ValueError(f"beam must be positive, not {beam}")
        self.beam = beam
        self.codebook_sizes: tuple[int, ...] = ()

    def fit(self, x: Floats, context: Context) -> None:
        """Learn `context.codebook_sizes` codebooks from float32 (N, d).

        Raises:
            ValueError: a size is no power of two, or there are fewer vectors than codes in a level or dimensions.
        """
        sizes = context.codebook_sizes
        odd = [size for size in sizes if size < 2 or size & (size - 1)]
        if odd:
            raise ValueError(f"rq-kmeans needs codebook sizes that are powers of two, not {odd}")
        if len(x) < max(sizes):
            raise ValueError(
                f"rq-kmeans cannot learn {max(sizes)} codes from {len(x)} vectors. Ask for smaller codebooks"
            )
        if len(x) < x.shape[1]:
            raise ValueError(
                f"rq-kmeans learns from at least as many vectors as dimensions (FAISS starts from a PCA), "
                f"not from {len(x)} of {x.shape[1]}. Use an embedder with fewer dimensions"
            )
        self._bits = [size.bit_length() - 1 for size in sizes]
        self._threads = context.threads
        self._quantizer = self._new(x.shape[1], context.seed)
        with faiss_threads(context.threads):
            self._quantizer.train(np.ascontiguousarray(x, np.float32))
        self.codebook_sizes = sizes

    def encode(self, x: Floats) -> Ints:
        """Codes int64 (M, L) of float32 (M, d)."""
        with faiss_threads(self._threads):
            packed = self._quantizer.compute_codes(np.ascontiguousarray(x, np.float32))
        codes: Ints = faiss.unpack_bitstrings(packed, np.array(self._bits, np.int32)).astype(np.int64)
        return codes

    def decode(self, codes: Ints) -> Floats:
        """The vectors that codes int64 (M, L) stand for, float32 (M, d): the sum of their centroids."""
        table = faiss.vector_to_array(self._quantizer.codebooks).reshape(sum(self.codebook_sizes), -1)
        starts = np.cumsum((0, *self.codebook_sizes[:-1]))
        vectors: Floats = table[codes + starts].sum(axis=1)
        return vectors

    def _new(self, dimension: int, seed: int) -> Any:
        bits = faiss.UInt64Vector()
        for level in self._bits:
            bits.push_back(level)
        quantizer = faiss.ResidualQuantizer(dimension, bits)  # type: ignore[call-overload]  # its stubs say list
        quantizer.max_beam_size = self.beam
        quantizer.cp.seed = seed % 2**31  # a C int
        quantizer.cp.min_points_per_centroid = 1  # only silences a warning on stderr
        return quantizer
