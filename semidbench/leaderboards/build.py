"""All pages of a folder of leaderboards from the results in it: rendered first, then written, or compared.

The bytes depend on the results, the tracks and semidbench alone: not on the Python, the locale, the time or the order
of the result files.
"""

from __future__ import annotations

import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from semidbench.errors import UserError
from semidbench.leaderboards import tables
from semidbench.leaderboards.board import RESULTS, leaderboard, no_results, results_folder
from semidbench.leaderboards.claims import compare
from semidbench.leaderboards.claims.judge import Ledger, judge
from semidbench.leaderboards.page import render_page
from semidbench.store.files import write_atomically
from semidbench.tracks.files import built_in_tracks, load_track
from semidbench.tracks.track import Track

PAGE = "index.html"
NOT_A_FILE = "not a file"  # but a folder, a pipe or the like
_FIRST, _LAST = ("paper", "ml-small", "demo"), ("smoke",)


@dataclass(frozen=True, slots=True)
class Built:
    """What a folder of leaderboards should hold.

    Attributes:
        files: the content of each file, by its path.
        unexpected: files and folders beside them that the results give no reason for.
    """

    files: Mapping[Path, bytes]
    unexpected: tuple[Path, ...]


def build(out: Path, tracks: Sequence[str] = ()) -> Built:
    """Render the tables of these tracks, all if none is named, and the page of all tracks. Writes nothing.

    Args:
        out: a folder with a folder per track, and in each of these a folder `results`.
        tracks: names of built-in tracks, or track files. A track that is not built in must be named by its file.

    Raises:
        UserError: no results, damaged ones, ones of another track version, or a folder whose track is not known.
    """
    named = [load_track(name) for name in tracks]
    missing = [track.name for track in named if not results_folder(track.name, out).is_dir()]
    if missing:
        raise UserError(f"{results_folder(missing[0], out)} is not there: `semidbench submit` puts results into it")
    tracks_there = tracks_with_results(out, named)
    for folder in (results_folder(track.name, out) for track in tracks_there):
        if not any(folder.glob("*.json")):
            raise UserError(no_results(folder))
    ledgers = [judge(leaderboard(track, out)) for track in tracks_there]
    wanted = {track.name for track in named} or {ledger.board.track.name for ledger in ledgers}
    built = [ledger for ledger in ledgers if ledger.board.track.name in wanted]
    files = {path: content for ledger in built for path, content in table_files(ledger, out).items()}
    files[out / PAGE] = page_bytes(ledgers)
    return Built(files, tuple(_unexpected(out, files)))


def tracks_with_results(out: Path, named: Sequence[Track] = ()) -> list[Track]:
    """The tracks that have results in `out`, in the order in which a page shows them.

    Raises:
        UserError: none has, or one is neither built in nor named.
    """
    known = {track.name: track for track in named}
    folders = folders_with_results(out)
    if not folders:
        raise UserError(f"no results in {out}: `semidbench submit` puts some into it")
    for name in folders:
        if name not in known and name not in built_in_tracks():
            raise UserError(
                f"{out / name} holds results of track {name!r}, which is not built in: name its file with --track, "
                "or move that folder away"
            )
    order = [*_FIRST, *(name for name in folders if name not in _FIRST + _LAST), *_LAST]
    return [known.get(name) or load_track(name) for name in order if name in folders]


def folders_with_results(out: Path) -> list[str]:
    """The names of the folders in `out` that hold a folder of results, sorted; links do not count."""
    folders = (path for path in out.glob(f"*/{RESULTS}") if path.is_dir() and not path.parent.is_symlink())
    return sorted(path.parent.name for path in folders)


def table_files(ledger: Ledger, out: Path) -> dict[Path, bytes]:
    """The content of a track's tables and claims, by the path of each file."""
    folder = out / ledger.board.track.name
    texts = tables.files(ledger.board, folder) | compare.files(ledger, folder)
    return {path: text.encode() for path, text in texts.items()}


def page_bytes(ledgers: Sequence[Ledger]) -> bytes:
    """The content of the page of these tracks, in the order in which it shows them."""
    return render_page(ledgers).encode()


def _unexpected(out: Path, files: Collection[Path]) -> Iterator[Path]:
    """What stands in `out` beside the page and the tracks' folders, or in these beside their files and results."""
    for path in sorted(out.iterdir()):
        if path not in files and (path.is_symlink() or not (path / RESULTS).is_dir()):
            yield path
    for folder in sorted({path.parent for path in files} - {out}):
        for path in sorted(folder.iterdir()):
            if path not in files and (path.name != RESULTS or path.is_symlink()):
                yield path


def stale(built: Built) -> dict[Path, str]:
    """What is wrong with each file or folder that is not as it should be, by its path, in the order of the paths."""
    wrong = dict.fromkeys(built.unexpected, "should not be there")
    for path, content in built.files.items():
        if problem := _file_problem(path, content):
            wrong[path] = problem
    return {path: wrong[path] for path in sorted(wrong)}


def _file_problem(path: Path, content: bytes) -> str | None:
    """What is wrong with a file that should have this content. One of another size is not read, however large."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return "missing"
    if stat.S_ISLNK(status.st_mode):
        return "a link"
    if not stat.S_ISREG(status.st_mode):
        return NOT_A_FILE
    return "stale" if status.st_size != len(content) or path.read_bytes() != content else None


def write(built: Built) -> list[Path]:
    """Write the files that are missing, stale or links; which."""
    changed = [path for path, what in stale(built).items() if what != "should not be there"]
    for path in changed:
        write_atomically(path, built.files[path])
    return changed
