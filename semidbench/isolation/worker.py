"""The process of a plugin's part of a stage.

What its request does not name is not here: training data, earlier stages' outputs, the text encoder. Harness modules
that know of test data, and torch, are not imported.
"""

from __future__ import annotations

import faulthandler
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from semidbench.api import Task, TextEncoder
from semidbench.isolation.clocked_encoder import ClockedEncoder
from semidbench.isolation.limited_program import PluginProgram, memory_held, open_program
from semidbench.machine.channels import Send

if TYPE_CHECKING:
    from semidbench.isolation.work import PluginInputs, PluginWork

SCORES = "scores.npy"
_QUERIES, _HISTORIES = "queries.json", "histories.npz"
_REPORT_SECONDS = 0.1  # between two messages about progress
_WORD = 200  # characters of what progress is about


def main() -> None:
    """Do the plugin's part, report it, and answer until the requests end."""
    program = open_program()
    import semidbench.dataset.files  # noqa: F401  # before the limit holds, as all that reports a lack of memory
    from semidbench.isolation.work import from_json
    from semidbench.methods.failure import failure_of

    work, inputs = from_json(program.request)
    try:
        with memory_held(program.request["memory_mib"]):
            _work(work, inputs, program)
    except BaseException as error:  # sys.exit is one more way to fail
        failure = failure_of(work.who, error)
        program.send("plugin failed", failure.message, failure.trace)


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


def _work(work: PluginWork, inputs: PluginInputs, program: PluginProgram) -> None:
    from semidbench.dataset.files import load_train
    from semidbench.isolation.work import answer, perform
    from semidbench.machine.memory import peak_mib
    from semidbench.text.encoder import open_encoder
    from semidbench.text.lsa import training_texts

    train, progress, folder = load_train(inputs.train_folder), _throttled(program.send), program.folder
    encoder = _clocked(open_encoder(inputs.encoder, training_texts(train), progress), program)
    program.send("began")
    began = encoder.seconds()
    ranker = perform(work, inputs, train, encoder, progress, folder)
    seconds = encoder.seconds() - began
    program.send("done", seconds, peak_mib())
    while ranker is not None:
        task = program.requests.get()["ask"]
        began = encoder.seconds()
        scores = answer(work.who, ranker, task, load_questions(task, folder), train.n_items)
        np.save(folder / SCORES, scores, allow_pickle=False)
        seconds += encoder.seconds() - began
        program.send("done", seconds, peak_mib())


def _clocked(encoder: TextEncoder, program: PluginProgram) -> ClockedEncoder:
    """The encoder, whose time is not the plugin's: the limits on this process rest while it works."""

    def begin() -> None:
        faulthandler.cancel_dump_traceback_later()
        program.send("encoding")

    def end() -> None:
        program.end_in_time()
        program.send("encoded")

    return ClockedEncoder(encoder, begin, end)


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
