"""The process of a plugin's part of a stage.

It holds only what its request names: training data, earlier stages' outputs, the text encoder. torch is not imported
before a plugin asks for it.
"""

from __future__ import annotations

import faulthandler
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from semidbench.api import TextEncoder
from semidbench.isolation.clocked_encoder import ClockedEncoder
from semidbench.isolation.limited_program import PluginProgram, memory_held, open_program
from semidbench.isolation.questions import load_questions
from semidbench.machine.channels import Send

if TYPE_CHECKING:
    from semidbench.isolation.work import PluginInputs, PluginWork

SCORES = "scores.npy"
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


def _work(work: PluginWork, inputs: PluginInputs, program: PluginProgram) -> None:
    from semidbench.isolation.work import answer, open_inputs, perform
    from semidbench.machine.memory import peak_mib

    progress, folder = _throttled(program.send), program.folder
    train, opened = open_inputs(inputs, progress)
    encoder = _clocked(opened, program)
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
