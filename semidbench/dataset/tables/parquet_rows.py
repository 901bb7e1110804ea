"""Parquet files read as tables of text, so that they meet the same checks as CSV files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from semidbench.dataset.tables.csv_files import TableRow
from semidbench.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa


def read_parquet(path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> Iterator[TableRow]:
    """The rows (counted from 1); nulls and absent optional columns read as '', lists as a|b.

    Raises:
        UserError: not readable, a column is missing, or of another type than text, whole numbers or lists of text.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
        for name in required:
            if name not in schema.names:
                raise UserError(
                    f"{path} has no column {name!r}; its columns are {', '.join(map(repr, schema.names))}. "
                    "Add or rename the column and run again"
                )
        present = [name for name in (*required, *optional) if name in schema.names]
        number = 0
        for batch in pq.ParquetFile(path).iter_batches(columns=present):
            texts = {name: _as_text(path, name, batch.column(name)) for name in present}
            absent = [""] * batch.num_rows
            for fields in zip(*(texts.get(name, absent) for name in (*required, *optional)), strict=True):
                number += 1
                yield TableRow(str(path), number, fields, counted="row")
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"cannot read {path}: {error}. Check that it is a complete Parquet file") from error


def _as_text(path: Path, name: str, column: pa.Array) -> list[str]:
    import pyarrow as pa

    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_floating(kind):
        try:
            column, kind = column.cast(pa.int64()), pa.int64()  # pandas makes whole numbers with gaps floats
        except pa.ArrowInvalid:
            kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind):
        return ["" if value is None else str(value) for value in column.to_pylist()]
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        lists = column.to_pylist()
        if any("|" in str(each) for values in lists for each in values or ()):
            raise UserError(f"{path}: an entry of a list in {name} holds a |, which separates entries. Replace it")
        return ["|".join(map(str, values or ())) for values in lists]
    if pa.types.is_null(kind):
        return [""] * len(column)
    raise UserError(f"{path}: column {name} is of type {column.type}, not text or whole numbers. Convert it")
