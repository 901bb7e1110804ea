"""A small world for the plugins' contract tests: 60 items in 6 topics, and an encoder that needs no model."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from semidbench.api import Catalogue, Context, Floats, Interactions, Queries, TrainData

N_ITEMS, N_TOPICS, N_USERS = 60, 6, 30
WIDTH = 32


class WordEncoder:
    """Each word is a fixed random vector; a text is the normalised sum of its words'."""

    dimension = WIDTH
    folder: Path | None = None

    def encode(self, texts: Sequence[str]) -> Floats:
        rows = [np.sum([_word_vector(word) for word in text.split()], axis=0) for text in texts]
        vectors = np.array(rows, np.float32).reshape(len(texts), WIDTH)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _word_vector(word: str) -> Floats:
    return np.random.default_rng(zlib.crc32(word.encode())).standard_normal(WIDTH).astype(np.float32)


def build_train() -> TrainData:
    """Item i is about topic i % 6; each user stays in one topic; a query's words are not its item's.

    The last item has no interactions.
    """
    rng = np.random.default_rng(7)
    topics = np.arange(N_ITEMS) % N_TOPICS
    texts = tuple(f"item{i} topic{topics[i]} plot{i % 5}" for i in range(N_ITEMS))
    histories = [rng.permutation(np.flatnonzero(topics[:-1] == user % N_TOPICS))[:6] for user in range(N_USERS)]
    catalogue = Catalogue(
        texts=texts,
        titles=tuple(f"item{i}" for i in range(N_ITEMS)),
        years=np.zeros(N_ITEMS, np.int64),
        categories=tuple((f"topic{topic}",) for topic in topics),
        tags=((),) * N_ITEMS,
        descriptions=("",) * N_ITEMS,
    )
    interactions = Interactions(
        users=np.repeat(np.arange(N_USERS), 6).astype(np.int64),
        items=np.concatenate(histories).astype(np.int64),
        timestamps=np.tile(np.arange(6), N_USERS).astype(np.int64),
    )
    queries = Queries(
        items=np.repeat(np.arange(N_ITEMS), 3).astype(np.int64),
        texts=tuple(f"asks{i} want{i % N_TOPICS} way{k}" for i in range(N_ITEMS) for k in range(3)),
    )
    return TrainData(catalogue, interactions, queries)


@pytest.fixture(scope="session")
def train() -> TrainData:
    return build_train()


@pytest.fixture
def context(tmp_path: Path) -> Callable[..., Context]:
    """A maker of contexts, each with a fresh scratch folder: `context(seed=1)`."""
    made = 0

    def make(seed: int = 0, codebook_sizes: tuple[int, ...] = (8, 8), encoder: object = None) -> Context:
        nonlocal made
        made += 1
        scratch = tmp_path / f"scratch-{made}"
        scratch.mkdir()
        return Context(
            seed=seed,
            rng=np.random.default_rng(seed),
            device="cpu",
            threads=1,
            codebook_sizes=codebook_sizes,
            text_encoder=encoder or WordEncoder(),  # type: ignore[arg-type]
            views={},
            progress=lambda what, done, total: None,
            scratch=scratch,
        )

    return make
