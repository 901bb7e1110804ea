"""A plugin for tests of processes: a layout, and an embedder, that do what their option says."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import semidbench
from semidbench.api import Context, ItemIds, NewQuantizer, Task, TrainData, Views

if TYPE_CHECKING:
    import pytest  # a plugin's process has no use for it


def install(folder: Path, patch: pytest.MonkeyPatch) -> Path:
    """Make the plugin findable here and in processes started from here; gives the folder in which it leaves marks."""
    from tests.sites import add_plugin, use  # not for the plugin, which this file is, too

    site, marks = folder / "site", folder / "marks"
    add_plugin(site, "trap-plugin", "trap_plugin", Path(__file__).read_text("utf-8"))
    marks.mkdir()
    patch.setenv("TRAP_MARKS", str(marks))
    use(site, patch)
    return marks


@semidbench.hookimpl
def semidbench_register_layouts(register: semidbench.Register) -> None:
    register("trap", Trap)


@semidbench.hookimpl
def semidbench_register_embedders(register: semidbench.Register) -> None:
    register("trap", TrapEmbedder)


def do(deed: str, context: Context) -> None:
    """What the option says."""
    marks = Path(os.environ["TRAP_MARKS"])
    (marks / f"{deed}-scratch").write_text(str(context.scratch))
    match deed:
        case "hang":
            (marks / "pid.part").write_text(str(os.getpid()))
            (marks / "pid.part").rename(marks / "pid")
            while True:
                time.sleep(0.01)
        case "raise":
            raise ValueError("caught")
        case "exit":
            sys.exit("enough")
        case "leave":
            os._exit(3)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "crash":
            ctypes.string_at(0)
        case "memory":
            np.zeros(2**33, np.uint8)
        case "lines":
            while True:
                print("all work and no play " * 40)
        case "flood":
            while True:
                sys.stdout.write("x" * 2**16)
        case "no message" | "forged end" | "nothing done":
            pipe = next(fd for fd in range(3, 20) if _is_pipe_to_harness(fd))
            said = {"no message": b"5\n", "forged end": b'["done", NaN, -5.0]\n'}
            os.write(pipe, said.get(deed, b'["done", 1.0, 1.0]\n'))
            while True:
                time.sleep(0.01)
        case "unspeakable":
            raise Unspeakable
        case "escape":
            print("\x1b[2J\x07")
            raise ValueError("\x1b[31mred")
        case "temporary":
            (marks / "temporary").write_text(tempfile.mkdtemp())
            (marks / "oom").write_text(Path("/proc/self/oom_score_adj").read_text())
        case "encode":
            began = time.perf_counter()
            context.text_encoder.encode(["a text that nobody else encodes"])
            (marks / "encoded").write_text(str(time.perf_counter() - began))
        case "child":
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
            (marks / "child").write_text(str(child.pid))
            raise ValueError("with a child")


def _is_pipe_to_harness(descriptor: int) -> bool:
    """What this process can write to and the harness reads messages from."""
    try:
        status = os.fstat(descriptor)
        flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    except OSError:
        return False
    return stat.S_ISFIFO(status.st_mode) and flags & os.O_ACCMODE == os.O_WRONLY


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class Trap:
    """IDs of one token; before that, the deed."""

    uses_embedder = False
    uses_quantizer = False

    def __init__(self, deed: str = "none") -> None:
        self.deed = deed

    def assign(
        self, train: TrainData, views: Views, new_quantizer: NewQuantizer, context: Context
    ) -> Mapping[Task, ItemIds]:
        print(f"the trap is shut: {self.deed}")
        do(self.deed, context)
        codes = np.arange(train.n_items)[:, None]
        ids = ItemIds(codes + (self.deed == "breach"), ("item",), (train.n_items,))
        return {"search": ids, "rec": ids}


class TrapEmbedder:
    """A view of few dimensions; before that, the deed."""

    def __init__(self, deed: str = "none") -> None:
        self.deed = deed

    def embed(self, train: TrainData, context: Context) -> Views:
        marks = Path(os.environ["TRAP_MARKS"])
        with (marks / "embedded").open("a") as file:
            file.write(f"{self.deed} {context.seed}\n")
        do(self.deed, context)
        return {"item": context.rng.random((train.n_items, 4), np.float32)}
