"""Data to try a method on: synthetic worlds, a text encoder without a model, views, and a quantizer for layouts."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from semidbench.api import Context, Floats, Ints, TrainData, Views
from semidbench.dataset import HeldOut
from semidbench.dataset.split import split
from semidbench.dataset.world import make_world
from semidbench.tracks.files import load_track
from semidbench.tracks.track import Track, World

TIMES = 10  # how many times larger the large world is


def small_world() -> TrainData:
    """The training data of the track smoke: 240 items. Arrays are read-only, as a run hands them over."""
    return make_split(1)[0]


def context(scratch: Path, seed: int = 0, views: Mapping[str, Views] | None = None) -> Context:
    """A context as on the track smoke, but for its text encoder: the sum of a random vector for each word.

    Args:
        scratch: an empty folder, such as pytest's `tmp_path`.
        seed: the cell's.
        views: for an embedder with `builds_on`, by the name of the embedder.
    """
    return Context(
        seed=seed,
        rng=np.random.default_rng(seed),
        device="cpu",
        threads=1,
        codebook_sizes=smoke().ids.codebook_sizes,
        text_encoder=WordVectors(),
        views=views or {},
        progress=lambda what, done, total: None,
        scratch=scratch,
    )


def smoke() -> Track:
    """The track whose world, codebooks and options of methods the checks use."""
    return load_track("smoke")


@cache  # a second each time, for every method of a test file
def make_split(times: int) -> tuple[TrainData, HeldOut]:
    """The world of smoke with `times` as many items and users, split for the test."""
    section = smoke().dataset
    assert isinstance(section, World)
    larger = {"items": times * section.items, "users": times * section.users}
    return split(make_world(section.model_copy(update=larger)), "test")


def task_views(train: TrainData) -> Views:
    """A view of what items say (`search`) and one of who liked them (`rec`): float32 (N, 48) each, rows of length 1."""
    encoder = WordVectors()
    of_users = np.random.default_rng(0).standard_normal((train.interactions.n_users, encoder.dimension))
    liked = np.full((train.n_items, encoder.dimension), 1e-3)  # for an item that nobody took
    np.add.at(liked, train.interactions.items, of_users[train.interactions.users])
    return {"search": encoder.encode(train.catalogue.texts), "rec": _unit(liked)}


class WordVectors:
    """A text encoder that needs nothing trained: words that two texts share make their encodings alike."""

    dimension = 48
    folder: Path | None = None

    def __init__(self) -> None:
        self._vectors: dict[str, Floats] = {}

    def encode(self, texts: Sequence[str]) -> Floats:
        """Unit-length encodings, float32 (len(texts), 48), each independent of the others."""
        sums = np.full((len(texts), self.dimension), 1e-3)
        for row, text in enumerate(texts):
            for word in re.findall(r"\w+", text.lower()):
                sums[row] += self._vector(word)
        return _unit(sums)

    def _vector(self, word: str) -> Floats:
        if word not in self._vectors:
            draws = np.random.default_rng(zlib.crc32(word.encode()))
            self._vectors[word] = draws.standard_normal(self.dimension, np.float32)
        return self._vectors[word]


class NearestRows:
    """A quantizer of little merit, for layouts: each level's codebook is rows of what the levels before left over."""

    def __init__(self) -> None:
        self.codebook_sizes: tuple[int, ...] = ()
        self._codebooks: list[Floats] = []

    def fit(self, x: Floats, context: Context) -> None:
        """Draw the rows with `context.seed`."""
        draws, rest = np.random.default_rng(context.seed), np.array(x)
        for size in context.codebook_sizes:
            codebook = rest[draws.choice(len(rest), size, replace=size > len(rest))]
            self._codebooks.append(codebook)
            rest = rest - codebook[_nearest(rest, codebook)]
        self.codebook_sizes = context.codebook_sizes

    def encode(self, x: Floats) -> Ints:
        """Codes int64 (M, L) of float32 (M, d)."""
        rest, codes = np.array(x), []
        for codebook in self._codebooks:
            codes.append(_nearest(rest, codebook))
            rest = rest - codebook[codes[-1]]
        return np.stack(codes, axis=1)


def _nearest(x: Floats, codebook: Floats) -> Ints:
    distances = (codebook**2).sum(axis=1) - 2 * x @ codebook.T
    nearest: Ints = distances.argmin(axis=1).astype(np.int64)
    return nearest


def _unit(rows: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Floats:
    unit: Floats = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit
