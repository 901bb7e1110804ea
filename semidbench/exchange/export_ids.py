"""A cell's IDs as Parquet, or as the JSON that TIGER-style codebases read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from semidbench.api import TASKS, ItemIds, Task
from semidbench.dataset import Split
from semidbench.exchange.export_files import export_folder, write_files
from semidbench.exchange.finished_cell import find_cell
from semidbench.exchange.ids_json import to_json, to_tokens
from semidbench.exchange.ids_parquet import same_ids, to_parquet
from semidbench.ids.layout import ids_sha256, load_ids
from semidbench.runs.stages.assign_ids import ids_key

VERSION = 1
ABOUT = "ids.about.json"
IdFormat = Literal["parquet", "json"]


def export_ids(
    track: str,
    scheme: str,
    seed: int = 0,
    *,
    format: IdFormat = "parquet",
    split: Split = "test",
    data: Path | None = None,
    cache: Path | None = None,
    out: Path | None = None,
    device: str = "auto",
) -> tuple[Path, ...]:
    """Write the IDs of both tasks, from the stages of a cell whose IDs are assigned.

    Args:
        format: "parquet": one file. "json": an index of both tasks, or one for each where their IDs differ, and what
            made them.
        out: the folder; None: one of the cell's own in `semidbench-export`.

    Returns:
        The files.

    Raises:
        UserError: anything the user can fix; the IDs are not in the store, among others.
    """
    cell = find_cell(track, scheme, seed, split=split, data=data, cache=cache, device=device, gpus=1)
    ids = load_ids(cell.stage(ids_key(cell.session, cell.scheme, seed)).folder)
    files = {"ids.parquet": to_parquet(ids, cell.made_by())} if format == "parquet" else _index(ids, cell.made_by())
    return write_files(export_folder(cell, out), {name: [content] for name, content in files.items()})


def _index(ids: Mapping[Task, ItemIds], made_by: Mapping[str, Any]) -> dict[str, bytes]:
    tokens = to_tokens(ids)
    names = dict.fromkeys(TASKS, "ids.json") if same_ids(ids) else {task: f"ids.{task}.json" for task in TASKS}
    about = {
        "semidbench_id_index": VERSION,
        "made_by": made_by,
        "id_table_sha256": ids_sha256(ids),
        "tasks": {task: {"file": names[task], "slots": ids[task].slots, "sizes": ids[task].sizes} for task in TASKS},
    }
    files = {names[task]: to_json(tokens[task]).encode() for task in TASKS}
    return files | {ABOUT: json.dumps(about, indent=1, sort_keys=True).encode() + b"\n"}
