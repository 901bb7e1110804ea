"""A plugin's stage in a process of its own: started anew, told what to do, held to its limits, and always ended.

It is given training data only, never forked from a process that held any other. A ranker's alone is asked with
held-out queries, after it was fitted; their targets stay here. A crash, a hang, a lack of memory or a flood of output
is a `PluginFailure` of that stage, and ends nothing else.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from semidbench.api import Floats, Task
from semidbench.errors import one_line
from semidbench.isolation.call import Called
from semidbench.isolation.output import FLOOD, Printed
from semidbench.isolation.work import OUTPUT, Assignment, Embedding, PluginWork, Ranking
from semidbench.isolation.worker import FOLDER_VARIABLE, ORDER, SCORES, save_questions
from semidbench.machine import processes
from semidbench.machine.processes import Heard, Program, Told
from semidbench.methods.failure import PluginFailure
from semidbench.methods.traces import ask_where, printable, where_it_was
from semidbench.store.stages import Spent
from semidbench.tracks.track import SentenceModel

if TYPE_CHECKING:
    from semidbench.methods.resolved import NamedMethod, ResolvedMethod
    from semidbench.runs.session import Bench

_TEMPORARY = "temporary"  # in the folder of a stage
_QUOTED = 200  # characters of what is no message
_STARTING = 600.0  # seconds that a process has for reading its data; its limit counts from then on


class _Stopped(Exception):
    """A stage came to a bad end; its process may still run. The arguments are the cause and where it was."""


@contextmanager
def in_own_process(bench: Bench, work: PluginWork, seed: int) -> Iterator[Called]:
    """A `PluginCall`: the process lives as long as the block."""
    with tempfile.TemporaryDirectory(prefix="semidbench-") as name:
        folder, heard, printed = Path(name), Heard(), Printed()
        (folder / ORDER).write_text(json.dumps(_order(bench, work, seed)), "utf-8")
        variables = processes.environment(bench.track.threads, {FOLDER_VARIABLE: name, **_temporary(folder)})
        try:
            with processes.started("semidbench.isolation.worker", [variables], heard, 0, printed.overhear) as begun:
                until = time.monotonic() + _STARTING
                stage = _Process(bench, work.who, folder, begun[0], heard, until, Spent(0, 0))
                stage.wait()
                if not isinstance(work, Ranking) and not any(stage.output.glob("*")):
                    raise _Stopped("failed: its process said that it was done, but left no output", "")
                yield stage
        except _Stopped as stopped:
            cause, where = stopped.args
            where = where or where_it_was(folder)
            told = cause if cause.startswith(_names(work)) else f"{work.who} {cause}"
            failure = PluginFailure(told, printable(where), printed.text())
            raise failure from (Told(where) if where else None)
        finally:
            sys.stderr.write(printed.remark(work.who))


@dataclass(slots=True)
class _Process:
    """A `Called` at the other end of pipes and files."""

    bench: Bench
    who: str
    folder: Path
    program: Program
    heard: Heard
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
        processes.order(self.program, {"ask": task})  # short: it fits into the pipe of a process that reads nothing
        self.wait()
        try:
            scores: Floats = np.load(self.folder / SCORES, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise _Stopped(f"failed: its scores cannot be read: {error}", "") from error
        return scores

    def spent(self) -> Spent:
        return self.taken

    def wait(self) -> None:
        """Until the process is done with what it was told last."""
        while True:
            try:
                _, message = processes.next_message(self.heard, self.until if self.paused is None else None)
            except TimeoutError:
                ask_where(self.program.process.pid, self.folder)
                limit = f"{self.bench.limits.seconds / 60:g} minutes"
                raise _Stopped(f"failed: it took longer than {limit} (--plugin-minutes)", "") from None
            match message:
                case ["began"]:
                    self.began, self.until = True, time.monotonic() + self.bench.limits.seconds
                case ["encoding"]:
                    self.paused = time.monotonic()
                case ["encoded"] if self.paused is not None:
                    self.until, self.paused = self.until + time.monotonic() - self.paused, None
                case ["progress", str(what), int(done), int(total)]:
                    self.bench.progress(one_line(what), done, total)
                case ["done", float(seconds), float(peak)] if _is_amount(seconds) and _is_amount(peak):
                    self.taken = Spent(seconds, peak)
                    return
                case _:
                    raise self._stopped(message)

    def _stopped(self, message: list[Any]) -> _Stopped:
        """The end that a message tells of, or is."""
        match message:
            case ["plugin failed", str(told), str(trace)]:
                may_lack = "MemoryError" in told or not self.began
                return _Stopped(one_line(told) + self._memory(may_lack), trace)
            case ["flooded"]:
                ask_where(self.program.process.pid, self.folder)
                return _Stopped(f"failed: it printed more than {FLOOD // 2**20} MiB", "")
            case ["ended"]:
                how = processes.how_ended(self.program)
                return _Stopped(f"failed: its process {how}{self._memory(not self.began)}", "")
            case ["broken", str(what)]:
                return _Stopped(f"failed: its process was not understood: {one_line(what)[:_QUOTED]}", "")
        return _Stopped(f"failed: its process said what is no message: {one_line(message)[:_QUOTED]}", "")

    def _memory(self, may_lack: bool) -> str:
        """Words about the limit, where it may be why."""
        held = self.bench.limits.memory_mib
        if held is None or not may_lack:
            return ""
        return f"{'' if self.began else ' before it began'} (it may take {held:,.0f} MiB: --plugin-memory)"


def _is_amount(number: float) -> bool:
    return math.isfinite(number) and number >= 0


def _temporary(folder: Path) -> dict[str, str]:
    """Variables that have a plugin's libraries put temporary files where they go with the stage."""
    temporary = folder / _TEMPORARY
    temporary.mkdir()
    return dict.fromkeys(("TMPDIR", "JOBLIB_TEMP_FOLDER"), str(temporary))


def _names(work: PluginWork) -> tuple[str, ...]:
    """What a line begins with that says itself which of the stage's methods failed."""
    methods = (work.layout, work.quantizer) if isinstance(work, Assignment) else ()
    return (f"{work.who} ", *(f"{method.who} " for method in methods if method))


def _order(bench: Bench, work: PluginWork, seed: int) -> dict[str, Any]:
    """All that the process is told. Of the dataset it names the training data's folder alone."""
    section, memory = bench.track.text_encoder, bench.limits.memory_mib
    return {
        "work": _work(work),
        "train": str(bench.train_folder.absolute()),
        "encoder": {
            "sentence_model": isinstance(section, SentenceModel),
            "dimension": bench.encoder.dimension,
            "folder": None if bench.encoder.folder is None else str(bench.encoder.folder.absolute()),
            "fingerprint": bench.encoder.fingerprint,
            "store": str(bench.encoder.store.absolute()),
        },
        "seed": seed,
        "device": bench.device,
        "threads": bench.track.threads,
        "codebook_sizes": bench.track.ids.codebook_sizes,
        "seconds": bench.limits.seconds,
        "memory_mib": memory,
    }


def _work(work: PluginWork) -> dict[str, Any]:
    match work:
        case Embedding(embedder, below):
            stages = {name: str(stage.absolute()) for name, stage in below.items()}
            return {"embedder": _method(embedder), "below": stages}
        case Assignment(layout, quantizer, scheme, embeddings):
            return {
                "layout": _method(layout),
                "quantizer": _method(quantizer) if quantizer else None,
                "scheme": scheme,
                "embeddings": [str(stage.absolute()) for stage in embeddings],
            }
    return {"ranker": _method(work.ranker)}


def _method(method: ResolvedMethod | NamedMethod) -> Mapping[str, Any]:
    return {"who": method.who, "reference": method.reference, "options": method.options}
