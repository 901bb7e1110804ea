"""The process of a plugin's stage. Its folder, which the environment names, holds its order; then it may be asked.

What the order does not name is not here: training data, earlier stages' outputs, the text encoder. Harness modules
that know of test data, and torch, are not imported.
"""

from __future__ import annotations

import faulthandler
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from semidbench.api import Task, TextEncoder
from semidbench.isolation.clocked_encoder import ClockedEncoder
from semidbench.machine.channels import Tell, channels
from semidbench.methods.traces import dump_to

FOLDER_VARIABLE = "SEMIDBENCH_STAGE_FOLDER"
ORDER, SCORES = "order.json", "scores.npy"
_QUERIES, _HISTORIES = "queries.json", "histories.npz"
_KINDS = ("embedder", "quantizer", "layout", "ranker")
_TELL_SECONDS = 0.1  # between two messages about progress
_WORD = 200  # characters of what progress is about
_BEYOND = 900.0  # seconds behind its limit after which a process ends itself


def main() -> None:
    """Do the stage, tell of it, and answer until the orders end."""
    folder = Path(os.environ.pop(FOLDER_VARIABLE))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one decides
    orders, tell = channels(lambda: _abandon(folder))
    told = json.loads((folder / ORDER).read_text("utf-8"))
    dump = dump_to(folder)
    _end_in_time(told["seconds"], dump)
    import semidbench.dataset.files
    import semidbench.isolation.work  # noqa: F401  # before the limit, so that what tells of a lack of memory is here
    from semidbench.isolation.limits import end_first, hold_memory, let_go_memory
    from semidbench.methods.failure import failure_of

    work = _named(told["work"])
    end_first()
    if told["memory_mib"] is not None:
        hold_memory(told["memory_mib"])
    try:
        _work(work, told, folder, dump, orders.get, tell)
    except BaseException as error:  # sys.exit is one more way to fail
        if told["memory_mib"] is not None:
            let_go_memory()
        failure = failure_of(work.who, error)
        tell("plugin failed", failure.told, failure.trace)


def save_questions(task: Task, questions: Sequence[Any], folder: Path) -> None:
    """Write queries, or histories (int64 arrays), for a ranker."""
    if task == "search":
        (folder / _QUERIES).write_text(json.dumps(list(questions)), "utf-8")
        return
    lengths = np.array([len(history) for history in questions], np.int64)
    np.savez(folder / _HISTORIES, items=np.concatenate([np.empty(0, np.int64), *questions]), lengths=lengths)


def load_questions(task: Task, folder: Path) -> list[Any]:
    """What `save_questions` wrote; the arrays are read-only."""
    if task == "search":
        queries: list[str] = json.loads((folder / _QUERIES).read_text("utf-8"))
        return queries
    with np.load(folder / _HISTORIES, allow_pickle=False) as file:
        items, lengths = file["items"], file["lengths"]
    items.setflags(write=False)
    return np.split(items, np.cumsum(lengths)[:-1])


def _work(
    work: Any, told: dict[str, Any], folder: Path, dump: IO[str], next_order: Callable[[], dict[str, Any]], tell: Tell
) -> None:
    from semidbench.dataset.files import load_train
    from semidbench.isolation.work import Handed, answer, perform
    from semidbench.machine.memory import peak_mib

    train, progress = load_train(Path(told["train"])), _throttled(tell)
    encoder = _clocked(_encoder(told, train, progress), told["seconds"], dump, tell)
    handed = Handed(
        train=train,
        text_encoder=encoder,
        seed=told["seed"],
        device=told["device"],
        threads=told["threads"],
        codebook_sizes=tuple(told["codebook_sizes"]),
        progress=progress,
    )
    tell("began")
    began = encoder.seconds()
    ranker = perform(work, handed, folder)
    seconds = encoder.seconds() - began
    tell("done", seconds, peak_mib())
    while ranker is not None:
        task = next_order()["ask"]
        began = encoder.seconds()
        scores = answer(work.who, ranker, task, load_questions(task, folder), train.n_items)
        np.save(folder / SCORES, scores, allow_pickle=False)
        seconds += encoder.seconds() - began
        tell("done", seconds, peak_mib())


def _end_in_time(seconds: float, dump: IO[str]) -> None:
    """If nobody is left to end this process."""
    faulthandler.dump_traceback_later(seconds + _BEYOND, exit=True, file=dump)


def _clocked(encoder: TextEncoder, seconds: float, dump: IO[str], tell: Tell) -> ClockedEncoder:
    """The encoder, whose time is not the plugin's: the limits on this process rest while it works."""

    def begin() -> None:
        faulthandler.cancel_dump_traceback_later()
        tell("encoding")

    def end() -> None:
        _end_in_time(seconds, dump)
        tell("encoded")

    return ClockedEncoder(encoder, begin, end)


def _abandon(folder: Path) -> None:
    """The process that started this one is gone."""
    shutil.rmtree(folder, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


def _throttled(tell: Tell) -> Callable[[str, int, int], None]:
    """Progress as messages that are few and short, whatever a plugin says."""
    last = -_TELL_SECONDS

    def progress(what: str, done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _TELL_SECONDS:
            last = now
            tell("progress", str(what)[:_WORD], int(done), int(total))

    return progress


def _encoder(told: dict[str, Any], train: Any, progress: Callable[[str, int, int], None]) -> Any:
    """The track's text encoder, with the harness's store of encodings; nothing is fitted or loaded before its use."""
    from semidbench.text.lsa import Lsa, training_texts
    from semidbench.text.sentence_model import SentenceEncoder
    from semidbench.text.stored_encoder import StoredEncoder

    section, threads = told["encoder"], told["threads"]
    folder, dimension = section["folder"] and Path(section["folder"]), section["dimension"]
    if section["sentence_model"]:
        compute = SentenceEncoder(folder, threads, told["device"]).encode
    else:
        compute = Lsa(dimension, training_texts(train), threads).encode
    return StoredEncoder(dimension, folder, compute, section["fingerprint"], Path(section["store"]), progress)


def _named(work: dict[str, Any]) -> Any:
    from semidbench.isolation.work import Assignment, Embedding, Ranking
    from semidbench.methods.resolved import NamedMethod

    methods = {kind: NamedMethod(**work[kind]) for kind in _KINDS if work.get(kind)}
    if "embedder" in methods:
        return Embedding(methods["embedder"], {name: Path(stage) for name, stage in work["below"].items()})
    if "layout" in methods:
        stages = tuple(map(Path, work["embeddings"]))
        return Assignment(methods["layout"], methods.get("quantizer"), work["scheme"], stages)
    return Ranking(methods["ranker"])
