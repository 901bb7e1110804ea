"""The test cases of a cell, one row per query, and their Parquet form.

The columns hold row numbers only (no movie ids, titles or queries) and are enough to compute every metric again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from semidbench.api import TASKS, Task
from semidbench.results.placements import Placements

if TYPE_CHECKING:
    import pyarrow.parquet as pq

_MOST_BYTES_PER_ROW, _MOST_BYTES = 64, 2**16  # unpacked; six numbers a row take 24, and dictionaries some more
COUNTS = ("start", "size", "id_rank", "n_ids", "n_items", "unit")  # int32 columns of the Parquet


@dataclass(frozen=True, slots=True, eq=False)
class Cases:
    """The test cases of one task and where a scheme or ranker placed their targets.

    Attributes:
        placements: Q rows.
        units: int32 (Q,), what the t-tests pair: the target item's row for search, the user's row for rec.
        head: bool (Q,), whether the target is a head item.
    """

    placements: Placements
    units: NDArray[np.int32]
    head: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.placements)


def to_parquet(cases: Mapping[Task, Cases]) -> bytes:
    """The bytes of a Parquet file with both tasks' cases. Same cases, same pyarrow: same bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        "task": pa.DictionaryArray.from_arrays(
            pa.array(np.repeat(np.arange(len(TASKS), dtype=np.int8), [len(cases[task]) for task in TASKS])), list(TASKS)
        )
    }
    for name in COUNTS:
        parts = [cases[task].units if name == "unit" else getattr(cases[task].placements, name) for task in TASKS]
        columns[name] = pa.array(np.concatenate(parts).astype(np.int32))
    columns["head"] = pa.array(np.concatenate([cases[task].head for task in TASKS]))
    sink = BytesIO()
    pq.write_table(pa.table(columns), sink, compression="zstd", compression_level=9)
    return sink.getvalue()


def from_parquet(data: bytes, rows: int) -> Mapping[Task, Cases]:
    """The cases in the bytes of a Parquet file.

    Args:
        data: the whole file. Nothing of it is unpacked before its footer shows this form and size.
        rows: how many cases both tasks have.

    Raises:
        ValueError: not a Parquet file, or not one of these cases.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        _check_footer(file, rows)
        table: pa.Table = file.read(use_threads=False)
        if len(table) != rows or any(table[name].null_count for name in table.column_names):
            raise ValueError(f"{len(table):,} rows for {rows:,} cases, or values missing in them")
        counts = {name: table[name].to_numpy().astype(np.int32, casting="same_kind", copy=False) for name in COUNTS}
        head = table["head"].to_numpy().astype(bool, casting="safe")
        tasks = table["task"].unify_dictionaries().combine_chunks()
        named = pc.index_in(tasks.dictionary, value_set=pa.array(TASKS))
        if named.null_count or any((values < 0).any() for values in counts.values()):
            raise ValueError("an unknown task or a negative number")
        numbers = named.to_numpy()[tasks.indices.to_numpy()]
    except (pa.ArrowException, TypeError, OSError) as error:
        raise ValueError(str(error)) from error
    found: dict[Task, Cases] = {}
    for number, task in enumerate(TASKS):
        own = np.flatnonzero(numbers == number)
        placements = Placements(**{name: counts[name][own] for name in COUNTS if name != "unit"})
        found[task] = Cases(placements, counts["unit"][own], head[own])
    return found


def _check_footer(file: pq.ParquetFile, rows: int) -> None:
    """What the file says of itself: columns, types, and that it unpacks to no more than such a file does."""
    import pyarrow as pa

    meta, schema = file.metadata, file.schema_arrow
    types = {
        "task": pa.dictionary(pa.int8(), pa.string()),
        **dict.fromkeys(COUNTS, pa.int32()),
        "head": pa.bool_(),
    }
    if dict(zip(schema.names, schema.types, strict=True)) != types:
        raise ValueError(f"columns {', '.join(schema.names)[:200]} of types {', '.join(map(str, schema.types))[:200]}")
    if meta.num_rows != rows:
        raise ValueError(f"{meta.num_rows:,} rows for {rows:,} cases")
    unpacked = sum(meta.row_group(at).total_byte_size for at in range(meta.num_row_groups))
    if unpacked > _MOST_BYTES_PER_ROW * rows + _MOST_BYTES:
        raise ValueError(f"it unpacks to {unpacked:,} bytes for {rows:,} cases")
