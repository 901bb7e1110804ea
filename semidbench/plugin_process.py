"""A plugin's stage in a process of its own: started anew, told what to do, held to its limits, and always ended.

It is given training data only, never forked from a process that held any other. A ranker's alone is asked with
held-out queries, after it was fitted; their targets stay here. A crash, a hang, a lack of memory or a flood of output
is a `PluginFailure` of that stage, and ends nothing else.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from semidbench import programs
from semidbench.api import Floats, Task
from semidbench.plugin_call import Called, PluginFailure
from semidbench.plugin_output import FLOOD, Printed
from semidbench.plugin_stage import OUTPUT, Assignment, Embedding, Work
from semidbench.plugin_trace import plugin_dump
from semidbench.plugin_worker import DUMP, FOLDER_VARIABLE, ORDER, SCORES, save_questions
from semidbench.programs import Heard, Program, Told
from semidbench.store import Spent
from semidbench.track import SentenceModel

if TYPE_CHECKING:
    from semidbench.bench import Bench
    from semidbench.plugin_stage import NamedMethod
    from semidbench.resolve import ResolvedMethod

_STARTING = 600.0  # seconds that a process has for reading its data; its limit counts from then on
_DUMPING = 2.0  # seconds that a hanging process has to say where it is
_SETTLED = 0.05  # seconds without more of it
_DUMPED = 2**20  # bytes of it that are read


class _Stopped(Exception):
    """A stage came to a bad end; its process may still run. The arguments are the cause and where it was."""


@contextmanager
def in_own_process(bench: Bench, work: Work, seed: int) -> Iterator[Called]:
    """A `PluginCall`: the process lives as long as the block."""
    with tempfile.TemporaryDirectory(prefix="semidbench-") as name:
        folder, heard, printed = Path(name), Heard(), Printed()
        (folder / ORDER).write_text(json.dumps(_order(bench, work, seed)), "utf-8")
        variables = programs.environment(bench.track.threads, {FOLDER_VARIABLE: name})
        try:
            with programs.started("semidbench.plugin_worker", [variables], heard, 0, printed.overhear) as begun:
                until = time.monotonic() + _STARTING
                stage = _Process(bench, work.who, folder, begun[0], heard, until, Spent(0, 0))
                stage.wait()
                yield stage
        except _Stopped as stopped:
            cause, where = stopped.args
            where = where or plugin_dump(_dumped(folder))
            failure = PluginFailure(f"{work.who} {cause}", where, printed.text())
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

    @property
    def output(self) -> Path:
        return self.folder / OUTPUT

    def ask(self, task: Task, questions: Sequence[Any]) -> Floats:
        save_questions(task, questions, self.folder)
        programs.order(self.program, {"ask": task})  # short: it fits into the pipe of a process that reads nothing
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
                _, message = programs.next_message(self.heard, self.until)
            except TimeoutError:
                _ask_where(self.program, self.folder)
                limit = f"{self.bench.limits.seconds / 60:g} minutes"
                raise _Stopped(f"failed: it took longer than {limit} (--plugin-minutes)", "") from None
            match message:
                case ["began"]:
                    self.until = time.monotonic() + self.bench.limits.seconds
                case ["progress", str(what), int(done), int(total)]:
                    self.bench.progress(what, done, total)
                case ["done", float(seconds), float(peak)]:
                    self.taken = Spent(seconds, peak)
                    return
                case ["plugin failed", str(told), str(trace)]:
                    raise _Stopped(_said_once(told, self.who) + self._memory(told), trace)
                case ["flooded"]:
                    _ask_where(self.program, self.folder)
                    raise _Stopped(f"failed: it printed more than {FLOOD // 2**20} MiB", "")
                case ["ended"]:
                    raise _Stopped(f"failed: its process {programs.how_ended(self.program)}", "")
                case _:
                    raise _Stopped(f"failed: its process said what is no message: {str(message)[:200]}", "")

    def _memory(self, told: str) -> str:
        held = self.bench.limits.memory_mib
        return f" (it may take {held:,.0f} MiB: --plugin-memory)" if "MemoryError" in told and held else ""


def _said_once(told: str, who: str) -> str:
    """The message behind "who "."""
    return told.removeprefix(f"{who} ")


def _ask_where(program: Program, folder: Path) -> None:
    """Have faulthandler write where the process is; it answers even while its own code does not."""
    with suppress(ProcessLookupError):
        os.kill(program.process.pid, signal.SIGUSR1)
    until, size, since = time.monotonic() + _DUMPING, 0, time.monotonic()
    while time.monotonic() < until and not (size and time.monotonic() - since > _SETTLED):
        time.sleep(_SETTLED / 5)
        found = len(_dumped(folder))
        if found != size:
            size, since = found, time.monotonic()


def _dumped(folder: Path) -> str:
    try:
        with (folder / DUMP).open("rb") as file:
            return file.read(_DUMPED).decode("utf-8", "replace")
    except OSError:
        return ""


def _order(bench: Bench, work: Work, seed: int) -> dict[str, Any]:
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


def _work(work: Work) -> dict[str, Any]:
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
