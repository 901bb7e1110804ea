"""A plugin for tests of runs with several processes: a layout that does what its option says."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

import semidbench
from semidbench.api import Context, ItemIds, NewQuantizer, Task, TrainData, Views

_POINTS = "[semidbench]\ntrap = trap_plugin\n"
_METADATA = "Metadata-Version: 2.1\nName: trap-plugin\nVersion: 1\n"


def install(folder: Path, patch: pytest.MonkeyPatch) -> Path:
    """Make the plugin findable here and in processes started from here; gives the folder in which it leaves marks."""
    import importlib

    site, marks = folder / "site", folder / "marks"
    information = site / "trap_plugin-1.dist-info"
    information.mkdir(parents=True)
    marks.mkdir()
    (information / "entry_points.txt").write_text(_POINTS)
    (information / "METADATA").write_text(_METADATA)
    (site / "trap_plugin.py").write_bytes(Path(__file__).read_bytes())
    patch.setenv("TRAP_MARKS", str(marks))
    patch.syspath_prepend(str(site))
    patch.setenv("PYTHONPATH", str(site))  # for the command line
    importlib.invalidate_caches()
    return marks


@semidbench.hookimpl
def semidbench_register_layouts(register: semidbench.Register) -> None:
    register("trap", Trap)


class Trap:
    """IDs of one token; before that, the deed."""

    uses_embedder = False
    uses_quantizer = False

    def __init__(self, deed: str = "none") -> None:
        self.deed = deed

    def assign(
        self, train: TrainData, views: Views, new_quantizer: NewQuantizer, context: Context
    ) -> Mapping[Task, ItemIds]:
        marks = Path(os.environ["TRAP_MARKS"])
        print("the trap is shut")
        if self.deed == "hang":
            (marks / "scratch").write_text(str(context.scratch))
            (marks / "pid.part").write_text(str(os.getpid()))
            (marks / "pid.part").rename(marks / "pid")
            while True:
                time.sleep(0.01)
        while self.deed in ("raise", "kill") and not (marks / "pid").exists():
            time.sleep(0.01)  # until the other hangs
        if self.deed == "raise":
            raise ValueError("caught")
        if self.deed == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        ids = ItemIds(np.arange(train.n_items)[:, None], ("item",), (train.n_items,))
        return {"search": ids, "rec": ids}
