"""Files that come into place whole."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from glob import escape
from pathlib import Path

from semidbench.errors import UserError

_NAME = 40  # characters of a file's name in that of its temporary file: names are bounded


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside `path` to write a file to; when the block ends, that file replaces `path`.

    So `path` is at any moment the old file or the new one, whole. If the block raises, the new file is removed. A
    process that is killed leaves it: `.NAME-DIGITS.tmp`, where NAME is the beginning of the file's name.
    """
    temporary = path.with_name(f".{path.name[:_NAME]}-{os.urandom(8).hex()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def left_behind(path: Path) -> list[Path]:
    """What processes that were killed while `replacing` a file left of it, and what others are writing now."""
    digits = "[0-9a-f]" * 16
    return sorted(path.parent.glob(f".{escape(path.name[:_NAME])}-{digits}.tmp"))


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that at any moment it is either the old one or the new one, whole."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_texts(texts: Mapping[Path, str]) -> list[Path]:
    """Write files of text by their paths, each atomically; gives back the paths. Their folders are made."""
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode())
    return list(texts)


def slug(name: str, seed: int) -> str:
    """A file name for a cell: readable, safe on any file system, and of one cell only (it ends in a hash)."""
    readable = re.sub(r"[^a-z0-9.]+", "-", name.lower().replace("/", ".")).strip("-.")[:80] or "row"
    digest = hashlib.sha256(f"{name}\n{seed}".encode()).hexdigest()[:10]
    return f"{readable}-seed{seed}-{digest}"


def read_regular(path: Path, limit: int) -> bytes:
    """A file's bytes, where nobody knows who wrote it.

    Raises:
        UserError: it is a link, a pipe or the like, or has more bytes than `limit`.
        OSError: it cannot be read.
    """
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise UserError(f"{path} is a link or no file. Put the file itself there, or delete it")
    if status.st_size > limit:
        raise UserError(f"{path} has {status.st_size:,} bytes, and at most {limit:,} are read. Delete the file")
    return path.read_bytes()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hex.

    Raises:
        UserError: it cannot be read.
    """
    try:
        with path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}. Check that it exists and is readable") from error
