"""A folder with what a user brings for the paper's track, made up, and the track opened on it."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.queries import made_words
from benchmarks.rehearsal.release import Size, write_release
from semidbench.api import Context, Floats, Ints
from semidbench.store.files import file_sha256
from semidbench.text.pretrained import MODELS_VARIABLE
from semidbench.tracks.files import load_track
from semidbench.tracks.track import Track

if TYPE_CHECKING:
    from semidbench.runs.shared.session import Session

_MARKER = "made-by-benchmarks-rehearse.json"
_TRACK = """semidbench_track = 1
name = "paper-rehearsed"
extends = "paper"
version = 1
about = "The paper's track on made data and random weights."
threads = {threads}

[text_encoder]
weights_sha256 = "{weights}"
"""


@dataclass(frozen=True, slots=True)
class Amounts:
    """How much is made, and how much of each stage is done.

    Attributes:
        items: of the catalogue; users, ratings and queries follow.
        shape: of the generator, a name of `SHAPES`; with "tiny" the sentence model is tiny, too.
        device: "cpu" or "cuda".
        threads: of the track.
        steps: that are timed of each training, after one that is not.
        prompts: decoded.
        texts: encoded, of items and as many of queries.
        pairs: a batch of a fine-tuning.
    """

    items: int
    shape: str
    device: str
    threads: int
    steps: int
    prompts: int
    texts: int
    pairs: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where it is made, and how much."""

    folder: Path
    amounts: Amounts

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    @property
    def track_file(self) -> Path:
        return self.folder / "paper-rehearsed.toml"

    @property
    def track(self) -> Track:
        return load_track(str(self.track_file))

    @property
    def size(self) -> Size:
        return Size().scaled(self.amounts.items)

    def make(self) -> None:
        """Write the data, the models and the track's file, unless they are there.

        Raises:
            SystemExit: the folder holds something else, or was made with other amounts.
        """
        from benchmarks.rehearsal.models import write_models

        marker, content = self.folder / _MARKER, json.dumps(asdict(self.amounts), indent=1) + "\n"
        if marker.is_file() and marker.read_text("utf-8") == content:
            return
        if self.folder.exists() and any(self.folder.iterdir()):
            raise SystemExit(
                f"{self.folder} was not made with these numbers, or not to the end. Delete it, or name another"
            )
        write_release(self.data, self.size)
        write_models(self.folder / "models", self.amounts.shape, made_words(np.random.default_rng(0)))
        weights = file_sha256(self.folder / "models" / "all-mpnet-base-v2" / "model.safetensors")
        self.track_file.write_text(_TRACK.format(threads=self.amounts.threads, weights=weights), "utf-8")
        marker.write_text(content, "utf-8")  # last: a folder without it is not whole

    @contextmanager
    def models_found(self) -> Iterator[None]:
        """Have semidbench find the made models."""
        before = os.environ.get(MODELS_VARIABLE)
        os.environ[MODELS_VARIABLE] = str(self.folder / "models")
        try:
            yield
        finally:
            os.environ.pop(MODELS_VARIABLE)
            if before is not None:
                os.environ[MODELS_VARIABLE] = before

    def session(self) -> Session:
        """The track opened, as a run does first."""
        from semidbench.runs.shared.session import open_session

        with self.models_found():
            return open_session(self.track, "test", self.data, self.cache, self.amounts.device)

    @contextmanager
    def context(self, session: Session, progress: Callable[[str, int, int], None]) -> Iterator[Context]:
        """What a plugin is handed in a run."""
        from semidbench.runs.shared.inputs import plugin_inputs
        from semidbench.text.encoder import open_encoder

        with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
            encoder = open_encoder(session.encoder, (), silent)
            yield plugin_inputs(session, 0).context(encoder, progress, Path(scratch))

    def method(self, part: str, scheme: str) -> Any:
        """A part of a scheme with the track's options, as a run builds it.

        Raises:
            UserError: it is not installed, or has no such option.
        """
        from semidbench.methods.registry import load_registry
        from semidbench.methods.resolve import resolve_scheme

        return resolve_scheme(load_registry(), scheme, self.track).parts[part].named.build()

    def vectors(self, width: int) -> Floats:
        """In the place of embeddings: random directions, float32 (items, width)."""
        made = np.random.default_rng(0).standard_normal((self.amounts.items, width), dtype=np.float32)
        unit: Floats = made / np.linalg.norm(made, axis=1, keepdims=True)
        return unit

    def codes(self) -> Ints:
        """In the place of IDs: drawn uniformly, int64 (items, levels)."""
        sizes = self.track.ids.codebook_sizes
        return np.random.default_rng(0).integers(0, sizes, (self.amounts.items, len(sizes)))


class Enough(Exception):
    """All steps that are timed were done."""


class StepClock:
    """Called after each step (or before each), it ends the work after `steps` timed ones; the first is not timed."""

    def __init__(self, steps: int, device: str) -> None:
        self.steps, self.device = steps, device
        self.times: list[float] = []

    def __call__(self, *_: object) -> None:
        self.times.append(now(self.device))
        if len(self.times) > self.steps:
            raise Enough

    @property
    def seconds(self) -> float:
        """Of the timed steps."""
        return self.times[-1] - self.times[0]

    @property
    def timed(self) -> int:
        """How many there were: fewer than asked for where the work ended before."""
        return len(self.times) - 1


def now(device: str) -> float:
    """The clock, once the device has done all that it was given."""
    if device == "cuda":
        import torch

        torch.cuda.synchronize()
    return time.perf_counter()


def silent(*_: object) -> None:
    """Progress that nobody reads."""
