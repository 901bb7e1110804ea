"""The public plugin API, version 1: what a plugin gets and what it must return.

Row i of every per-item array is item i of the catalogue, always. N is the number of items. Plugins
need not inherit from the protocols below: any object with these methods is one. docs/reference/plugin-api.md is the
reference; docs/how-to/writing-plugins.md shows how every known Semantic ID scheme is expressed in it.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

API_VERSION = 1

Task = Literal["search", "rec"]
TASKS: tuple[Task, Task] = ("search", "rec")

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Views = Mapping[str, Floats]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The items' metadata, N entries in each field.

    Attributes:
        texts: the concatenated metadata of each item, what a text encoder reads as its document.
        titles: may repeat; never empty.
        years: int64 (N,), 0 where unknown.
        categories: the item's categories (MovieLens: genres) in the data's order, possibly none.
        tags: distinct tags in the order they were first given, possibly none.
        descriptions: possibly empty.
    """

    texts: tuple[str, ...]
    titles: tuple[str, ...]
    years: Ints
    categories: tuple[tuple[str, ...], ...]
    tags: tuple[tuple[str, ...], ...]
    descriptions: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True, slots=True)
class Interactions:
    """Who consumed what, when: three int64 (M,) arrays, sorted by user, then time.

    Users are numbered 0..n_users-1 and each has at least one interaction.
    """

    users: Ints
    items: Ints
    timestamps: Ints

    def __len__(self) -> int:
        return len(self.items)

    @property
    def n_users(self) -> int:
        return int(self.users[-1]) + 1 if len(self.users) else 0

    def histories(self) -> list[Ints]:
        """Each user's items, oldest first: a list of n_users int64 arrays."""
        return list(np.split(self.items, np.flatnonzero(np.diff(self.users)) + 1)) if len(self) else []


@dataclass(frozen=True, slots=True)
class Queries:
    """Search queries and the one item each was written for: `items` int64 (Q,), `texts` Q strings."""

    items: Ints
    texts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True, slots=True)
class TrainData:
    """All that a plugin may learn from. The test split is not in it, in no form."""

    catalogue: Catalogue
    interactions: Interactions
    queries: Queries

    @property
    def n_items(self) -> int:
        return len(self.catalogue)


class TextEncoder(Protocol):
    """The track's text encoder: the same for every plugin, frozen, cached on disk by the harness."""

    @property
    def dimension(self) -> int:
        """Width of an encoding."""

    @property
    def folder(self) -> Path | None:
        """The sentence-transformers model folder to fine-tune from, None where none is pretrained."""

    def encode(self, texts: Sequence[str]) -> Floats:
        """Unit-length encodings, float32 (len(texts), dimension)."""


@dataclass(frozen=True, slots=True)
class Context:
    """What every stage of a plugin gets besides its data.

    Attributes:
        seed: the cell's seed, for libraries that want an integer.
        rng: a generator seeded from it, fresh for each stage. Draw all randomness from one of the two.
        device: where torch code should run, "cpu" or "cuda".
        threads: how many threads to use at most; part of what makes a CPU run bit-identical.
        codebook_sizes: codes per level that the track asks for. A layout that wants others passes
            `dataclasses.replace(context, codebook_sizes=...)` to the quantizer's `fit`.
        text_encoder: the track's text encoder.
        views: for an embedder with `builds_on`, the views of those embedders by name; else empty.
        progress: `progress(what, done, total)`, to be called now and then in long work.
        scratch: an empty folder that disappears after the stage.
    """

    seed: int
    rng: np.random.Generator
    device: str
    threads: int
    codebook_sizes: tuple[int, ...]
    text_encoder: TextEncoder
    views: Mapping[str, Views]
    progress: Callable[[str, int, int], None]
    scratch: Path


@contextlib.contextmanager
def torch_scope(context: Context) -> Iterator[None]:
    """For a plugin's torch code: draws are those of `context.seed`, and the process is afterwards as it was.

    Inside, torch has `context.threads` threads, and its global generators, on the CPU and on every GPU, start from
    `context.seed`. Afterwards the threads and these generators are restored, and so are the global generators of
    Python and numpy: the scope seeds neither, but libraries that train do.
    """
    import torch

    plain, numpy, threads = random.getstate(), np.random.get_state(), torch.get_num_threads()  # noqa: NPY002
    torch.set_num_threads(context.threads)
    try:
        with torch.random.fork_rng():
            torch.manual_seed(context.seed)
            yield
    finally:
        torch.set_num_threads(threads)
        random.setstate(plain)
        np.random.set_state(numpy)  # noqa: NPY002


@runtime_checkable
class Embedder(Protocol):
    """Training data to item embeddings.

    May carry an attribute `builds_on: tuple[str, ...]`, names of embedders whose views it needs (with
    the options the track gives them); the harness computes those once per seed and passes them as
    `context.views`.

    May carry an attribute or property `fine_tunes_text_encoder: bool`, True where this instance fine-tunes the track's
    text encoder: `semidbench plan` counts those.
    """

    def embed(self, train: TrainData, context: Context) -> Views:
        """Views by name, each float32 (N, d), finite; d may differ between views.

        One view is named `item`. An embedder that makes one per task names them `search` and `rec`.
        """


@runtime_checkable
class Quantizer(Protocol):
    """Vectors to codes, one instance per codebook: fitted once, then used to encode."""

    @property
    def codebook_sizes(self) -> tuple[int, ...]:
        """Codes per level, L entries, known after `fit`; may differ from what the context asked for."""

    def fit(self, x: Floats, context: Context) -> None:
        """Learn the codebooks from float32 (N, d)."""

    def encode(self, x: Floats) -> Ints:
        """Codes int64 (M, L) of float32 (M, d), 0 <= codes[:, l] < codebook_sizes[l]."""


@dataclass(frozen=True, slots=True, eq=False)
class ItemIds:
    """One Semantic ID per item.

    Attributes:
        codes: int64 (N, L), 1 <= L <= 8, 0 <= codes[:, l] < sizes[l].
        slots: L names of token groups. One vocabulary token exists per (slot, code); levels, and tasks,
            that name the same slot share its tokens. A slot has one size everywhere.
        sizes: L codebook sizes.
    """

    codes: Ints
    slots: tuple[str, ...]
    sizes: tuple[int, ...]


NewQuantizer = Callable[[], Quantizer]


@runtime_checkable
class Layout(Protocol):
    """Embeddings and a quantizer to one ID per item and task.

    May carry `uses_embedder = False` or `uses_quantizer = False`: a scheme then writes `-` in that
    place, and only then.

    The options `ids` and `sha256` are reserved for layouts that run imported IDs: such a layout passes both to
    `semidbench.load_imported_ids`. By these options the harness recognises such a row, whatever the layout's name.
    """

    def assign(
        self, train: TrainData, views: Views, new_quantizer: NewQuantizer, context: Context
    ) -> Mapping[Task, ItemIds]:
        """IDs for "search" and for "rec"; the same object twice where the tasks share them.

        `views` is empty and `new_quantizer` raises where the layout says that it uses none.
        """


@runtime_checkable
class Ranker(Protocol):
    """A reference row that needs no IDs: what a user would pick instead of a generator.

    May carry `fine_tunes_text_encoder`, as an `Embedder` may.
    """

    def fit(self, train: TrainData, context: Context) -> None:
        """Learn from the training data."""

    def search(self, queries: Sequence[str]) -> Floats:
        """Scores float32 (len(queries), N), higher is better. Equal scores share their ranks."""

    def recommend(self, histories: Sequence[Ints]) -> Floats:
        """Scores float32 (len(histories), N) for the next item of each history (oldest first)."""
