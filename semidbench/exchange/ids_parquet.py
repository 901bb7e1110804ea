"""Item IDs as a Parquet file, version 1: every item's codes for both tasks, and which token slots the tasks share.

Rows are the items of search in order, then those of recommendation. They hold row numbers and codes only, nothing of
the data. docs/how-to/exchange.md describes the format.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from semidbench.api import TASKS, Ints, ItemIds, Task
from semidbench.errors import UserError, one_line
from semidbench.ids.layout import ids_sha256
from semidbench.methods.contracts import MAX_LEVELS, check_item_ids

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 1
MAGIC = b"PAR1"  # what every Parquet file begins with
_KEY = b"semidbench_ids"  # of the file's metadata
_MOST_ITEMS = 2**21
_MOST_CODES = 2**21  # of a codebook
_MOST_BYTES = 2**29  # unpacked


@dataclass(frozen=True, slots=True)
class IdFile:
    """What a file of IDs holds.

    Attributes:
        ids: of both tasks, the same object twice where the tasks share them.
        made_by: what an export says about the IDs' origin; empty for IDs without one.
    """

    ids: dict[Task, ItemIds]
    made_by: Mapping[str, Any]


def same_ids(ids: Mapping[Task, ItemIds]) -> bool:
    """Whether the tasks share their IDs: the same codes in the same slots."""
    search, rec = (ids[task] for task in TASKS)
    return search.slots == rec.slots and search.sizes == rec.sizes and np.array_equal(search.codes, rec.codes)


def to_parquet(ids: Mapping[Task, ItemIds], made_by: Mapping[str, Any]) -> bytes:
    """The bytes of a Parquet file with both tasks' IDs. Same arguments, same pyarrow: same bytes.

    Args:
        ids: as a layout gives them.
        made_by: JSON values.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    tasks = np.repeat(np.arange(len(TASKS), dtype=np.int8), [len(ids[task].codes) for task in TASKS])
    items = np.concatenate([np.arange(len(ids[task].codes), dtype=np.int32) for task in TASKS])
    columns: dict[str, Any] = {
        "task": pa.DictionaryArray.from_arrays(pa.array(tasks), list(TASKS)),
        "item": pa.array(items),
    }
    for level in range(max(len(ids[task].slots) for task in TASKS)):
        columns[_column(level)] = pa.array(
            np.concatenate([_level(ids[task].codes, level) for task in TASKS]),
            mask=np.concatenate([np.full(len(ids[task].codes), level >= len(ids[task].slots)) for task in TASKS]),
        )
    header: dict[str, Any] = {
        "format": VERSION,
        **{task: {"slots": ids[task].slots, "sizes": ids[task].sizes} for task in TASKS},
        "id_table_sha256": ids_sha256(ids),
        "made_by": made_by,
    }
    table = pa.table(columns).replace_schema_metadata({_KEY: json.dumps(header, sort_keys=True)})
    sink = BytesIO()
    pq.write_table(table, sink, compression="zstd", compression_level=9)
    return sink.getvalue()


def from_parquet(data: bytes, source: str) -> IdFile:
    """The IDs in the bytes of a Parquet file.

    Args:
        source: the file, for messages.

    Raises:
        UserError: not such a file, of another version, incomplete, too large or altered.
    """
    import pyarrow as pa

    try:
        return _read(data, source)
    except (pa.ArrowException, ValueError, TypeError, KeyError, OverflowError, OSError, RecursionError) as error:
        raise UserError(f"{source} holds no IDs that can be read: {one_line(error)}. Export them again") from error


def _read(data: bytes, source: str) -> IdFile:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(pa.BufferReader(data))
    header = _header(file.schema_arrow.metadata or {}, source)
    ids = {task: (tuple(map(str, header[task]["slots"])), tuple(map(int, header[task]["sizes"]))) for task in TASKS}
    if not all(1 <= len(slots) <= MAX_LEVELS for slots, _ in ids.values()):
        raise ValueError(f"IDs must have 1 to {MAX_LEVELS} levels")
    if any(size > _MOST_CODES for _, sizes in ids.values() for size in sizes):
        raise ValueError(f"a codebook may have {_MOST_CODES:,} codes at most")
    levels = [_column(level) for level in range(max(len(slots) for slots, _ in ids.values()))]
    if file.schema_arrow.names != ["task", "item", *levels]:
        raise ValueError(
            f"columns {', '.join(file.schema_arrow.names)[:80]} instead of task, item, {', '.join(levels)}"
        )
    shape, groups = file.metadata, range(file.metadata.num_row_groups)
    unpacked = sum(shape.row_group(group).total_byte_size for group in groups)
    if shape.num_rows > len(TASKS) * _MOST_ITEMS or unpacked > _MOST_BYTES:
        raise ValueError(f"{shape.num_rows:,} rows of {unpacked:,} bytes; there may be {_MOST_ITEMS:,} items at most")
    table: pa.Table = file.read()
    n_items = table.num_rows // len(TASKS)
    _check_rows(table, n_items)
    found: dict[Task, ItemIds] = {}
    for at, (task, (slots, sizes)) in enumerate(ids.items()):
        part = table.slice(at * n_items, n_items)
        found[task] = ItemIds(_codes(part, len(slots)), slots, sizes)
    check_item_ids(source, found, n_items)
    if ids_sha256(found) != header["id_table_sha256"]:
        raise ValueError("they are not the IDs that the file was written with (sha256 differs)")
    if same_ids(found):
        found["rec"] = found["search"]
    return IdFile(found, header["made_by"])


def _header(metadata: Mapping[bytes, bytes], source: str) -> Any:
    if _KEY not in metadata:
        raise UserError(
            f"{source} is a Parquet file, but no semidbench export of IDs (its metadata lacks {_KEY.decode()}). "
            'Write IDs made elsewhere as JSON: {"0": ["<a_12>", "<b_5>"], ...}'
        )
    try:
        header = json.loads(metadata[_KEY])
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its {_KEY.decode()} is no JSON") from error
    if not isinstance(header, dict) or "format" not in header:
        raise ValueError(f"its {_KEY.decode()} is no object with a `format`")
    if header["format"] != VERSION:
        raise UserError(
            f"{source} has format {one_line(header['format'])[:20]}, this semidbench reads {VERSION}: "
            "export the IDs again, or use the semidbench that wrote them"
        )
    for task in TASKS:
        of = header.get(task)
        slots, sizes = (of.get("slots"), of.get("sizes")) if isinstance(of, dict) else (None, None)
        if not (_all_of(slots, str) and _all_of(sizes, int) and len(slots) == len(sizes)):
            raise ValueError(f"{task}.slots and {task}.sizes of its {_KEY.decode()} are no names and as many numbers")
    if not isinstance(header.get("id_table_sha256"), str) or not isinstance(header.get("made_by"), dict):
        raise ValueError(f"its {_KEY.decode()} lacks id_table_sha256, a text, or made_by, an object")
    return header


def _all_of(values: Any, kind: type) -> TypeGuard[list[Any]]:
    return isinstance(values, list) and all(type(value) is kind for value in values)


def _check_rows(table: pa.Table, n_items: int) -> None:
    """Each item once for each task, in order."""
    tasks = table["task"].cast("string").to_pylist()
    items = table["item"].to_pylist()
    if tasks != [task for task in TASKS for _ in range(n_items)] or items != [*range(n_items)] * len(TASKS):
        raise ValueError(
            f"rows must be the items 0 to {n_items - 1} of search, then those of rec, each once and in order"
        )


def _codes(part: pa.Table, levels: int) -> Ints:
    """Codes int64 (N, levels) of one task's rows; the columns behind them are empty."""
    codes, rest = part.column_names[2 : 2 + levels], part.column_names[2 + levels :]
    if any(part[name].null_count for name in codes) or any(part[name].null_count < len(part) for name in rest):
        raise ValueError(f"an item has more or fewer codes than its task has levels ({levels})")
    columns = [part[name].to_numpy().astype(np.int64, casting="safe") for name in codes]
    return np.stack(columns, axis=1)


def _column(level: int) -> str:
    return f"code_{level + 1}"


def _level(codes: Ints, level: int) -> Any:
    """A level's codes, int32 (N,); zeros, which are masked, behind the last."""
    return codes[:, level].astype(np.int32) if level < codes.shape[1] else np.zeros(len(codes), np.int32)
