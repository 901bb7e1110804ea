"""Is a leaderboard what its result files say, and are these what runs write? Level one: from the files alone.

Every problem is a line of its own, and all are found in one go. semidbench.submissions.data_checks and
semidbench.submissions.recompute go on from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from semidbench.api import TASKS, Task
from semidbench.errors import UserError, unknown
from semidbench.leaderboards.board import no_results, results_folder
from semidbench.results.cases import Cases
from semidbench.results.files import read_cases, read_cell
from semidbench.submissions.board_checks import Filed, board_problems, cases_hash, placed_hash
from semidbench.submissions.cell_checks import canonical, cell_problems
from semidbench.submissions.pair_checks import PairScores, pair_problems
from semidbench.tracks.files import built_in_tracks, load_track
from semidbench.tracks.track import Track


@dataclass(frozen=True, slots=True, eq=False)
class Verified:
    """What was found in one leaderboard's files.

    Attributes:
        track: that they were held against.
        filed: the results that could be read.
        problems: a line each; none if all is well.
    """

    track: Track
    filed: tuple[Filed, ...]
    problems: tuple[str, ...]

    @property
    def rows(self) -> int:
        """How many rows the results make."""
        return len({(each.cell.kind, each.cell.name) for each in self.filed})


def tracks_of(out: Path, asked: Sequence[str]) -> tuple[list[Track], list[str]]:
    """The tracks to verify under `out`: those asked for, else one per folder; and what stands there instead of one.

    Raises:
        UserError: an unknown track, or no leaderboard.
    """
    if asked:
        return [load_track(name) for name in dict.fromkeys(asked)], []
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
    """Hold the files of one leaderboard, `out`/<track name>, against each other and against the track."""
    folder = results_folder(track.name, out)
    linked = [path for path in (folder.parent, folder) if path.is_symlink()]
    if linked or not folder.is_dir():
        why = "is a link. Put the folder itself there" if linked else "is no folder. Submit results first"
        return Verified(track, (), (f"{linked[0] if linked else folder} {why}",))
    results, problems = paired_files(folder)
    if not results and not problems:
        return Verified(track, (), (no_results(folder),))
    filed, scores = [], PairScores(track.evaluation.primary)
    for path in results:
        try:
            one, cases = read_filed(path)
        except UserError as error:
            problems.append(str(error))
            continue
        filed.append(one)
        wrong = cell_problems(one.cell, cases, track)
        problems += [f"{path}: {what}. {_REMAKE}" for what in wrong]
        if not wrong and one.case_hashes == filed[0].case_hashes:
            scores.add(one.cell, cases)
    problems += [problem.text for problem in board_problems(filed, track)]
    if not problems:  # else some rows are missing or false
        problems += pair_problems(folder.parent / "leaderboard.json", scores, track)
    return Verified(track, tuple(filed), tuple(problems))


_REMAKE = "Run the cell again with this track and submit that, or delete its two files"


def paired_files(folder: Path) -> tuple[list[Path], list[str]]:
    """The JSON files in a results folder, sorted, and a line for each entry that has no place there."""
    entries = sorted(folder.iterdir())
    regular = [path for path in entries if path.is_file() and not path.is_symlink()]
    results = [path for path in regular if path.suffix == ".json"]
    expected = {*results, *(path.with_suffix(".parquet") for path in results)}
    strays = [path for path in entries if path not in expected or path not in regular]
    return results, [f"{path} is not one of a result's two files. Delete it" for path in strays]


def read_filed(path: Path) -> tuple[Filed, Mapping[Task, Cases]]:
    """A result and its test cases.

    Raises:
        UserError: a file is missing, damaged, changed, or its metrics do not follow from the cases.
    """
    cell = read_cell(path)
    cases = read_cases(path.parent, cell)
    hashes = {task: cases_hash(cases[task].units, cases[task].head) for task in TASKS}
    return Filed(path, cell, hashes, placed_hash(cases)), cases


def chosen(boards: Sequence[Verified], rows: Sequence[str], seeds: Sequence[int]) -> list[list[Filed]]:
    """Of each board the results of these rows and seeds; none named means all.

    Raises:
        UserError: a row that no board has, or no board has results of these seeds.
    """
    names = [canonical(row) for row in rows]
    known = {one.cell.name for board in boards for one in board.filed}
    strange = [name for name in names if name not in known]
    if known and strange:  # where nothing is known, something else is wrong, and said
        raise unknown("row", strange[0], known)
    found = [
        [one for one in board.filed if one.cell.name in (names or known) and (not seeds or one.cell.seed in seeds)]
        for board in boards
    ]
    if known and not any(found):
        tracks, asked = ", ".join(board.track.name for board in boards), ", ".join(map(str, seeds))
        raise UserError(f"no result of seed {asked} in {tracks}: name one that is there with --seed, or leave that out")
    return found
