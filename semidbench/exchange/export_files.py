"""The folder of an export: its place, and files that come into it whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path

from semidbench.errors import UserError
from semidbench.exchange.finished_cell import FinishedCell
from semidbench.store.files import replacing, slug

DEFAULT_OUT = Path("semidbench-export")


def export_folder(cell: FinishedCell, out: Path | None) -> Path:
    """`out`, else a folder of the cell's own."""
    if out is not None:
        return out
    of_split = DEFAULT_OUT if cell.session.split == "test" else DEFAULT_OUT / cell.session.split
    return of_split / cell.session.track.name / slug(cell.scheme.name, cell.seed)


def write_files(folder: Path, files: Mapping[str, Iterable[bytes]]) -> tuple[Path, ...]:
    """Write files, each given in pieces; they are moved into place when all of them are complete.

    Raises:
        UserError: the folder cannot be written; it is left as it was.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as all_written:
            for name, pieces in files.items():
                with all_written.enter_context(replacing(folder / name)).open("wb") as file:
                    file.writelines(pieces)
    except OSError as error:
        raise UserError(
            f"cannot write to {folder}: {error.strerror}. Make it writable or free space on its disk, or name "
            "another folder with --out"
        ) from error
    return tuple(folder / name for name in files)
