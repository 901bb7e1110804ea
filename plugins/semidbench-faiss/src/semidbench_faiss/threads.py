"""FAISS's thread count is global: ours inside a scope, as it was afterwards."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import faiss


@contextlib.contextmanager
def faiss_threads(count: int) -> Iterator[None]:
    """At most `count` OpenMP threads inside."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(count)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
