"""CSV files, read with errors that name the file, the line and the column.

`read_rows` gives one record after the other, as text. `read_numbers` gives columns of numbers, for files of millions of
records; it accepts what `read_rows` accepts, and reports what `read_rows` reports.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from semidbench.dataset.tables.text_lines import decoded_lines
from semidbench.errors import UserError

BATCH_BYTES, BATCH_ROWS = 1 << 24, 1 << 16
Column = NDArray[Any]


@dataclass(frozen=True, slots=True)
class CsvFile:
    """A CSV that can be read several times, as a stream: its name for messages, and how to open it."""

    source: str
    open: Callable[[], AbstractContextManager[IO[bytes]]]


@dataclass(frozen=True, slots=True)
class TableRow:
    """One record: the file, the line (1-based, the record's last) and the fields asked for, in that order."""

    source: str
    line: int
    fields: tuple[str, ...]
    counted: str = "line"  # what `line` counts: a Parquet file has rows

    def integer(self, field: int, column: str) -> int:
        """That field as an integer (int64).

        Raises:
            UserError: it is none.
        """
        text = self.fields[field]
        try:
            number = int(text)
        except ValueError:
            raise self.error(f"{column} {text!r} is not a whole number") from None
        if abs(number) >= 2**63:
            raise self.error(f"{column} {text!r} does not fit 64 bits")
        return number

    def number(self, field: int, column: str) -> float:
        """That field as a finite number.

        Raises:
            UserError: it is none.
        """
        text = self.fields[field]
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise self.error(f"{column} {text!r} is not a number")
        return number

    def error(self, what: str) -> UserError:
        """A UserError about this line."""
        return UserError(f"{self.source}, {self.counted} {self.line}: {what}. Correct the line and run again")


@dataclass(frozen=True, slots=True)
class NumberBatch:
    """Records that follow each other in a file.

    Attributes:
        file: holds them.
        first: place of the first of them among the file's records, from 0.
        columns: int64 or float64, by name.
    """

    file: CsvFile
    first: int
    columns: Mapping[str, Column]

    def __getitem__(self, name: str) -> Column:
        return self.columns[name]

    def error(self, row: int, what: str) -> UserError:
        """A UserError about the line of a record, by its place in the batch. Reads the file up to there."""
        (line,) = lines_of(self.file, {self.first + row})
        return TableRow(self.file.source, line, ()).error(what)


def csv_file(path: Path) -> CsvFile:
    """A CSV on disk. Opening it raises a UserError that names it if it cannot be read."""

    def opened() -> IO[bytes]:
        try:
            return path.open("rb")
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}. Check that it exists and is readable") from error

    return CsvFile(str(path), opened)


def read_header(file: CsvFile) -> list[str]:
    """The names of the columns.

    Raises:
        UserError: not UTF-8, or empty.
    """
    with file.open() as content:
        return _header(file.source, csv.reader(decoded_lines(file.source, content), strict=True))


def read_rows(file: CsvFile, required: Sequence[str], optional: Sequence[str] = ()) -> Iterator[TableRow]:
    """The records of a CSV with a header line; an optional column that is absent reads as ''.

    Raises:
        UserError: not UTF-8, empty, a column is missing, or a record has a wrong number of fields.
    """
    source = file.source
    with file.open() as content:
        reader = csv.reader(decoded_lines(source, content), strict=True)
        try:
            header = _header(source, reader)
            columns = [_column(source, header, name) for name in required]
            extra = [header.index(name) if name in header else None for name in optional]
            for record in reader:
                if not record:
                    continue
                if len(record) != len(header):
                    row = TableRow(source, reader.line_num, ())
                    raise row.error(f"{len(record)} fields where the header has {len(header)}")
                fields = [record[column] for column in columns]
                fields += ["" if column is None else record[column] for column in extra]
                yield TableRow(source, reader.line_num, tuple(fields))
        except csv.Error as error:
            raise UserError(
                f"{source}, line {reader.line_num}: {error}. The file is cut short or has a stray quote: correct it"
            ) from error


def read_numbers(file: CsvFile, integers: Sequence[str], numbers: Sequence[str]) -> Iterator[NumberBatch]:
    """The named columns, int64 and (finite) float64, in batches; all batches together are all records in order.

    pyarrow reads millions of records a second, in the memory of a few batches. But it does not say on which line a
    mistake is, and refuses correct fields such as +1. From the first batch that it refuses, `read_rows` goes on.

    Raises:
        UserError: as `read_rows`; or a field is not a whole number, or not a finite one.
    """
    import pyarrow as pa

    first = 0
    try:
        for columns in _parsed(file, integers, numbers):
            yield NumberBatch(file, first, columns)
            first += _length(columns)
    except pa.ArrowException:
        rows = islice(read_rows(file, (*integers, *numbers)), first, None)
        for columns in _converted(rows, integers, numbers):
            yield NumberBatch(file, first, columns)
            first += _length(columns)


def lines_of(file: CsvFile, places: Collection[int]) -> list[int]:
    """The lines of records, by their places among the file's records from 0; both rising."""
    rows = islice(read_rows(file, ()), max(places) + 1)
    return [row.line for place, row in enumerate(rows) if place in places]


def _parsed(file: CsvFile, integers: Sequence[str], numbers: Sequence[str]) -> Iterator[dict[str, Column]]:
    """Batches of some BATCH_BYTES of the file; a pyarrow.ArrowException at the first that is not as it has to be.

    Quotes are refused, and so are files with other columns, in which a quote would not be noticed: pyarrow does not
    report one that is never closed.
    """
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    types = {name: pa.int64() for name in integers} | {name: pa.float64() for name in numbers}
    header = read_header(file)
    if sorted(header) != sorted(types):
        raise pa.ArrowInvalid("there are other columns")
    read = arrow_csv.ReadOptions(block_size=BATCH_BYTES, column_names=header, skip_rows=1)
    parse = arrow_csv.ParseOptions(quote_char=False, double_quote=False)
    convert = arrow_csv.ConvertOptions(column_types=types, null_values=[], strings_can_be_null=False)
    with file.open() as content:
        for batch in arrow_csv.open_csv(content, read, parse, convert):
            columns = {name: batch.column(name).to_numpy(zero_copy_only=False) for name in types}
            if not all(np.isfinite(columns[name]).all() for name in numbers):
                raise pa.ArrowInvalid("a number is not finite")
            yield columns


def _converted(
    rows: Iterable[TableRow], integers: Sequence[str], numbers: Sequence[str]
) -> Iterator[dict[str, Column]]:
    """Batches of BATCH_ROWS records; a UserError at the first that is not as it has to be."""
    records = (
        (
            *(row.integer(field, name) for field, name in enumerate(integers)),
            *(row.number(field, name) for field, name in enumerate(numbers, start=len(integers))),
        )
        for row in rows
    )
    kinds: list[type] = [np.int64] * len(integers) + [np.float64] * len(numbers)
    while batch := list(islice(records, BATCH_ROWS)):
        columns = zip((*integers, *numbers), zip(*batch, strict=True), kinds, strict=True)
        yield {name: np.array(values, dtype=kind) for name, values, kind in columns}


def _length(columns: Mapping[str, Column]) -> int:
    return len(next(iter(columns.values())))


def _header(source: str, reader: Iterator[list[str]]) -> list[str]:
    header = [name.strip() for name in next(reader, [])]
    if not any(header):
        raise UserError(f"{source} is empty. Put the complete file there")
    return header


def _column(source: str, header: list[str], name: str) -> int:
    if name not in header:
        raise UserError(
            f"{source} has no column {name!r}; its columns are {', '.join(map(repr, header))}. "
            "Add or rename the column and run again"
        )
    return header.index(name)
