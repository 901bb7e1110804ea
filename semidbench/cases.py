"""The test cases of a cell, one row per query, and their Parquet form.

The columns hold row numbers only (no movie ids, titles or queries) and are enough to compute every metric again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from semidbench.api import TASKS, Task
from semidbench.ranking import Placements

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


def from_parquet(data: bytes) -> Mapping[Task, Cases]:
    """The cases in the bytes of a Parquet file.

    Raises:
        ValueError: not a Parquet file, or not one of these cases.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    try:
        table: pa.Table = pq.read_table(pa.BufferReader(data))
        if table.column_names != ["task", *COUNTS, "head"] or any(
            table[name].null_count for name in table.column_names
        ):
            raise ValueError(f"columns {table.column_names}, or values missing in them")
        counts = {name: table[name].to_numpy().astype(np.int32, casting="same_kind", copy=False) for name in COUNTS}
        head = table["head"].to_numpy().astype(bool, casting="safe")
        named = pc.index_in(table["task"].cast(pa.string()), value_set=pa.array(TASKS))
        if named.null_count or any((values < 0).any() for values in counts.values()):
            raise ValueError("an unknown task or a negative number")
        numbers = named.to_numpy()
    except (pa.ArrowException, TypeError, OSError) as error:
        raise ValueError(str(error)) from error
    found: dict[Task, Cases] = {}
    for number, task in enumerate(TASKS):
        own = np.flatnonzero(numbers == number)
        placements = Placements(**{name: counts[name][own] for name in COUNTS if name != "unit"})
        found[task] = Cases(placements, counts["unit"][own], head[own])
    return found
