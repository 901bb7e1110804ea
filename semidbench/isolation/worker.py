"""The process of a plugin's part of a stage: it reads its request from the folder that the environment names.

What the request does not name is not here: training data, earlier stages' outputs, the text encoder. Harness modules
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
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from semidbench.api import Task, TextEncoder
from semidbench.isolation.clocked_encoder import ClockedEncoder
from semidbench.machine.channels import Send, channels
from semidbench.methods.traces import dump_to

if TYPE_CHECKING:
    from semidbench.isolation.work import PluginInputs, PluginWork

FOLDER_VARIABLE = "SEMIDBENCH_STAGE_FOLDER"
REQUEST, SCORES = "request.json", "scores.npy"
_QUERIES, _HISTORIES = "queries.json", "histories.npz"
_REPORT_SECONDS = 0.1  # between two messages about progress
_WORD = 200  # characters of what progress is about
_BEYOND = 900.0  # seconds behind its limit after which a process ends itself


def main() -> None:
    """Do the plugin's part, report it, and answer until the requests end."""
    folder = Path(os.environ.pop(FOLDER_VARIABLE))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one decides
    requests, send = channels(lambda: _abandon(folder))
    request = json.loads((folder / REQUEST).read_text("utf-8"))
    dump = dump_to(folder)
    _end_in_time(request["seconds"], dump)
    # All that reports a lack of memory is imported before the limit holds.
    import semidbench.dataset.files  # noqa: F401
    from semidbench.isolation.limits import end_first, hold_memory, release_memory
    from semidbench.isolation.work import from_json
    from semidbench.methods.failure import failure_of

    work, inputs = from_json(request)
    end_first()
    if request["memory_mib"] is not None:
        hold_memory(request["memory_mib"])
    try:
        _work(work, inputs, request["seconds"], folder, dump, requests.get, send)
    except BaseException as error:  # sys.exit is one more way to fail
        if request["memory_mib"] is not None:
            release_memory()
        failure = failure_of(work.who, error)
        send("plugin failed", failure.message, failure.trace)


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
    work: PluginWork,
    inputs: PluginInputs,
    limit: float,
    folder: Path,
    dump: IO[str],
    next_request: Callable[[], dict[str, Any]],
    send: Send,
) -> None:
    from semidbench.dataset.files import load_train
    from semidbench.isolation.work import answer, perform
    from semidbench.machine.memory import peak_mib
    from semidbench.text.encoder import open_encoder
    from semidbench.text.lsa import training_texts

    train, progress = load_train(inputs.train_folder), _throttled(send)
    encoder = _clocked(open_encoder(inputs.encoder, training_texts(train), progress), limit, dump, send)
    send("began")
    began = encoder.seconds()
    ranker = perform(work, inputs, train, encoder, progress, folder)
    seconds = encoder.seconds() - began
    send("done", seconds, peak_mib())
    while ranker is not None:
        task = next_request()["ask"]
        began = encoder.seconds()
        scores = answer(work.who, ranker, task, load_questions(task, folder), train.n_items)
        np.save(folder / SCORES, scores, allow_pickle=False)
        seconds += encoder.seconds() - began
        send("done", seconds, peak_mib())


def _end_in_time(seconds: float, dump: IO[str]) -> None:
    """If nobody is left to end this process."""
    faulthandler.dump_traceback_later(seconds + _BEYOND, exit=True, file=dump)


def _clocked(encoder: TextEncoder, seconds: float, dump: IO[str], send: Send) -> ClockedEncoder:
    """The encoder, whose time is not the plugin's: the limits on this process rest while it works."""

    def begin() -> None:
        faulthandler.cancel_dump_traceback_later()
        send("encoding")

    def end() -> None:
        _end_in_time(seconds, dump)
        send("encoded")

    return ClockedEncoder(encoder, begin, end)


def _abandon(folder: Path) -> None:
    """The process that started this one is gone."""
    shutil.rmtree(folder, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


def _throttled(send: Send) -> Callable[[str, int, int], None]:
    """Progress as messages that are few and short, whatever a plugin says."""
    last = -_REPORT_SECONDS

    def progress(what: str, done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _REPORT_SECONDS:
            last = now
            send("progress", str(what)[:_WORD], int(done), int(total))

    return progress
