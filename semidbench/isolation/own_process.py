"""A plugin's part of a stage in a process of its own: started anew, held to its limits, and always ended.

It is given training data only, and is never forked from a process that held any other. Only a ranker is asked with
held-out queries, after it was fitted; their targets stay here. A crash, a hang, a lack of memory or a flood of output
is a `PluginFailure` of that stage, and ends nothing else.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from semidbench.api import Floats, Task
from semidbench.errors import one_line
from semidbench.isolation.output import FLOOD, CapturedOutput
from semidbench.isolation.work import OUTPUT, Assignment, PluginInputs, PluginWork, Ranking, as_json
from semidbench.isolation.worker import FOLDER_VARIABLE, REQUEST, SCORES, save_questions
from semidbench.machine import processes
from semidbench.machine.processes import MessageQueue, Program, RemoteError
from semidbench.methods.failure import PluginFailure
from semidbench.methods.traces import ask_where, printable, where_it_was
from semidbench.store.stages import Spent

if TYPE_CHECKING:
    from semidbench.isolation.limits import Limits
    from semidbench.text.stored_encoder import Progress

_WORKER = "semidbench.isolation.worker"
_TEMPORARY = "temporary"  # in the folder of a stage
_QUOTED = 200  # characters of what is no message
_STARTING = 600.0  # seconds that a process has for reading its data; its limit counts from then on


class _Stopped(Exception):
    """A stage came to a bad end; its process may still run. The arguments are the cause and where it was."""


@contextmanager
def in_own_process(
    work: PluginWork, inputs: PluginInputs, limits: Limits, progress: Progress
) -> Iterator[_PluginProcess]:
    """As `call_plugin`: the process lives as long as the block."""
    with tempfile.TemporaryDirectory(prefix="semidbench-") as name:
        folder, messages, captured = Path(name), MessageQueue(), CapturedOutput()
        request = {**as_json(work, inputs), "seconds": limits.seconds, "memory_mib": limits.memory_mib}
        (folder / REQUEST).write_text(json.dumps(request), "utf-8")
        variables = processes.environment(inputs.threads, {FOLDER_VARIABLE: name, **_temporary(folder)})
        try:
            with processes.started(_WORKER, [variables], messages, 0, captured.read_output) as programs:
                until = time.monotonic() + _STARTING
                plugin = _PluginProcess(work.who, folder, limits, progress, programs[0], messages, until, Spent(0, 0))
                plugin.wait()
                if not isinstance(work, Ranking) and not any(plugin.output.glob("*")):
                    raise _Stopped("failed: its process reported that it was done, but left no output", "")
                yield plugin
        except _Stopped as stopped:
            cause, where = stopped.args
            where = where or where_it_was(folder)
            message = cause if cause.startswith(_names(work)) else f"{work.who} {cause}"
            failure = PluginFailure(message, printable(where), captured.text())
            raise failure from (RemoteError(where) if where else None)
        finally:
            sys.stderr.write(captured.remark(work.who))


@dataclass(slots=True)
class _PluginProcess:
    """A `Called` at the other end of pipes and files."""

    who: str
    folder: Path
    limits: Limits
    progress: Progress
    program: Program
    messages: MessageQueue
    until: float
    taken: Spent
    began: bool = False
    paused: float | None = None  # since when, by `time.monotonic`, the limit rests

    @property
    def output(self) -> Path:
        return self.folder / OUTPUT

    def ask(self, task: Task, questions: Sequence[Any]) -> Floats:
        (self.folder / SCORES).unlink(missing_ok=True)
        save_questions(task, questions, self.folder)
        processes.send(self.program, {"ask": task})  # short: it fits into the pipe of a process that reads nothing
        self.wait()
        try:
            scores: Floats = np.load(self.folder / SCORES, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise _Stopped(f"failed: its scores cannot be read: {error}", "") from error
        return scores

    def spent(self) -> Spent:
        return self.taken

    def wait(self) -> None:
        """Until the process has done its last request."""
        while True:
            try:
                _, message = processes.next_message(self.messages, self.until if self.paused is None else None)
            except TimeoutError:
                ask_where(self.program.process.pid, self.folder)
                limit = f"{self.limits.seconds / 60:g} minutes"
                raise _Stopped(f"failed: it took longer than {limit} (--plugin-minutes)", "") from None
            match message:
                case ["began"]:
                    self.began, self.until = True, time.monotonic() + self.limits.seconds
                case ["encoding"]:
                    self.paused = time.monotonic()
                case ["encoded"] if self.paused is not None:
                    self.until, self.paused = self.until + time.monotonic() - self.paused, None
                case ["progress", str(what), int(done), int(total)]:
                    self.progress(one_line(what), done, total)
                case ["done", float(seconds), float(peak)] if _is_amount(seconds) and _is_amount(peak):
                    self.taken = Spent(seconds, peak)
                    return
                case _:
                    raise self._stopped(message)

    def _stopped(self, message: list[Any]) -> _Stopped:
        """The bad end that a message reports, or is."""
        match message:
            case ["plugin failed", str(failure), str(trace)]:
                may_lack = "MemoryError" in failure or not self.began
                return _Stopped(one_line(failure) + self._memory(may_lack), trace)
            case ["flooded"]:
                ask_where(self.program.process.pid, self.folder)
                return _Stopped(f"failed: it printed more than {FLOOD // 2**20} MiB", "")
            case ["ended"]:
                how = processes.how_ended(self.program)
                return _Stopped(f"failed: its process {how}{self._memory(not self.began)}", "")
            case ["broken", str(what)]:
                return _Stopped(f"failed: its process sent what is no message: {one_line(what)[:_QUOTED]}", "")
        return _Stopped(f"failed: its process sent an unknown message: {one_line(message)[:_QUOTED]}", "")

    def _memory(self, may_lack: bool) -> str:
        """Words about the limit, where it may be why."""
        limit = self.limits.memory_mib
        if limit is None or not may_lack:
            return ""
        return f"{'' if self.began else ' before it began'} (it may take {limit:,.0f} MiB: --plugin-memory)"


def _is_amount(number: float) -> bool:
    return math.isfinite(number) and number >= 0


def _temporary(folder: Path) -> dict[str, str]:
    """Variables that have a plugin's libraries put temporary files where they go with the stage."""
    temporary = folder / _TEMPORARY
    temporary.mkdir()
    return dict.fromkeys(("TMPDIR", "JOBLIB_TEMP_FOLDER"), str(temporary))


def _names(work: PluginWork) -> tuple[str, ...]:
    """Beginnings of a line that names itself which of the stage's methods failed."""
    methods = (work.layout, work.quantizer) if isinstance(work, Assignment) else ()
    return (f"{work.who} ", *(f"{method.who} " for method in methods if method))
