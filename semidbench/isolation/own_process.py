"""A plugin's part of a stage in a process of its own: new for each stage, held to its limits, and always ended.

It is given training data only, and is never forked from a process that held any other. Only a ranker is asked with
held-out queries, after it was fitted; their targets stay here. A crash, a hang, a lack of memory or a flood of output
is a `PluginFailure` of that stage, and ends nothing else.
"""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from semidbench.api import Floats, Task
from semidbench.errors import one_line
from semidbench.isolation.limited_process import LimitedProcess, Stopped, limited_process
from semidbench.isolation.output import CapturedOutput
from semidbench.isolation.questions import save_questions
from semidbench.isolation.work import OUTPUT, Assignment, PluginInputs, PluginWork, Ranking, as_json
from semidbench.isolation.worker import SCORES
from semidbench.machine import processes
from semidbench.machine.processes import RemoteError
from semidbench.methods.failure import PluginFailure
from semidbench.methods.traces import printable, where_it_was
from semidbench.store.stages import Spent

if TYPE_CHECKING:
    from semidbench.isolation.limits import Limits
    from semidbench.text.stored_encoder import Progress

_WORKER = "semidbench.isolation.worker"
_TEMPORARY = "temporary"  # in the folder of a stage
_QUOTED = 200  # characters of what is no message


class _Failed(Exception):
    """The plugin failed. The arguments are the cause, and where in its code; empty where that is not known."""


@contextmanager
def in_own_process(
    work: PluginWork, inputs: PluginInputs, limits: Limits, progress: Progress
) -> Iterator[_PluginProcess]:
    """As `call_plugin`: the process lives as long as the block."""
    with tempfile.TemporaryDirectory(prefix="semidbench-") as name:
        folder, captured = Path(name), CapturedOutput()
        variables, request = processes.environment(inputs.threads, _temporary(folder)), as_json(work, inputs)
        try:
            with limited_process(
                _WORKER, folder, request, variables, limits, progress, captured.read_output
            ) as process:
                plugin = _PluginProcess(process, Spent(0, 0))
                plugin.wait()
                if not isinstance(work, Ranking) and not any(plugin.output.glob("*")):
                    raise _Failed("failed: its process reported that it was done, but left no output", "")
                yield plugin
        except _Failed as failed:
            cause, where = failed.args
            where = where or where_it_was(folder)
            message = cause if cause.startswith(_names(work)) else f"{work.who} {cause}"
            failure = PluginFailure(message, printable(where), captured.text())
            raise failure from (RemoteError(where) if where else None)
        finally:
            sys.stderr.write(captured.remark(work.who))


@dataclass(slots=True)
class _PluginProcess:
    """A `Called` at the other end of pipes and files."""

    process: LimitedProcess
    taken: Spent

    @property
    def output(self) -> Path:
        return self.process.folder / OUTPUT

    def ask(self, task: Task, questions: Sequence[Any]) -> Floats:
        path = self.process.folder / SCORES
        path.unlink(missing_ok=True)
        save_questions(task, questions, self.process.folder)
        self.process.send({"ask": task})
        self.wait()
        try:
            scores: Floats = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise _Failed(f"failed: its scores cannot be read: {error}", "") from error
        return scores

    def spent(self) -> Spent:
        return self.taken

    def wait(self) -> None:
        """Until the process has done its last request."""
        try:
            result = self.process.next_result()
        except Stopped as stopped:
            raise _Failed(f"failed: {stopped}{self._hint(stopped)}", "") from None
        match result:
            case ["done", float(seconds), float(peak)] if _is_amount(seconds) and _is_amount(peak):
                self.taken = Spent(seconds, peak)
            case ["plugin failed", str(failure), str(trace)]:
                may_lack = "MemoryError" in failure or not self.process.began
                raise _Failed(one_line(failure) + self._memory(may_lack), trace)
            case _:
                raise _Failed(f"failed: its process sent an unknown message: {one_line(result)[:_QUOTED]}", "")

    def _hint(self, stopped: Stopped) -> str:
        """Which limit it was, or may have been."""
        if stopped.kind == "late":
            return " (--plugin-minutes)"
        return self._memory(stopped.kind == "ended" and not self.process.began)

    def _memory(self, may_lack: bool) -> str:
        """Words about the limit of memory, where it may be why."""
        limit = self.process.limits.memory_mib
        if limit is None or not may_lack:
            return ""
        return f"{'' if self.process.began else ' before it began'} (it may take {limit:,.0f} MiB: --plugin-memory)"


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
