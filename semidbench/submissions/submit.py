"""From a run's folder into a leaderboard's: all of its results, or none if `semidbench verify` would refuse one."""

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
from semidbench.submissions.board_checks import board_problems
from semidbench.submissions.cell_checks import canonical, cell_problems
from semidbench.submissions.data_checks import data_at_hand, data_problems
from semidbench.submissions.filed_result import FiledResult, paired_files, read_result
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
        schemes: names of the schemes that were written.
    """

    track: Track
    written: tuple[Path, ...]
    removed: tuple[Path, ...]
    kept: tuple[Path, ...]
    schemes: tuple[str, ...]


def ids_to_publish(done: Submission) -> list[str]:
    """A line for each row of imported IDs that was written: others need the file of its IDs to run it."""
    return [
        f"publish {ids_folder() / file_name(*imported)}, the IDs of {name}, and link to it: nobody else can run the "
        "row without it"
        for name in done.schemes
        if (imported := imported_part(name))
    ]


class Refused(UserError):
    """Results that a leaderboard does not accept. Nothing was written.

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
        schemes: rows to copy, rankers by their name; none means all.
        replace: replace rows that are there with other results, all seeds of each.

    Raises:
        UserError: no results there, an unknown row or track, or files that cannot be written.
        Refused: results that `verify` would refuse, or other results of the same cells are there.
    """
    source = _results_of(run)
    chosen = load_track(track or source.parent.name)
    new, problems = _read(source, chosen, schemes)
    if new and data_at_hand(chosen, None):
        problems += data_problems(new, chosen, None)
    target = results_folder(chosen.name, to)
    for path in (target.parent, target):
        if path.is_symlink():
            raise UserError(f"{path} is a link, and results need a folder. Name another with --to")
    there = _readable(target) if target.is_dir() else []
    destinations = {cell_paths(target, result.cell)[0]: result for result in new}
    kept = {path for path, result in destinations.items() if _is_copy(path, result)}
    taken = {path: result for path, result in destinations.items() if path not in kept and _exists(path)}
    if replace:
        rows = {(result.cell.kind, result.cell.name) for result in taken.values()}
        removed = {result.path for result in there if (result.cell.kind, result.cell.name) in rows} - kept
    else:
        removed = set()
        problems += [_conflict(path, result) for path, result in taken.items()]
    fresh = {path: result for path, result in destinations.items() if path not in kept}
    others = [result for result in there if result.path not in removed and result.path not in fresh]
    before = {(problem.path, problem.kind) for problem in board_problems(there, chosen)}  # not this run's to fix
    after = board_problems([*others, *fresh.values()], chosen)
    problems += [problem.text for problem in after if (problem.path, problem.kind) not in before]
    if problems:
        raise Refused(problems)
    _write(fresh, removed - set(fresh))
    written = dict.fromkeys(result.cell.name for result in fresh.values() if result.cell.kind == "scheme")
    return Submission(chosen, tuple(fresh), tuple(sorted(removed - set(fresh))), tuple(sorted(kept)), tuple(written))


def _results_of(run: Path) -> Path:
    """The folder of result files that a run left."""
    run = run.resolve()  # its name is the track's, and that is not `..`
    folder = run if run.name == RESULTS else run / RESULTS
    if folder.is_dir() and any(folder.glob("*.json")):
        return folder
    inside = sorted(path.parent.name for path in run.glob("*/results") if path.is_dir())
    hint = f"Name one of the folders in it: {', '.join(inside)}" if inside else "Name the OUT/TRACK of a run"
    raise UserError(f"no results in {folder}. {hint}")


def _readable(folder: Path) -> list[FiledResult]:
    """The results in a leaderboard that can be read; `verify` reports what is wrong with the others."""
    results: list[FiledResult] = []
    for path in paired_files(folder)[0]:
        with suppress(UserError):
            results.append(read_result(path)[0])
    return results


def _read(folder: Path, track: Track, schemes: Sequence[str]) -> tuple[list[FiledResult], list[str]]:
    """A run's results of these rows (none: of all) that can be read, and a line for each problem of a result."""
    requested = [canonical(name) for name in schemes]
    results: list[FiledResult] = []
    problems: list[str] = []
    others: set[str] = set()
    for path in paired_files(folder)[0]:  # other files of a run's folder are not copied
        try:
            result, cases = read_result(path)
        except UserError as error:
            problems.append(str(error))
            continue
        if requested and result.cell.name not in requested:
            others.add(result.cell.name)
            continue
        results.append(result)
        wrong = cell_problems(result.cell, cases, track)
        problems += [f"{path}: {problem}. Run the cell again and submit that" for problem in wrong]
    names = {result.cell.name for result in results}
    if missing := [name for name in requested if name not in names]:
        raise unknown("row", missing[0], names | others, "Those are the rows of the run.")
    return results, problems


def _exists(path: Path) -> bool:
    return path.is_symlink() or path.exists() or path.with_suffix(".parquet").exists()


def _is_copy(path: Path, result: FiledResult) -> bool:
    """Whether both files of a result are at `path` already."""
    pairs = ((path, result.path), (path.with_suffix(".parquet"), result.path.with_suffix(".parquet")))
    return all(
        not there.is_symlink() and there.is_file() and there.read_bytes() == own.read_bytes() for there, own in pairs
    )


def _conflict(path: Path, result: FiledResult) -> str:
    return (
        f"{result.path}: {path} is another result of {result.cell.name!r} seed {result.cell.seed}. Give --replace to "
        f"replace all seeds of that row by this run's, or delete {path.name} and its .parquet first"
    )


def _write(fresh: Mapping[Path, FiledResult], removed: Iterable[Path]) -> None:
    """Write the results and remove others. If something fails, everything is undone.

    Raises:
        UserError: a file cannot be written.
    """
    gone = {file for path in removed for file in (path, path.with_suffix(".parquet"))}
    new: dict[Path, bytes] = {}
    for path, result in fresh.items():  # the Parquet first: a JSON is never there without it
        new[path.with_suffix(".parquet")] = result.path.with_suffix(".parquet").read_bytes()
        new[path] = cell_bytes(result.cell)
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
