"""Is a leaderboard what its result files say, and are these what runs write? Level one: from the files alone.

Every problem is a line of its own, and all are found in one go. semidbench.submissions.data_checks and
semidbench.submissions.recompute go on from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from semidbench.errors import UserError, unknown
from semidbench.leaderboards.board import no_results, results_folder
from semidbench.submissions.board_checks import board_problems
from semidbench.submissions.cell_checks import canonical, cell_problems
from semidbench.submissions.filed_result import FiledResult, paired_files, read_result
from semidbench.submissions.pair_checks import PairScores, pair_problems
from semidbench.tracks.files import built_in_tracks, load_track
from semidbench.tracks.track import Track


@dataclass(frozen=True, slots=True, eq=False)
class Verified:
    """What the files of one leaderboard show.

    Attributes:
        track: that they were compared with.
        results: those that can be read.
        problems: a line each; none if nothing is wrong.
    """

    track: Track
    results: tuple[FiledResult, ...]
    problems: tuple[str, ...]

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
    """Check the files of one leaderboard, `out`/<track name>: each by itself, against each other and the track."""
    folder = results_folder(track.name, out)
    linked = [path for path in (folder.parent, folder) if path.is_symlink()]
    if linked or not folder.is_dir():
        why = "is a link. Put the folder itself there" if linked else "is not a folder. Submit results first"
        return Verified(track, (), (f"{linked[0] if linked else folder} {why}",))
    paths, problems = paired_files(folder)
    if not paths and not problems:
        return Verified(track, (), (no_results(folder),))
    results, scores = [], PairScores(track.evaluation.primary)
    for path in paths:
        try:
            result, cases = read_result(path)
        except UserError as error:
            problems.append(str(error))
            continue
        results.append(result)
        wrong = cell_problems(result.cell, cases, track)
        problems += [f"{path}: {problem}. {_REMAKE}" for problem in wrong]
        if not wrong and result.case_hashes == results[0].case_hashes:
            scores.add(result.cell, cases)
    problems += [problem.text for problem in board_problems(results, track)]
    if not problems:  # else some rows are missing or false
        problems += pair_problems(folder.parent / "leaderboard.json", scores, track)
    return Verified(track, tuple(results), tuple(problems))


_REMAKE = "Run the cell again with this track and submit that, or delete its two files"


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
