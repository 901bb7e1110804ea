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
from typing import Any

import numpy as np

from semidbench.api import Task
from semidbench.programs import Tell, channels

FOLDER_VARIABLE = "SEMIDBENCH_STAGE_FOLDER"
ORDER, DUMP, SCORES = "order.json", "dump.txt", "scores.npy"
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
    _hold(told, folder)
    try:
        _work(told, folder, orders.get, tell)
    except BaseException as error:  # sys.exit is one more way to fail
        from semidbench.plugin_call import failure_of

        failure = failure_of(_named(told["work"]).who, error)
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


def _work(told: dict[str, Any], folder: Path, next_order: Callable[[], dict[str, Any]], tell: Tell) -> None:
    from semidbench.dataset.files import load_train
    from semidbench.plugin_stage import Handed, answer, perform
    from semidbench.store import peak_mib

    train, progress = load_train(Path(told["train"])), _throttled(tell)
    handed = Handed(
        train=train,
        text_encoder=_encoder(told, train, progress),
        seed=told["seed"],
        device=told["device"],
        threads=told["threads"],
        codebook_sizes=tuple(told["codebook_sizes"]),
        progress=progress,
    )
    work = _named(told["work"])
    tell("began")
    began = time.perf_counter()
    ranker = perform(work, handed, folder)
    seconds = time.perf_counter() - began
    tell("done", seconds, peak_mib())
    while ranker is not None:
        task = next_order()["ask"]
        began = time.perf_counter()
        scores = answer(work.who, ranker, task, load_questions(task, folder), train.n_items)
        np.save(folder / SCORES, scores, allow_pickle=False)
        seconds += time.perf_counter() - began
        tell("done", seconds, peak_mib())


def _hold(told: dict[str, Any], folder: Path) -> None:
    """Limits, and a file that says where this process is when it crashes or hangs."""
    from semidbench.plugin_limits import hold_memory, leave_no_core

    dump = (folder / DUMP).open("w")  # stays open: faulthandler writes to its descriptor
    faulthandler.enable(dump)
    faulthandler.register(signal.SIGUSR1, dump)
    faulthandler.dump_traceback_later(told["seconds"] + _BEYOND, exit=True, file=dump)  # if nobody is left to end it
    leave_no_core()
    if told["memory_mib"] is not None:
        hold_memory(told["memory_mib"])


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
    from semidbench.encodings import StoredEncoder
    from semidbench.lsa import Lsa
    from semidbench.sentence_model import SentenceEncoder

    section, threads = told["encoder"], told["threads"]
    folder, dimension = section["folder"] and Path(section["folder"]), section["dimension"]
    if section["sentence_model"]:
        compute = SentenceEncoder(folder, threads, told["device"]).encode
    else:
        compute = Lsa(dimension, (*train.catalogue.texts, *train.queries.texts), threads).encode
    return StoredEncoder(dimension, folder, compute, section["fingerprint"], Path(section["store"]), progress)


def _named(work: dict[str, Any]) -> Any:
    from semidbench.plugin_stage import Assignment, Embedding, NamedMethod, Ranking

    methods = {kind: NamedMethod(**work[kind]) for kind in _KINDS if work.get(kind)}
    if "embedder" in methods:
        return Embedding(methods["embedder"], {name: Path(stage) for name, stage in work["below"].items()})
    if "layout" in methods:
        stages = tuple(map(Path, work["embeddings"]))
        return Assignment(methods["layout"], methods.get("quantizer"), work["scheme"], stages)
    return Ranking(methods["ranker"])
