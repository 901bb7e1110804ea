"""CSV files read so that every complaint names the file, the line and the column."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from semidbench.errors import UserError


@dataclass(frozen=True, slots=True)
class Row:
    """One record: the file, the line (1-based, the record's last) and the fields asked for, in that order."""

    source: str
    line: int
    fields: tuple[str, ...]

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
        return UserError(f"{self.source}, line {self.line}: {what}. Correct the line and run again")


def decode(source: str, content: bytes) -> str:
    """UTF-8 (with or without a byte order mark) to text.

    Raises:
        UserError: the file is empty or not UTF-8; the message gives line and byte offset.
    """
    if not content.strip():
        raise UserError(f"{source} is empty. Put the complete file there")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # `utf-8-sig` counts from behind the byte order mark.
        start = error.start + 3 * content.startswith(b"\xef\xbb\xbf")
        line = content.count(b"\n", 0, start) + 1
        raise UserError(
            f"{source}, line {line}: byte 0x{content[start]:02x} at offset {start} is not UTF-8. "
            "Save the file as UTF-8 and run again"
        ) from error


def read_table(source: str, content: bytes, required: Sequence[str], optional: Sequence[str] = ()) -> Iterator[Row]:
    """The records of a CSV with a header line; an optional column that is absent reads as ''.

    Raises:
        UserError: not UTF-8, empty, a column is missing, or a record has a wrong number of fields.
    """
    reader = csv.reader(io.StringIO(decode(source, content), newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader)]
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


def _column(source: str, header: list[str], name: str) -> int:
    if name not in header:
        raise UserError(
            f"{source} has no column {name!r}; its columns are {', '.join(map(repr, header))}. "
            "Add or rename the column and run again"
        )
    return header.index(name)
