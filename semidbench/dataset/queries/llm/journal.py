"""The journal of a language model's answers: each is on disk before the next is asked for, and none is asked for twice.

Its first line is a `JournalHeader`, every other line one answer:
`{"movieId": int, "prompt_sha256": str, "train": [str, ...], "test": [str, ...]}`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from semidbench.dataset.queries.llm.answer import Answer
from semidbench.dataset.queries.llm.prompt import Item
from semidbench.errors import UserError

VERSION = 1


@dataclass(frozen=True, slots=True)
class JournalHeader:
    """What all answers of a journal have in common.

    Attributes:
        model: as the endpoint calls it.
        temperature: that is requested; None: the endpoint's own.
        queries: per item, and as many paraphrases.
        prompt_sha256: of the prompt's template.
    """

    model: str
    temperature: float | None
    queries: int
    prompt_sha256: str


class JournalLine(BaseModel):
    """One answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    movieId: int
    prompt_sha256: str  # of the item's whole prompt
    train: tuple[str, ...]
    test: tuple[str, ...]

    def answer(self) -> Answer:
        """Its queries."""
        return Answer(self.train, self.test)


@dataclass(slots=True)
class Journal:
    """A journal open for appending; a context manager that closes it."""

    path: Path
    file: FileIO

    def append(self, item: Item, answer: Answer) -> None:
        """Write an answer, and return when it is on disk.

        Raises:
            UserError: it cannot be written; the answers before it are whole.
        """
        line = JournalLine(movieId=item.movie, prompt_sha256=item.prompt_sha256(), train=answer.train, test=answer.test)
        try:
            _write(self.file, line.model_dump(mode="json"))
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.file.close()


def read_journal(path: Path, header: JournalHeader) -> list[JournalLine]:
    """The answers of a journal, in the order in which they came; none if there is no journal.

    A last line that a kill has cut short is left out. A header without answers does not count.

    Raises:
        UserError: the journal cannot be read or is damaged, or holds answers of another header.
    """
    if not path.exists():
        return []
    first, *rest = _whole_lines(path) or [b""]
    if not first:
        return []
    header_line = _record(path, 1, first)
    _check_version(path, header_line)
    if _holds_answers(rest):
        _check_header(path, header_line, header)
    lines = []
    for number, raw in enumerate(rest, start=2):
        if raw.strip():
            try:
                lines.append(JournalLine.model_validate(_record(path, number, raw)))
            except ValidationError as error:
                place = ".".join(map(str, error.errors()[0]["loc"]))
                raise _damaged(path, number, f"{place}: {error.errors()[0]['msg']}") from error
    return lines


def open_journal(path: Path, header: JournalHeader) -> Journal:
    """Open for appending, behind what `read_journal` reads; a journal without answers starts again with the header.

    Raises:
        UserError: the file cannot be written.
    """
    lines = _whole_lines(path) if path.exists() else []
    whole = b"".join(line + b"\n" for line in lines) if _holds_answers(lines[1:]) else b""
    try:
        file = path.open("r+b" if path.exists() else "xb", buffering=0)
        file.truncate(min(len(whole), path.stat().st_size))
        if file.seek(0, os.SEEK_END) < len(whole):  # the last line is whole but for its end
            file.write(b"\n")
        if not whole:
            _write(file, {"semidbench_query_journal": VERSION, **asdict(header)})
    except OSError as error:
        raise _unwritable(path, error) from error
    return Journal(path, file)


def _write(file: FileIO, record: dict[str, Any]) -> None:
    left = memoryview(json.dumps(record, ensure_ascii=False).encode() + b"\n")
    while left:
        left = left[file.write(left) :]
    os.fsync(file.fileno())


def _unwritable(path: Path, error: OSError) -> UserError:
    return UserError(
        f"cannot write {path}: {error.strerror}. Make it writable, or free space on its disk, and run again"
    )


def _whole_lines(path: Path) -> list[bytes]:
    """The lines without their ends; a last one without an end only if it is a whole record."""
    try:
        *lines, last = path.read_bytes().split(b"\n")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}. Check that it is readable") from error
    try:
        json.loads(last)
    except ValueError:
        return lines
    return [*lines, last]


def _holds_answers(behind_header: Sequence[bytes]) -> bool:
    return any(line.strip() for line in behind_header)


def _record(path: Path, number: int, raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, number, f"not valid JSON ({error})") from error


def _check_version(path: Path, header_line: Any) -> None:
    version = header_line.get("semidbench_query_journal") if isinstance(header_line, dict) else None
    if version != VERSION:
        raise _damaged(path, 1, f"no header of a query journal of version {VERSION}")


def _check_header(path: Path, header_line: dict[str, Any], header: JournalHeader) -> None:
    wanted = asdict(header)
    for field in wanted:
        if header_line.get(field) != wanted[field]:
            raise UserError(
                f"{path} was started with {field} {header_line.get(field)!r}, not {wanted[field]!r}: answers of two "
                "kinds do not mix. Run with what it was started with, or move it away to ask for every item again"
            )


def _damaged(path: Path, number: int, what: str) -> UserError:
    return UserError(f"{path}, line {number}: {what}. Correct the line, or remove it to ask for its item again")
