"""A process in which a plugin's code runs: new for each job, held to its limits of time and output, and always ended.

This is the harness's side; `limited_program` is the other. Memory is limited there.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from semidbench.errors import one_line
from semidbench.isolation.limited_program import FOLDER_VARIABLE, REQUEST
from semidbench.isolation.output import FLOOD
from semidbench.machine import processes
from semidbench.machine.processes import MessageQueue, Program, ReadOutput
from semidbench.methods.traces import ask_where

if TYPE_CHECKING:
    from semidbench.isolation.limits import Limits
    from semidbench.text.stored_encoder import Progress

_QUOTED = 200  # characters of what is no message
_STARTING = 600.0  # seconds that a process has before it begins; its limit counts from then on


class Stopped(Exception):
    """A process came to a bad end, or must be ended.

    Attributes:
        kind: "late", "flooded", "ended" by itself or the system, or "broken": not understood.
    The text is the cause, as a sentence.
    """

    def __init__(self, kind: Literal["late", "flooded", "ended", "broken"], cause: str) -> None:
        super().__init__(cause)
        self.kind = kind


@dataclass(slots=True)
class LimitedProcess:
    """A running process and its limits.

    Attributes:
        until: when its time is over, by `time.monotonic`.
        began: whether it has reported that it began.
        paused: since when its limit rests; None where it does not.
    """

    folder: Path
    limits: Limits
    progress: Progress
    program: Program
    messages: MessageQueue
    until: float
    began: bool = False
    paused: float | None = None

    def send(self, request: Mapping[str, Any]) -> None:
        """Ask for more; short, for it must fit into the pipe of a process that reads nothing."""
        processes.send(self.program, request)

    def next_result(self) -> list[Any]:
        """Its next message that is more than a sign of life.

        Raises:
            Stopped: it ended, printed too much or took too long, or what it sent is no message.
        """
        while True:
            try:
                _, message = processes.next_message(self.messages, self.until if self.paused is None else None)
            except TimeoutError:
                ask_where(self.program.process.pid, self.folder)
                raise Stopped("late", f"it took longer than {self.limits.seconds / 60:g} minutes") from None
            match message:
                case ["began"]:
                    self.began, self.until = True, time.monotonic() + self.limits.seconds
                case ["encoding"]:
                    self.paused = time.monotonic()
                case ["encoded"] if self.paused is not None:
                    self.until, self.paused = self.until + time.monotonic() - self.paused, None
                case ["progress", str(what), int(done), int(total)]:
                    self.progress(one_line(what), done, total)
                case ["flooded"]:
                    ask_where(self.program.process.pid, self.folder)
                    raise Stopped("flooded", f"it printed more than {FLOOD // 2**20} MiB")
                case ["ended"]:
                    raise Stopped("ended", f"its process {processes.how_ended(self.program)}")
                case ["broken", str(what)]:
                    raise Stopped("broken", f"its process was not understood: {one_line(what)[:_QUOTED]}")
                case _:
                    return message


@contextmanager
def limited_process(
    module: str,
    folder: Path,
    request: Mapping[str, Any],
    variables: Mapping[str, str],
    limits: Limits,
    progress: Progress,
    read_output: ReadOutput,
) -> Iterator[LimitedProcess]:
    """The module's `main` as a process; at the end of the block it is killed.

    Args:
        folder: of the process; the request is written there.
        request: JSON values, what `open_program` reads.
        variables: its environment.
        progress: called with the progress that it reports.
        read_output: what a `CapturedOutput` does with what it prints.
    """
    about = {**request, "seconds": limits.seconds, "memory_mib": limits.memory_mib}
    (folder / REQUEST).write_text(json.dumps(about), "utf-8")
    messages, until = MessageQueue(), time.monotonic() + _STARTING
    own = {**variables, FOLDER_VARIABLE: str(folder)}
    with processes.started(module, [own], messages, 0, read_output) as programs:
        yield LimitedProcess(folder, limits, progress, programs[0], messages, until)
