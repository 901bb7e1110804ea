"""The identity of a split: a hash of what is in it, however and wherever it was made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np

from semidbench.api import Ints, Queries, TrainData
from semidbench.dataset import HeldOut


def dataset_sha256(train: TrainData, held_out: HeldOut) -> str:
    """SHA-256 over every text and number of both sides of a split, the same on every platform.

    Results are comparable only if they agree on it: other descriptions, queries or interactions, or the
    same in another order, give another hash.
    """
    return _sha256(b"semidbench dataset 1\n", chain(_train(train), _held_out(held_out)))


def train_sha256(train: TrainData) -> str:
    """The same of the training side alone: what embeddings, IDs and generators hang on."""
    return _sha256(b"semidbench training data 1\n", _train(train))


def held_out_sha256(held_out: HeldOut) -> str:
    """The same of the held-out side alone: what decoding and rankings hang on beside the training side."""
    return _sha256(b"semidbench held-out data 1\n", _held_out(held_out))


def _sha256(kind: bytes, parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256(kind)
    for part in parts:
        digest.update(f"{len(part)}\n".encode())
        digest.update(part)
    return digest.hexdigest()


def _train(train: TrainData) -> Iterator[bytes]:
    catalogue = train.catalogue
    for texts in (catalogue.texts, catalogue.titles, catalogue.descriptions, catalogue.categories, catalogue.tags):
        yield from _lines(texts)
    yield _bytes(catalogue.years)
    interactions = train.interactions
    for numbers in (interactions.users, interactions.items, interactions.timestamps):
        yield _bytes(numbers)
    yield from _queries(train.queries)


def _queries(queries: Queries) -> Iterator[bytes]:
    yield _bytes(queries.items)
    yield from _lines(queries.texts)


def _held_out(held_out: HeldOut) -> Iterator[bytes]:
    yield from _queries(held_out.queries)
    yield _bytes(held_out.users)
    yield _bytes(held_out.targets)


def _lines(values: Iterable[object]) -> Iterator[bytes]:
    yield from (json.dumps(value, ensure_ascii=True).encode() for value in values)
    yield b""  # ends the list, so that none can run into the next


def _bytes(values: Ints) -> bytes:
    return np.ascontiguousarray(values).astype("<i8").tobytes()
