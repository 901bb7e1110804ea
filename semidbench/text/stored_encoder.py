"""Encodings kept on disk: one file for a list of texts, and chunks of it while it is being made.

A list whose encoding was interrupted goes on at the first chunk that is not there.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError

import numpy as np

from semidbench.api import Floats
from semidbench.store.files import replacing
from semidbench.store.json_text import hash_json

FORMAT = 3  # of the files in the store; their names depend on it
CHUNK = 1024  # texts

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class StoredEncoder:
    """A TextEncoder over an encoding function and a folder of earlier results.

    Attributes:
        dimension: width of an encoding.
        folder: the sentence-transformers model behind it, None where there is none.
        compute: encodings float32 (texts, dimension) of up to CHUNK distinct texts, each independent of the others.
        fingerprint: of all that determines an encoding's bits.
        store: of the files; made if absent.
        progress: called as `progress(what, done, total)` while texts are encoded.
    """

    dimension: int
    folder: Path | None
    compute: Callable[[Sequence[str]], Floats]
    fingerprint: str
    store: Path
    progress: Progress

    def encode(self, texts: Sequence[str]) -> Floats:
        """Unit-length encodings, float32 (len(texts), dimension)."""
        from filelock import FileLock

        if not len(texts):
            return np.zeros((0, self.dimension), np.float32)
        path = self.store / f"{hash_json([FORMAT, self.fingerprint, list(texts)])}.npy"
        shape = (len(texts), self.dimension)
        stored = _read(path, shape)
        if stored is not None:
            return stored
        self.store.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):  # cells beside this one wait and read instead of encoding again
            stored = _read(path, shape)
            if stored is not None:
                return stored
            chunks = path.with_suffix(".chunks")
            encodings = self._in_chunks(texts, chunks)
            _write(path, encodings)
            shutil.rmtree(chunks)
        return encodings

    def _in_chunks(self, texts: Sequence[str], folder: Path) -> Floats:
        """Longest texts first: the time left is then an upper bound, and batches hold texts of like length."""
        folder.mkdir(exist_ok=True)
        distinct, which = np.unique(np.asarray(texts, object), return_inverse=True)
        order = np.argsort([-len(text) for text in distinct], kind="stable")
        turn = np.argsort(order)[which]  # of each text
        by_turn = np.argsort(turn, kind="stable")
        bounds = np.searchsorted(turn[by_turn], np.arange(0, len(order) + CHUNK, CHUNK))
        encodings = np.empty((len(texts), self.dimension), np.float32)
        for start, first, end in zip(range(0, len(order), CHUNK), bounds, bounds[1:], strict=False):
            self.progress("encoding texts", start, len(order))
            rows = order[start : start + CHUNK]
            path = folder / f"{start}.npy"
            part = _read(path, (len(rows), self.dimension))
            if part is None:
                part = self.compute([str(distinct[row]) for row in rows])
                _write(path, part)
            encodings[by_turn[first:end]] = part[turn[by_turn[first:end]] - start]
        self.progress("encoding texts", len(order), len(order))
        return encodings


def _read(path: Path, shape: tuple[int, int]) -> Floats | None:
    """What `_write` wrote; None if there is no such file or it is damaged."""
    try:
        encodings = np.load(path, allow_pickle=False)
    except (FileNotFoundError, ValueError, EOFError, SyntaxError, TokenError):  # numpy parses headers as Python
        return None
    return encodings if encodings.shape == shape and encodings.dtype == np.float32 else None


def _write(path: Path, encodings: Floats) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:  # np.save would add .npy to a path
        np.save(file, np.ascontiguousarray(encodings), allow_pickle=False)
