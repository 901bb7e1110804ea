"""From a run's folder into a leaderboard's: results that `semidbench verify` would not refuse, all of them or none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from semidbench.errors import UserError, unknown
from semidbench.exchange.imported_ids import file_name, ids_folder, imported_part
from semidbench.leaderboards.board import RESULTS, results_folder
from semidbench.results.files import cell_bytes, cell_paths
from semidbench.store.files import write_atomically
from semidbench.submissions.board_checks import Filed, board_problems
from semidbench.submissions.cell_checks import canonical, cell_problems
from semidbench.submissions.data_checks import data_at_hand, data_problems
from semidbench.submissions.verify import paired_files, read_filed
from semidbench.tracks.files import load_track
from semidbench.tracks.track import Track


@dataclass(frozen=True, slots=True)
class Submission:
    """What `submit` did.

    Attributes:
        track: of the leaderboard.
        written: JSON files, each with its Parquet.
        removed: JSON files of replaced rows, each with its Parquet.
        kept: JSON files that were there already, with the same content.
        schemes: that were written, by name.
    """

    track: Track
    written: tuple[Path, ...]
    removed: tuple[Path, ...]
    kept: tuple[Path, ...]
    schemes: tuple[str, ...]


def ids_to_publish(done: Submission) -> list[str]:
    """For each row of imported IDs that was written, a line about the file without which nobody can run it again."""
    return [
        f"publish {ids_folder() / file_name(*imported)}, the IDs of {name}, and link to it: nobody can run the row "
        "without it"
        for name in done.schemes
        if (imported := imported_part(name))
    ]


class Refused(UserError):
    """Results that a leaderboard does not take. Nothing was written.

    Attributes:
        problems: a line each.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(f"{len(problems)} problem{'s' * (len(problems) > 1)}, so nothing was written")
        self.problems = tuple(problems)


def submit(
    run: Path,
    to: Path | str = Path("leaderboards"),
    *,
    track: str | None = None,
    schemes: Sequence[str] = (),
    replace: bool = False,
) -> Submission:
    """Copy a run's results into `to`/<track name>/results.

    Args:
        run: a run's OUT/TRACK, or the results folder in it.
        track: a track file, for a run on a track that is not built in. None: the folder's name says which.
        schemes: rows to take, rankers by their name; none means all.
        replace: rows that are there with other results give way, all seeds of each.

    Raises:
        UserError: no results there, an unknown row or track, or files that cannot be written.
        Refused: results that `verify` would refuse, or that stand against results that are there.
    """
    source = _results_of(run)
    chosen = load_track(track or source.parent.name)
    new, problems = _read(source, chosen, schemes)
    if new and data_at_hand(chosen, None):
        problems += data_problems(new, chosen, None)
    target = results_folder(chosen.name, to)
    for path in (target.parent, target):
        if path.is_symlink():
            raise UserError(f"{path} is a link, and results go into a folder of their own. Name another with --to")
    there = _readable(target) if target.is_dir() else []
    places = {cell_paths(target, one.cell)[0]: one for one in new}
    kept = {path for path, one in places.items() if _is_copy(path, one)}
    taken = {path: one for path, one in places.items() if path not in kept and _exists(path)}
    if replace:
        rows = {(one.cell.kind, one.cell.name) for one in taken.values()}
        removed = {one.path for one in there if (one.cell.kind, one.cell.name) in rows} - kept
    else:
        removed = set()
        problems += [_conflict(path, one) for path, one in taken.items()]
    fresh = {path: one for path, one in places.items() if path not in kept}
    others = [one for one in there if one.path not in removed and one.path not in fresh]
    before = {(problem.path, problem.kind) for problem in board_problems(there, chosen)}  # for others to mend
    after = board_problems([*others, *fresh.values()], chosen)
    problems += [problem.text for problem in after if (problem.path, problem.kind) not in before]
    if problems:
        raise Refused(problems)
    _write(fresh, removed - set(fresh))
    written = dict.fromkeys(one.cell.name for one in fresh.values() if one.cell.kind == "scheme")
    return Submission(chosen, tuple(fresh), tuple(sorted(removed - set(fresh))), tuple(sorted(kept)), tuple(written))


def _results_of(run: Path) -> Path:
    """The folder of result files that a run left."""
    run = run.resolve()  # its name says the track, and that is not `..`
    folder = run if run.name == RESULTS else run / RESULTS
    if folder.is_dir() and any(folder.glob("*.json")):
        return folder
    inside = sorted(path.parent.name for path in run.glob("*/results") if path.is_dir())
    hint = f"Name one of the folders in it: {', '.join(inside)}" if inside else "Name the OUT/TRACK of a run"
    raise UserError(f"no results in {folder}. {hint}")


def _readable(folder: Path) -> list[Filed]:
    """The results in a leaderboard that can be read; what is wrong there already is for `verify` to say."""
    found: list[Filed] = []
    for path in paired_files(folder)[0]:
        with suppress(UserError):
            found.append(read_filed(path)[0])
    return found


def _read(folder: Path, track: Track, schemes: Sequence[str]) -> tuple[list[Filed], list[str]]:
    """A run's results of these rows (none: of all) that can be read, and a line for all that is wrong with each."""
    wanted = [canonical(name) for name in schemes]
    read: list[Filed] = []
    problems: list[str] = []
    others: set[str] = set()
    for path in paired_files(folder)[0]:  # whatever else a run's folder holds is not copied
        try:
            one, cases = read_filed(path)
        except UserError as error:
            problems.append(str(error))
            continue
        if wanted and one.cell.name not in wanted:
            others.add(one.cell.name)
            continue
        read.append(one)
        wrong = cell_problems(one.cell, cases, track)
        problems += [f"{path}: {what}. Run the cell again and submit that" for what in wrong]
    found = {one.cell.name for one in read}
    if missing := [name for name in wanted if name not in found]:
        raise unknown("row", missing[0], found | others, "Those are the rows of the run.")
    return read, problems


def _exists(path: Path) -> bool:
    return path.is_symlink() or path.exists() or path.with_suffix(".parquet").exists()


def _is_copy(path: Path, one: Filed) -> bool:
    """Whether both files of a result are at `path` already."""
    pairs = ((path, one.path), (path.with_suffix(".parquet"), one.path.with_suffix(".parquet")))
    return all(
        not there.is_symlink() and there.is_file() and there.read_bytes() == ours.read_bytes() for there, ours in pairs
    )


def _conflict(path: Path, one: Filed) -> str:
    return (
        f"{one.path}: {path} is there with another result of {one.cell.name!r} seed {one.cell.seed}. Give --replace to "
        f"put this run's seeds in place of all of that row's, or delete {path.name} and its .parquet first"
    )


def _write(fresh: Mapping[Path, Filed], removed: Iterable[Path]) -> None:
    """Write the results and remove others; what fails is undone.

    Raises:
        UserError: a file cannot be written.
    """
    gone = {file for path in removed for file in (path, path.with_suffix(".parquet"))}
    new: dict[Path, bytes] = {}
    for path, one in fresh.items():  # the Parquet first: a JSON never stands without it
        new[path.with_suffix(".parquet")] = one.path.with_suffix(".parquet").read_bytes()
        new[path] = cell_bytes(one.cell)
    before = {path: path.read_bytes() if path.is_file() else None for path in {*gone, *new}}
    touched: list[Path] = []
    try:
        for path in {path.parent for path in new}:
            path.mkdir(parents=True, exist_ok=True)
        for path in sorted(gone | {path for path in fresh if before[path] is not None}):
            touched.append(path)
            path.unlink(missing_ok=True)
        for path, data in new.items():
            touched.append(path)
            write_atomically(path, data)
    except BaseException as error:
        for path in touched:
            _restore(path, before[path])
        if isinstance(error, OSError):
            raise UserError(
                f"cannot write results to {error.filename}: {error.strerror}. Nothing was changed. Name another "
                "folder with --to"
            ) from error
        raise


def _restore(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink(missing_ok=True)
    else:
        write_atomically(path, content)
