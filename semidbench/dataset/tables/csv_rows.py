"""CSV files read so that every complaint names the file, the line and the column."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from semidbench.errors import UserError

_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class CsvFile:
    """A CSV that can be read several times, as a stream: its name for messages, and how to open it."""

    source: str
    open: Callable[[], AbstractContextManager[IO[bytes]]]


@dataclass(frozen=True, slots=True)
class Row:
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


def csv_file(path: Path) -> CsvFile:
    """A CSV on disk. Opening it raises a UserError that names it if it cannot be read."""

    def opened() -> IO[bytes]:
        try:
            return path.open("rb")
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}. Check that it exists and is readable") from error

    return CsvFile(str(path), opened)


def read_bytes(path: Path) -> bytes:
    """A file's bytes, or a UserError that names it."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}. Check that it exists and is readable") from error


def read_lines(source: str, content: IO[bytes]) -> Iterator[str]:
    """Lines with their ends, of UTF-8 with or without a byte order mark.

    Raises:
        UserError: a line is not UTF-8; the message gives line and byte offset.
    """
    offset = 0
    for number, raw in enumerate(content, start=1):
        start = len(_MARK) if number == 1 and raw.startswith(_MARK) else 0
        try:
            yield raw[start:].decode("utf-8")
        except UnicodeDecodeError as error:
            at = start + error.start
            raise UserError(
                f"{source}, line {number}: byte 0x{raw[at]:02x} at offset {offset + at} is not UTF-8. "
                "Save the file as UTF-8 and run again"
            ) from error
        offset += len(raw)


def read_header(file: CsvFile) -> list[str]:
    """The names of the columns.

    Raises:
        UserError: not UTF-8, or empty.
    """
    with file.open() as content:
        return _header(file.source, csv.reader(read_lines(file.source, content), strict=True))


def read_table(file: CsvFile, required: Sequence[str], optional: Sequence[str] = ()) -> Iterator[Row]:
    """The records of a CSV with a header line; an optional column that is absent reads as ''.

    Raises:
        UserError: not UTF-8, empty, a column is missing, or a record has a wrong number of fields.
    """
    source = file.source
    with file.open() as content:
        reader = csv.reader(read_lines(source, content), strict=True)
        try:
            header = _header(source, reader)
            columns = [_column(source, header, name) for name in required]
            extra = [header.index(name) if name in header else None for name in optional]
            for record in reader:
                if not record:
                    continue
                if len(record) != len(header):
                    row = Row(source, reader.line_num, ())
                    raise row.error(f"{len(record)} fields where the header has {len(header)}")
                fields = [record[column] for column in columns]
                fields += ["" if column is None else record[column] for column in extra]
                yield Row(source, reader.line_num, tuple(fields))
        except csv.Error as error:
            raise UserError(
                f"{source}, line {reader.line_num}: {error}. The file is cut short or has a stray quote: correct it"
            ) from error


def text_lines(path: Path) -> Iterator[str]:
    """A text file's lines, without their ends.

    Raises:
        UserError: it cannot be read, is empty or not UTF-8.
    """
    content = read_bytes(path)
    if not content.strip():
        raise UserError(f"{path} is empty. Put the complete file there")
    return (line.rstrip("\r\n") for line in read_lines(str(path), io.BytesIO(content)))


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
