"""The step from views to one Semantic ID per item and task."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from semidbench.api import TASKS, Context, ItemIds, Quantizer, Task, TrainData, Views
from semidbench.methods.contracts import CheckedQuantizer, check_item_ids
from semidbench.methods.failure import calling

if TYPE_CHECKING:
    from semidbench.methods.named import NamedMethod

FORMAT = 1
_CODES, _SLOTS = "codes.npz", "slots.json"


def assign_ids(
    layout: NamedMethod,
    quantizer: NamedMethod | None,
    train: TrainData,
    views: Views,
    context: Context,
) -> dict[Task, ItemIds]:
    """Run a scheme's layout and quantizer and hold both against their contracts.

    Raises:
        UserError: a plugin failed or broke its contract.
    """

    def new_quantizer() -> Quantizer:
        if quantizer is None:
            raise RuntimeError("this layout says that it uses no quantizer")
        return CheckedQuantizer(quantizer.who, quantizer.build())

    who = layout.who + (f" with {quantizer.who}" if quantizer else "")
    with calling(who):
        ids = layout.build().assign(train, views, new_quantizer, context)
    return check_item_ids(layout.who, ids, train.n_items)


def save_ids(ids: Mapping[Task, ItemIds], folder: Path) -> None:
    """Write both tasks' IDs."""
    np.savez(folder / _CODES, **{task: ids[task].codes for task in TASKS})  # type: ignore[arg-type]
    layout = {task: {"slots": ids[task].slots, "sizes": ids[task].sizes} for task in TASKS}
    (folder / _SLOTS).write_text(json.dumps({"format": FORMAT} | layout, indent=1) + "\n", "utf-8")


def load_ids(folder: Path) -> dict[Task, ItemIds]:
    """Read both tasks' IDs."""
    layout = json.loads((folder / _SLOTS).read_text("utf-8"))
    with np.load(folder / _CODES, allow_pickle=False) as codes:
        return {
            task: ItemIds(codes[task], tuple(layout[task]["slots"]), tuple(map(int, layout[task]["sizes"])))
            for task in TASKS
        }


def ids_sha256(ids: Mapping[Task, ItemIds]) -> str:
    """Hash of the whole code table, the same on every platform."""
    digest = hashlib.sha256(b"semidbench ids 1\n")
    for task in TASKS:
        digest.update(json.dumps([task, ids[task].codes.shape, ids[task].slots, ids[task].sizes]).encode())
        digest.update(ids[task].codes.astype("<i8").tobytes())
    return digest.hexdigest()
