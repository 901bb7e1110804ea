"""A plugin's text encoder, which is the harness's work: a clock stands still while it encodes."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from semidbench.api import Floats, TextEncoder


class ClockedEncoder:
    """A TextEncoder, in any number of threads.

    Args:
        encoder: does the work.
        begin: called when the first of them begins to encode, `end` when the last is done. Not in child processes.
    """

    def __init__(self, encoder: TextEncoder, begin: Callable[[], None], end: Callable[[], None]) -> None:
        self._encoder, self._begin, self._end = encoder, begin, end
        self._process = os.getpid()
        self._lock, self._encoding = threading.Lock(), 0
        self._since = self._spent = 0.0

    @property
    def dimension(self) -> int:
        """Width of an encoding."""
        return self._encoder.dimension

    @property
    def folder(self) -> Path | None:
        """The pretrained model's folder."""
        return self._encoder.folder

    def encode(self, texts: Sequence[str]) -> Floats:
        """Unit-length encodings, float32 (len(texts), dimension)."""
        given = list(texts)  # in the plugin's time: it may be a sequence of its own making
        with self._standing():
            return self._encoder.encode(given)

    def seconds(self) -> float:
        """What the clock shows: without the time in which any thread encoded."""
        with self._lock:
            now = time.perf_counter()
            return (self._since if self._encoding else now) - self._spent

    @contextmanager
    def _standing(self) -> Iterator[None]:
        if os.getpid() != self._process:  # a fork has no part in the conversation
            yield
            return
        with self._lock:
            self._encoding += 1
            if self._encoding == 1:
                self._since = time.perf_counter()
                self._begin()
        try:
            yield
        finally:
            with self._lock:
                self._encoding -= 1
                if not self._encoding:
                    self._spent += time.perf_counter() - self._since
                    self._end()
