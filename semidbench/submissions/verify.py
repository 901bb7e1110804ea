"""Is a leaderboard what its result files give, and are these what runs write? Level one: from the files alone.

Every problem is a line of its own, and all are found in one go. semidbench.submissions.data_checks and
semidbench.submissions.recompute go on from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from semidbench.errors import UserError, unknown
from semidbench.leaderboards.board import leaderboard, no_results, results_folder
from semidbench.leaderboards.build import (
    NOT_A_FILE,
    PAGE,
    Built,
    folders_with_results,
    page_bytes,
    stale,
    table_files,
    tracks_with_results,
)
from semidbench.leaderboards.claims.judge import Ledger, judge
from semidbench.submissions.board_checks import board_problems
from semidbench.submissions.cell_checks import canonical, cell_problems
from semidbench.submissions.filed_result import FiledResult, paired_files, read_result
from semidbench.tracks.files import built_in_tracks, load_track
from semidbench.tracks.track import Track


@dataclass(frozen=True, slots=True, eq=False)
class Verified:
    """What the files of one leaderboard show.

    Attributes:
        track: that they were compared with.
        results: those that can be read.
        problems: a line each; none if nothing is wrong.
        ledger: the tables' content as the results give it; None where a result has a problem.
    """

    track: Track
    results: tuple[FiledResult, ...]
    problems: tuple[str, ...]
    ledger: Ledger | None = None

    @property
    def rows(self) -> int:
        """How many rows the results make."""
        return len({(result.cell.kind, result.cell.name) for result in self.results})


def tracks_of(out: Path, names: Sequence[str]) -> tuple[list[Track], list[str]]:
    """The tracks with these names, or without names one for each folder in `out`; and a line for each other folder.

    Raises:
        UserError: an unknown track, or no leaderboard.
    """
    if names:
        return [load_track(name) for name in dict.fromkeys(names)], []
    try:
        folders = sorted(path for path in out.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise UserError(f"cannot read {out}: {error.strerror}. Name the leaderboards' folder with --out") from error
    known = built_in_tracks()
    problems = [
        f"{folder}: no built-in track has that name. Give its file with --track FILE, or delete the folder"
        for folder in folders
        if folder.name not in known
    ]
    if not folders:
        raise UserError(f"no leaderboard in {out}: name the folder that holds them with --out")
    return [load_track(folder.name) for folder in folders if folder.name in known], problems


def verify_files(track: Track, out: Path) -> Verified:
    """Check the files of one leaderboard, `out`/<track name>: each by itself, against each other and the track.

    The tables are compared byte by byte with what the results give, where no result has a problem.
    """
    folder = results_folder(track.name, out)
    linked = [path for path in (folder.parent, folder) if path.is_symlink()]
    if linked or not folder.is_dir():
        why = "is a link. Put the folder itself there" if linked else "is not a folder. Submit results first"
        return Verified(track, (), (f"{linked[0] if linked else folder} {why}",))
    paths, problems = paired_files(folder)
    if not paths and not problems:
        return Verified(track, (), (no_results(folder),))
    results = []
    for path in paths:
        try:
            result, cases = read_result(path)
        except UserError as error:
            problems.append(str(error))
            continue
        results.append(result)
        problems += [f"{path}: {problem}. {_REMAKE}" for problem in cell_problems(result.cell, cases, track)]
    problems += [problem.text for problem in board_problems(results, track)]
    if problems:  # tables of wrong or missing rows would say no more
        return Verified(track, tuple(results), tuple(problems))
    ledger = judge(leaderboard(track, out))
    return Verified(track, tuple(results), tuple(_built_problems(table_files(ledger, out), out)), ledger)


_REMAKE = "Run the cell again with this track and submit that, or delete its two files"


def page_problems(boards: Sequence[Verified], out: Path) -> list[str]:
    """A line if the page in `out` is not what the results give.

    Only a page that is there is checked: what `run` leaves has none. It shows every track in `out`, so that it is
    checked only where `boards` are all of these and no result has a problem.
    """
    ledgers = {board.track.name: board.ledger for board in boards if board.ledger}
    page = out / PAGE
    if sorted(ledgers) != folders_with_results(out) or not (page.exists() or page.is_symlink()):
        return []
    order = tracks_with_results(out, [board.track for board in boards])
    return _built_problems({page: page_bytes([ledgers[track.name] for track in order])}, out)


def _built_problems(files: Mapping[Path, bytes], out: Path) -> list[str]:
    """A line for each file that has not this content."""
    how = f"`semidbench leaderboard build --out {out}` makes it from the results: run that, and commit what it writes"
    return [
        f"{path} is {state}. {'Delete it. ' if state == NOT_A_FILE else ''}{how}"
        for path, state in stale(Built(files, ())).items()
    ]


def select_results(boards: Sequence[Verified], rows: Sequence[str], seeds: Sequence[int]) -> list[list[FiledResult]]:
    """Of each board the results of these rows and seeds; without rows or seeds, of all.

    Raises:
        UserError: a row that no board has, or no board has results of these seeds.
    """
    names = [canonical(row) for row in rows]
    known = {result.cell.name for board in boards for result in board.results}
    missing = [name for name in names if name not in known]
    if known and missing:  # where nothing is known, another problem was reported
        raise unknown("row", missing[0], known)
    selected = [
        [
            result
            for result in board.results
            if result.cell.name in (names or known) and (not seeds or result.cell.seed in seeds)
        ]
        for board in boards
    ]
    if known and not any(selected):
        tracks, numbers = ", ".join(board.track.name for board in boards), ", ".join(map(str, seeds))
        raise UserError(
            f"no result of seed {numbers} in {tracks}: name a seed that is there with --seed, or leave --seed out"
        )
    return selected
