"""docs/reference/versioning.md: its numbers are those of the code, all of them, and its messages are what one sees."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from importlib import import_module
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from semidbench.api import ItemIds
from semidbench.dataset.files import load_train, save_train
from semidbench.dataset.queries.llm.journal import JournalHeader, read_journal
from semidbench.errors import UserError
from semidbench.exchange import ids_parquet as id_files
from semidbench.generator import checkpoint
from semidbench.leaderboards.board import check_track
from semidbench.results.cell_result import TrackStamp
from semidbench.results.files import read_cells
from semidbench.testing import small_world
from semidbench.tracks.files import built_in_tracks, load_track, parse_track
from tests.doc_blocks import ROOT, table

GUIDE = "docs/reference/versioning.md"
NUMBER = re.compile(r"(API|REJECTED)?_?(VERSION|FORMAT|SCHEMA)")


def written() -> dict[str, int]:
    """Every number in the code: module-level constants named so that are whole numbers."""
    found = {}
    for path in sorted((ROOT / "semidbench").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and type(node.value.value) is int:
                found |= {f"{module}:{t.id}": node.value.value for t in node.targets if _is_number(t)}  # type: ignore[attr-defined]
    return found


def _is_number(target: ast.expr) -> bool:
    return isinstance(target, ast.Name) and NUMBER.fullmatch(target.id) is not None


def test_the_numbers_are_those_of_the_code_and_none_is_left_out() -> None:
    documented = {cells[1].strip("`"): int(cells[2]) for cells in table(GUIDE, "## The numbers")}
    assert documented == written()


def test_the_numbers_are_those_of_the_modules() -> None:
    """Another way to them: imported."""
    for _, place, number, _ in table(GUIDE, "## The numbers"):
        module, _, name = place.strip("`").partition(":")
        assert getattr(import_module(module), name) == int(number)


def test_what_files_call_their_version_stands_in_the_code_that_writes_them() -> None:
    for _, place, _, key in table(GUIDE, "## The numbers"):
        path = ROOT / (place.strip("`").partition(":")[0].replace(".", "/") + ".py")
        for name in re.findall(r"`(semidbench_\w+|format|version)`", key):
            assert f"{name}" in path.read_text("utf-8"), f"{path} writes no {name}"


def test_the_versions_of_the_tracks() -> None:
    documented = {name: int(version) for name, version in table(GUIDE, "## Tracks and the protocol")}
    assert documented == {name: load_track(name).version for name in built_in_tracks()}


def _a_track_file(folder: Path) -> None:
    text = (ROOT / "semidbench" / "tracks" / "smoke.toml").read_text("utf-8")
    parse_track(text.replace("semidbench_track = 1", "semidbench_track = 2"), "my-track.toml")


def _a_result(folder: Path) -> None:
    (folder / "row.json").write_text('{"semidbench_result": 2}')
    read_cells(folder)


def _stamped(**changes: Any) -> None:
    track = load_track("smoke")
    stamp = TrackStamp(name="smoke", version=track.version, protocol_sha256="0" * 64).model_copy(update=changes)
    check_track(SimpleNamespace(track=stamp), track, Path("out"))  # type: ignore[arg-type]


def _ids(folder: Path) -> None:
    ids = ItemIds(np.zeros((2, 1), np.int64), ("a",), (1,))
    table = pq.read_table(BytesIO(id_files.to_parquet({"search": ids, "rec": ids}, {})))
    (key,) = [key for key in table.schema.metadata if key.startswith(b"semidbench")]
    header = json.loads(table.schema.metadata[key]) | {"format": 9}
    sink = BytesIO()
    pq.write_table(table.replace_schema_metadata({key: json.dumps(header)}), sink)
    id_files.from_parquet(sink.getvalue(), "ids.parquet")


def _prepared_data(folder: Path) -> None:
    save_train(small_world(), folder)
    path = folder / "format.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 0}))
    load_train(folder)


def _a_journal(folder: Path) -> None:
    (folder / "journal.jsonl").write_text('{"semidbench_query_journal": 9}\n{"movieId": 1}\n')
    read_journal(folder / "journal.jsonl", JournalHeader("model", None, 10, "0" * 64))


def _a_checkpoint(folder: Path) -> None:
    record = {checkpoint._HEADER: json.dumps({"format": 9})}
    save_file({"weight": torch.zeros(1)}, folder / "here.safetensors", record)
    checkpoint.load_checkpoint(folder / "here.safetensors", SimpleNamespace(model=torch.nn.Linear(1, 1)))  # type: ignore[arg-type]


REFUSED: dict[str, Callable[[Path], None]] = {  # by what its message is known by
    "semidbench_track": _a_track_file,
    "this result has schema": _a_result,
    "the track is now": lambda folder: _stamped(version=1),
    "other protocol numbers": lambda folder: _stamped(),
    "has format": _ids,
    "'train' version": _prepared_data,
    "query journal": _a_journal,
    "checkpoint": _a_checkpoint,
}


@pytest.mark.parametrize("known_by", REFUSED)
def test_what_is_refused_says_what_the_table_says(known_by: str, tmp_path: Path) -> None:
    (told,) = [
        cells[0].strip("`") for cells in table(GUIDE, "## What is refused, and what to do") if known_by in cells[0]
    ]
    with pytest.raises(UserError) as refused:
        REFUSED[known_by](tmp_path)
    pattern = ".*".join(re.escape(part) for part in told.split("..."))
    assert re.fullmatch(pattern, str(refused.value)), f"the table has {told}, one sees {refused.value}"


def test_each_message_of_the_table_is_tried() -> None:
    messages = [cells[0] for cells in table(GUIDE, "## What is refused, and what to do")]
    assert len(messages) == len(REFUSED)
