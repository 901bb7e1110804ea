"""IDs made elsewhere: checked against a track, kept in the user's folder, and named by their hash in a scheme.

A file is kept as NAME.HASH.parquet, HASH being the first digits of the code table's hash. A scheme names both, in the
options `ids` and `sha256` of its layout, so that other IDs can never share a row of a leaderboard. Whatever layout has
both options runs imported IDs.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from semidbench.api import ItemIds, Task
from semidbench.errors import UserError
from semidbench.exchange.ids_json import from_json, to_ids
from semidbench.exchange.ids_parquet import MAGIC, from_parquet, to_parquet
from semidbench.hookspecs import IMPORTED_IDS_LAYOUT
from semidbench.ids.layout import ids_sha256
from semidbench.methods.scheme import parse_scheme
from semidbench.store.files import write_atomically
from semidbench.tracks.track import Track

IDS_VARIABLE = "SEMIDBENCH_IDS"
MAX_BYTES = 64 * 2**20
_DIGITS = 12  # of the hash: 48 bits
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_HASH = re.compile(rf"[0-9a-f]{{{_DIGITS}}}")


@dataclass(frozen=True, slots=True)
class ImportedIds:
    """What an import kept.

    Attributes:
        new: False where the same IDs were kept before, under the same name.
        scheme: what to run.
    """

    ids: dict[Task, ItemIds]
    path: Path
    new: bool
    scheme: str


def ids_folder() -> Path:
    """`$SEMIDBENCH_IDS`, else a folder among the user's data."""
    from platformdirs import user_data_path

    return Path(os.environ.get(IDS_VARIABLE) or user_data_path("semidbench") / "ids").absolute()


def imported_part(row: str) -> tuple[str, str] | None:
    """Name and hash of the imported IDs that a scheme runs with, by its layout's options; None if it runs with none.

    Raises:
        UserError: the row's name cannot be read.
    """
    options = dict(parse_scheme(row).layout.options)
    return (options["ids"], options["sha256"]) if {"ids", "sha256"} <= set(options) else None


def import_ids(file: Path, rec: Path | None, name: str, track: Track, n_items: int) -> ImportedIds:
    """Check IDs and keep them. The same IDs leave the same bytes; other IDs of that name stay where they are.

    Args:
        file: a Parquet file of `semidbench export ids`, or an index as JSON; for both tasks if `rec` is None.
        rec: an index for recommendation; `file` is then for search.
        name: what the scheme will call them.
        n_items: of the track.

    Raises:
        UserError: the name or a file is no good, or not for so many items; nothing is kept then.
    """
    if not _NAME.fullmatch(name):
        raise UserError(
            f"--name {name[:40]!r}: a name has 1 to 64 of the characters a-z 0-9 _ - and begins with a letter or digit"
        )
    ids = _read(file, rec, n_items)
    if len(ids["search"].codes) != n_items:
        raise UserError(f"{file} has IDs for {len(ids['search'].codes):,} items, track {track.name} has {n_items:,}")
    digits = ids_sha256(ids)[:_DIGITS]
    path = ids_folder() / file_name(name, digits)
    data = to_parquet(ids, made_by={})
    try:
        new = not path.exists()
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)
    except OSError as error:
        raise UserError(
            f"cannot keep IDs in {path.parent}: {error.strerror}. Make it writable or free space on its disk, or name "
            f"another folder in ${IDS_VARIABLE}"
        ) from error
    return ImportedIds(ids, path, new, f"-/-/{IMPORTED_IDS_LAYOUT}[ids={name},sha256={digits}]")


def load_imported_ids(name: str, sha256: str) -> dict[Task, ItemIds]:
    """The IDs that an import kept under that name and hash; public, for layout plugins.

    Args:
        name: the layout's option `ids`.
        sha256: its option `sha256`, the first 12 digits of the hash, as in the scheme that the import printed.

    Returns:
        IDs for both tasks, the same object twice where the tasks share them. The caller compares their number with
        that of the track's items.

    Raises:
        UserError: there are none of that name and hash, or the file is damaged.
    """
    if not _NAME.fullmatch(name) or not _HASH.fullmatch(sha256):
        raise UserError(
            f"imported IDs are named as `semidbench import ids` prints it, [ids=NAME,sha256={'0' * _DIGITS}], "
            f"not [ids={name[:80]},sha256={sha256[:80]}]"
        )
    folder = ids_folder()
    path = folder / file_name(name, sha256)
    try:
        data = read_limited(path)
    except FileNotFoundError:
        raise _unknown(folder, name, sha256) from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}. Import the IDs again") from error
    ids = from_parquet(data, str(path)).ids
    if (found := ids_sha256(ids)[:_DIGITS]) != sha256:
        raise UserError(f"{path} holds IDs with sha256 {found}..., not {sha256}.... Import the right ones again")
    return ids


def read_limited(path: Path) -> bytes:
    """A file's bytes.

    Raises:
        UserError: more than `MAX_BYTES`; no more than these are read.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise UserError(f"{path} is too large: a file of IDs has at most {MAX_BYTES:,} bytes. Give the right file")
    return data


def _read(file: Path, rec: Path | None, n_items: int) -> dict[Task, ItemIds]:
    data = _bytes(file)
    if data.startswith(MAGIC):
        if rec is not None:
            raise UserError(f"{file} is Parquet, which holds the IDs of both tasks. Leave --rec {rec} out")
        return from_parquet(data, str(file)).ids
    search = from_json(data, file, n_items)
    return to_ids(search, search if rec is None else from_json(_bytes(rec), rec, n_items))


def _bytes(path: Path) -> bytes:
    try:
        return read_limited(path)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}. Check that it exists and is readable") from error


def file_name(name: str, digits: str) -> str:
    """Of the IDs that are kept under that name and hash."""
    return f"{name}.{digits}.parquet"


def _unknown(folder: Path, name: str, sha256: str) -> UserError:
    kept = [path.name.split(".")[1] for path in sorted(folder.glob(file_name(name, "*")))]
    others = f" Of that name there are: {', '.join(kept)}." if kept else ""
    return UserError(
        f"no IDs {name!r} with sha256 {sha256} in {folder}.{others} "
        f"`semidbench import ids FILE --name {name}` keeps IDs and prints the scheme to run"
    )
