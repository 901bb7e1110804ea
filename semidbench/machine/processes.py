"""Programs of our own that work beside this one: the parent's side of the pipes; `channels` is the program's.

They are new processes and no children of multiprocessing, which would run the user's script once more in each. A
line of JSON is a request to a program or a message from it; what its libraries print goes to stderr. However the work
ends, no program outlives it; if the parent is killed, a program notices that its requests end.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from queue import Empty, Queue
from typing import IO, Any

from semidbench.errors import UserError
from semidbench.machine.device import thread_variables

# With -P, for a json.py in the user's folder is none of ours.
_START = (
    "-P",
    "-c",
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from importlib import import_module; import_module(sys.argv[2]).main()",
)
_PARENT_MESSAGES = ("output", "ended", "flooded")  # what this side puts among the messages itself
PIECE = 2**13  # characters of a line without end that are passed on at a time
_MESSAGE = 2**22  # characters of a message at most
_LAST_OUTPUT = 1.0  # seconds to wait for the output of an ended program; a child of its own may hold it open

MessageQueue = Queue[tuple[int, list[Any]]]  # a program's place, and its message
ReadOutput = Callable[[IO[str], int, MessageQueue], None]  # reads a program's other output until it ends


@dataclass(frozen=True, slots=True)
class Program:
    """A running program.

    Attributes:
        place: among those started with it.
        readers: of its messages and of its other output.
    """

    process: subprocess.Popen[str]
    place: int
    readers: tuple[threading.Thread, threading.Thread]


class RemoteError(Exception):
    """An error of a program, as text."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


def environment(threads: int, extra: Mapping[str, str]) -> dict[str, str]:
    """This process's variables for a program that is held to that many threads before any library is loaded."""
    return {**os.environ, **thread_variables(threads), "RAYON_NUM_THREADS": str(threads), **extra}


def forward_output(source: IO[str], place: int, messages: MessageQueue) -> None:
    """Have all of a program's output passed on, by lines, and by pieces where these are long."""
    while piece := source.readline(PIECE):
        messages.put((place, ["output", piece]))


@contextmanager
def started(
    module: str,
    environments: Sequence[Mapping[str, str]],
    messages: MessageQueue,
    grace: float,
    read_output: ReadOutput = forward_output,
) -> Iterator[tuple[Program, ...]]:
    """The module's `main`, as a program for each environment; at the end, whatever it is, none is left.

    Args:
        messages: gets the programs' messages; ["output", piece] for other output; ["ended"] last, once from each.
        grace: seconds that a program has for cleaning up after SIGTERM; 0 kills at once.
        read_output: reads the other output, in a thread of its own, and puts what is to be passed on into `messages`.
    """
    programs: list[Program] = []
    try:
        for place, variables in enumerate(environments):
            programs.append(_start(module, variables, place, messages, read_output))
        yield tuple(programs)
    finally:
        _end(programs, grace)
        drain(messages)


def send(program: Program, value: Mapping[str, Any]) -> None:
    """Send a program a JSON object."""
    assert program.process.stdin is not None
    with suppress(OSError):  # it is gone; its ["ended"] is among the messages
        program.process.stdin.write(json.dumps(value) + "\n")
        program.process.stdin.flush()


def next_message(messages: MessageQueue, until: float | None = None) -> tuple[int, list[Any]]:
    """The next message and its program's place. Other output that comes before it is passed on.

    Args:
        until: by `time.monotonic`, when to give up; None waits for ever.

    Raises:
        TimeoutError: none came by then.
    """
    while True:
        left = None if until is None else until - time.monotonic()
        try:
            if left is not None and left <= 0:
                raise Empty
            place, message = messages.get(timeout=left)
        except Empty:
            raise TimeoutError from None
        if message[0] != "output":
            return place, message
        sys.stderr.write(message[1])


def drain(messages: MessageQueue) -> None:
    """Forward the output that has come so far; messages are dropped."""
    with suppress(Empty):
        while True:
            match messages.get_nowait():
                case _, ["output", line]:
                    sys.stderr.write(line)


def raise_reported(message: list[Any], where: str) -> None:
    """Raise the error that a message reports, if it reports one.

    Raises:
        UserError: as the program raised it.
        RuntimeError: any other error; its cause is a `RemoteError`.
    """
    match message:
        case ["failed", text, trace]:
            raise UserError(text) from (RemoteError(trace) if trace else None)
        case ["broken", trace]:
            raise RuntimeError(f"{where} broke off") from RemoteError(trace)


def how_ended(program: Program) -> str:
    """What became of a program's process, behind "its process"."""
    code = program.process.wait()
    if code >= 0:
        return f"left with exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    return f"was ended by {name}{', as the system does when memory runs out' * (name == 'SIGKILL')}"


def _start(
    module: str, variables: Mapping[str, str], place: int, messages: MessageQueue, read_output: ReadOutput
) -> Program:
    """In a session of its own: an interrupt at the terminal is for this process to deal with."""
    process = subprocess.Popen(
        [sys.executable, *_START, json.dumps(sys.path), module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        env=dict(variables),
        start_new_session=True,
    )
    readers = (
        threading.Thread(target=_listen, args=(process.stdout, place, messages), daemon=True),
        threading.Thread(target=read_output, args=(process.stderr, place, messages), daemon=True),
    )
    program = Program(process, place, readers)
    for thread in (*readers, threading.Thread(target=_watch, args=(program, messages), daemon=True)):
        thread.start()
    return program


def _listen(source: IO[str], place: int, messages: MessageQueue) -> None:
    while line := source.readline(_MESSAGE):
        message = _message(line)
        messages.put((place, message or ["broken", f"this is no message: {line[:PIECE]}"]))
        if message is None and len(line) == _MESSAGE:  # and who knows what follows
            return


def _message(line: str) -> list[Any] | None:
    """A JSON list that begins with what it is about; None for anything else that a program may write."""
    try:
        match json.loads(line):
            case [str(about), *rest] if about not in _PARENT_MESSAGES:
                return [about, *rest]
    except (ValueError, RecursionError):
        pass
    return None


def _watch(program: Program, messages: MessageQueue) -> None:
    """Report a program's end, after all its other messages."""
    program.process.wait()
    _finish_reading(program)
    messages.put((program.place, ["ended"]))


def _finish_reading(program: Program) -> None:
    until = time.monotonic() + _LAST_OUTPUT
    for reader in program.readers:
        reader.join(max(0.0, until - time.monotonic()))


def _end(programs: Sequence[Program], grace: float) -> None:
    """End the programs and what they started themselves."""
    until = time.monotonic() + grace
    if grace > 0:
        for program in programs:
            program.process.terminate()
        for program in programs:
            with suppress(subprocess.TimeoutExpired):
                program.process.wait(max(0.0, until - time.monotonic()))
    for program in programs:
        with suppress(ProcessLookupError, PermissionError):  # nothing is left, or only what is not reaped yet
            os.killpg(program.process.pid, signal.SIGKILL)
    for program in programs:
        program.process.wait()
        _close(program)


def _close(program: Program) -> None:
    assert program.process.stdin is not None
    with suppress(OSError):  # a request that was never read
        program.process.stdin.close()
    _finish_reading(program)
    for pipe, reader in zip((program.process.stdout, program.process.stderr), program.readers, strict=True):
        if pipe is not None and not reader.is_alive():  # closing waits for a read that is under way
            pipe.close()
