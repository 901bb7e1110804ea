"""A program in which a plugin's code runs: its request, and its limits. `limited_process` is the harness's side."""

from __future__ import annotations

import faulthandler
import json
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from semidbench.isolation.limits import end_first, hold_memory, release_memory
from semidbench.machine.channels import Requests, Send, channels
from semidbench.methods.traces import dump_to

FOLDER_VARIABLE = "SEMIDBENCH_PLUGIN_FOLDER"
REQUEST = "request.json"
_BEYOND = 900.0  # seconds beyond its limit after which a process ends itself


@dataclass(frozen=True, slots=True)
class PluginProgram:
    """This program.

    Attributes:
        folder: its own; it goes with the process.
        request: what it is to do, and its limits.
        requests: what it is asked later.
        send: reports to the harness.
        dump: where it writes its position when it crashes or is asked for it.
    """

    folder: Path
    request: dict[str, Any]
    requests: Requests
    send: Send
    dump: IO[str]

    def end_in_time(self) -> None:
        """Have this process end itself, should nobody be left to end it."""
        faulthandler.dump_traceback_later(self.request["seconds"] + _BEYOND, exit=True, file=self.dump)


def open_program() -> PluginProgram:
    """Read the request from the folder that the environment names."""
    folder = Path(os.environ.pop(FOLDER_VARIABLE))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one decides
    requests, send = channels(lambda: _abandon(folder))
    request = json.loads((folder / REQUEST).read_text("utf-8"))
    program = PluginProgram(folder, request, requests, send, dump_to(folder))
    program.end_in_time()
    return program


@contextmanager
def memory_held(mib: float | None) -> Iterator[None]:
    """Hold this process to that much memory; an error of the block lifts the limit, for reporting it takes some."""
    end_first()
    if mib is not None:
        hold_memory(mib)
    try:
        yield
    except BaseException:
        if mib is not None:
            release_memory()
        raise


def _abandon(folder: Path) -> None:
    """The process that started this one is gone."""
    shutil.rmtree(folder, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)
