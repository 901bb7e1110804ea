"""A plugin for tests of how plugins are found: layouts that misbehave when they are imported or built."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import semidbench
from semidbench.api import Context, ItemIds, NewQuantizer, Task, TrainData, Views

if TYPE_CHECKING:
    import pytest  # a plugin's process has no use for it

DEEDS = ("raise", "exit", "leave", "crash", "hang", "flood")
_MODULE = "import early_plugin\n\nearly_plugin.do({deed!r})\nfrom early_plugin import Early\n"


def install(folder: Path, patch: pytest.MonkeyPatch) -> Path:
    """Make the plugin findable here and in processes started from here; gives the file in which it notes where it is.

    The method `early-DEED` does its deed when it is imported, `early[deed=DEED]` when it is built.
    """
    from tests.sites import add_plugin, use  # not for the plugin, which this file is, too

    site, notes = folder / "site", folder / "notes"
    add_plugin(site, "early-plugin", "early_plugin", Path(__file__).read_text("utf-8"))
    for deed in ("none", *DEEDS):
        (site / f"early_{deed}.py").write_text(_MODULE.format(deed=deed))
    patch.setenv("EARLY_NOTES", str(notes))
    use(site, patch)
    return notes


@semidbench.hookimpl
def semidbench_register_layouts(register: semidbench.Register) -> None:
    do(os.environ.get("EARLY_LISTED", "none"))
    register("early", "early_none:Early")
    for deed in DEEDS:
        register(f"early-{deed}", f"early_{deed}:Early")


def do(deed: str) -> None:
    """The deed, after a note of which program does it."""
    with Path(os.environ["EARLY_NOTES"]).open("a") as file:
        file.write(f"{sys.argv[-1]} {deed}\n")
    match deed:
        case "raise":
            raise ValueError("too early")
        case "exit":
            sys.exit("enough")
        case "leave":
            os._exit(3)
        case "crash":
            ctypes.string_at(0)
        case "hang":
            while True:
                time.sleep(0.01)
        case "flood":
            while True:
                print("all work and no play " * 40)


class Early:
    """IDs of one token."""

    uses_embedder = False
    uses_quantizer = False

    def __init__(self, deed: str = "none", width: int = 1) -> None:
        do(deed)

    def assign(
        self, train: TrainData, views: Views, new_quantizer: NewQuantizer, context: Context
    ) -> Mapping[Task, ItemIds]:
        ids = ItemIds(np.arange(train.n_items)[:, None], ("item",), (train.n_items,))
        return {"search": ids, "rec": ids}
