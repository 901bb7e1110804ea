"""Columns of numbers of large CSV files, in batches: millions of rows a second, in little memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semidbench.dataset.tables.csv_rows import CsvFile

BATCH_BYTES = 1 << 24
Column = NDArray[Any]


class NotPlain(Exception):
    """The fast reader has an objection; the reader by lines (`csv_rows`) is to say what and where."""


def number_batches(file: CsvFile, integers: Sequence[str], numbers: Sequence[str]) -> Iterator[dict[str, Column]]:
    """The named columns, int64 and float64, some 16 MiB of the file at a time.

    Raises:
        NotPlain: the file is no CSV with these columns of whole and finite numbers.
        UserError: it cannot be opened or unpacked.
    """
    import pyarrow as pa
    from pyarrow import csv

    types = {name: pa.int64() for name in integers} | {name: pa.float64() for name in numbers}
    strict = csv.ConvertOptions(
        column_types=types, include_columns=list(types), null_values=[], strings_can_be_null=False
    )
    with file.open() as content:
        try:
            batches = csv.open_csv(content, csv.ReadOptions(block_size=BATCH_BYTES), convert_options=strict)
            for batch in batches:
                columns = {name: batch.column(name).to_numpy(zero_copy_only=False) for name in types}
                if not all(np.isfinite(columns[name]).all() for name in numbers):
                    raise NotPlain("a number is not finite")
                yield columns
        except pa.ArrowException as error:
            raise NotPlain(str(error)) from error
