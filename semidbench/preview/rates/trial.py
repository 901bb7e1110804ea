"""One stage of a plugin, tried in a store that is thrown away: the run's own code, under a limit of time.

A stage that takes long is stopped as soon as its progress shows when it would end.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np

from semidbench.api import Floats
from semidbench.ids.embedder import save_views
from semidbench.isolation.limits import Limits
from semidbench.methods.failure import PluginFailure
from semidbench.methods.resolved import ResolvedMethod, ResolvedScheme
from semidbench.preview.rates.stage_time import How
from semidbench.preview.rates.texts import missing_texts, stored_as, text_lists
from semidbench.runs.shared.session import Session
from semidbench.runs.stages.embed import embedding_key
from semidbench.store.stages import Stage, find_stage, run_stage
from semidbench.text.stored_encoder import Progress, StoredEncoder

_NOT_THE_METHOD_S = "encoding texts"  # progress of the text encoder


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds of a trial.

    Attributes:
        long: from then on a stage is stopped when its progress shows when it would end.
        most: then it is stopped anyway.
    """

    long: float = 10.0
    most: float = 60.0


@dataclass(frozen=True, slots=True)
class Tried:
    """What a trial found, as in `StageTime`."""

    seconds: float
    how: How
    note: str = ""
    encodes: tuple[str, ...] = ()


class _Projected(Exception):
    """Stopped; the argument is how many seconds the stage would have taken."""


class _TooLong(Exception):
    """Stopped; nothing shows when it would have ended."""


@dataclass(slots=True)
class _Watch:
    """A stage's progress. What is done between two reports about the same thing is taken to go on as fast.

    Attributes:
        phase: what the last report was about.
        first: of this phase, when it was reported and how much was done.
    """

    patience: Patience
    began: float
    phase: str = ""
    first: tuple[float, int] = (0.0, 0)

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.perf_counter() - self.began
        if now > 2 * self.patience.most:  # the limit of a plugin's process rests while texts are encoded
            raise _TooLong
        if what == _NOT_THE_METHOD_S:
            return
        if what != self.phase:
            self.phase, self.first = what, (now, done)
            return
        (since, before) = self.first
        if done > before and now >= self.patience.long:
            raise _Projected(now + (now - since) / (done - before) * max(0, total - done))


@contextmanager
def trial_session(session: Session, patience: Patience, memory_mib: float | None) -> Iterator[Session]:
    """A session over the same data, in a store of its own that ends with the block.

    Texts whose encodings the store does not have get others of the same width, which take seconds: each word adds to
    one number of them. The text encoder's time is measured elsewhere.
    """
    with tempfile.TemporaryDirectory(prefix="trial-", dir=session.store) as name:
        store = Path(name)
        encoder = replace(session.encoder, store=store / "encodings")
        trial = replace(session, store=store, encoder=encoder, limits=Limits(patience.most, memory_mib))
        encoder.store.mkdir()
        for texts in chain.from_iterable(text_lists(session).values()):
            if (kept := stored_as(session, texts)).exists():
                _link(kept, encoder.store / kept.name)
            elif texts:
                _leave_chunks(trial, texts)
        yield trial


def try_stage(trial: Session, stage: Callable[[Session, _Watch], object], patience: Patience) -> Tried:
    """Wall-clock seconds of a stage, from its start to its output on disk, and which lists of texts it encodes.

    Args:
        stage: computes it, and is stopped by an exception of the function that it reports progress to.
    """
    with tempfile.TemporaryDirectory(prefix="encodings-", dir=trial.store) as name:
        own = replace(trial, encoder=replace(trial.encoder, store=Path(name)))
        no_locks = shutil.ignore_patterns("*.lock")  # one file under two names is one lock
        shutil.copytree(trial.encoder.store, name, copy_function=_link, dirs_exist_ok=True, ignore=no_locks)
        before = missing_texts(own)
        found = _tried(partial(stage, own), patience)
        after = missing_texts(own)
        return replace(found, encodes=tuple(name for name, texts in before.items() if after.get(name) != texts))


def _tried(stage: Callable[[_Watch], object], patience: Patience) -> Tried:
    watch = _Watch(patience, time.perf_counter())
    try:
        stage(watch)
    except _Projected as projected:
        return Tried(projected.args[0], "projected")
    except _TooLong:
        return Tried(0.0, "not counted", f"no end after {2 * patience.most:g} s")
    except PluginFailure as failure:
        if time.perf_counter() - watch.began >= patience.most:
            return Tried(0.0, "not counted", f"no end after {patience.most:g} s, and it reports no progress")
        return Tried(0.0, "not counted", str(failure))
    return Tried(time.perf_counter() - watch.began, "measured")


def views_for(session: Session, trial: Session, scheme: ResolvedScheme) -> Sequence[Stage]:
    """Stages of the views that a scheme's IDs are made of: from the trial, the store, or else of texts' encodings."""
    return [_views(session, trial, method) for method in scheme.all_embedders]


def _views(session: Session, trial: Session, method: ResolvedMethod) -> Stage:
    key = embedding_key(trial, method, 0)
    kept = find_stage(session.store, key)

    def make(folder: Path) -> None:
        if kept:
            shutil.copytree(kept.folder, folder, dirs_exist_ok=True)
        else:
            save_views({"item": _hashed(trial.encoder.dimension, text_lists(trial)["items"][0])}, folder)

    return run_stage(trial.store, key, make)


def provide_below(session: Session, trial: Session, method: ResolvedMethod) -> None:
    """See that the trial has the views of the embedders that an embedder builds on."""
    for below in method.builds_on:
        for each in below.with_below():
            _views(session, trial, each)


def _link(source: str | Path, target: str | Path) -> None:
    """Another name for a file, or a copy where the file system has none."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _leave_chunks(trial: Session, texts: Sequence[str]) -> None:
    """Encode a list and stop before its file is written. So that file shows later that a method had the list encoded,
    which goes on at the chunks and takes no time.
    """

    def stop_at_the_end(what: str, done: int, total: int) -> None:
        if done == total:
            raise _Encoded

    with suppress(_Encoded):
        _stand_in(trial, stop_at_the_end).encode(texts)


class _Encoded(Exception):
    """All chunks are there."""


def _stand_in(trial: Session, progress: Progress) -> StoredEncoder:
    spec = trial.encoder
    return StoredEncoder(spec.dimension, None, partial(_hashed, spec.dimension), spec.fingerprint, spec.store, progress)


def _hashed(width: int, texts: Sequence[str]) -> Floats:
    """Unit-length rows, float32 (texts, width)."""
    from sklearn.feature_extraction.text import HashingVectorizer

    rows: Floats = HashingVectorizer(n_features=width).transform(texts).toarray().astype(np.float32)
    rows[~rows.any(axis=1), 0] = 1.0
    return rows
