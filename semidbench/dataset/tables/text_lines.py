"""Lines of UTF-8 files, with errors that name the file and the line."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from pathlib import Path

from semidbench.errors import UserError

_MARK = b"\xef\xbb\xbf"


def decoded_lines(source: str, lines: Iterable[bytes]) -> Iterator[str]:
    """Lines with their ends, of UTF-8 with or without a byte order mark.

    Args:
        source: the file's name, for messages.
        lines: all lines of the file, with their ends.

    Raises:
        UserError: a line is not UTF-8; the message gives line and byte offset.
    """
    offset = 0
    for number, raw in enumerate(lines, start=1):
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


def text_lines(path: Path) -> Iterator[str]:
    """A text file's lines, without their ends.

    Raises:
        UserError: it cannot be read, is empty or not UTF-8.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}. Check that it exists and is readable") from error
    if not content.strip():
        raise UserError(f"{path} is empty. Put the complete file there")
    return (line.rstrip("\r\n") for line in decoded_lines(str(path), io.BytesIO(content)))
