"""`semidbench run`: the rows of a track, or schemes of one's own, over seeds, to result files and a leaderboard.

`run` and `run_with` are the whole way in order. What a cell goes through is `run_cell`, in semidbench.runs.cell.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from semidbench.dataset import Split
from semidbench.errors import UserError
from semidbench.isolation.limits import check_limits, plugin_limits
from semidbench.isolation.resolver import resolve_here, resolve_isolated
from semidbench.leaderboards.board import Leaderboard, check_track, leaderboard, results_folder
from semidbench.leaderboards.claims.compare import write_comparison
from semidbench.leaderboards.tables import write_tables
from semidbench.machine.device import check_gpus, held_threads, pick_device
from semidbench.methods.failure import PluginFailure
from semidbench.methods.resolved import MissingMethod, Outcome, ResolvedMethod, ResolvedRow, ResolvedScheme
from semidbench.results.files import read_cells
from semidbench.runs.cell import cell_label, run_cell
from semidbench.runs.failures import Failure, write_failure
from semidbench.runs.reporter import Reporter, Silent
from semidbench.runs.rows import check_numbers, wanted_rows
from semidbench.runs.shared.query_tokens import held_out_query_tokens, training_query_tokens
from semidbench.runs.shared.session import Session, open_session
from semidbench.runs.stages.attempt import FailedStages
from semidbench.runs.workers.capacity import Capacity, count_workers, measure
from semidbench.runs.workers.jobs import Job, plan_jobs
from semidbench.runs.workers.scheduler import Setup, run_jobs
from semidbench.store.stages import default_store
from semidbench.tracks.files import load_track
from semidbench.tracks.track import Track

DEFAULT_TRACK = "demo"
DEFAULT_OUT = Path("semidbench-results")
DEVELOPMENT = "development"  # results of the development split stand in a folder of their own


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What was asked of a run; `run` explains each."""

    track: str = DEFAULT_TRACK
    schemes: tuple[str, ...] = ()
    seeds: int | None = None
    table: str | None = None
    data: Path | None = None
    out: Path = DEFAULT_OUT
    cache: Path | None = None
    split: Split = "test"
    device: str = "auto"
    jobs: int | None = None
    gpus: int = 1
    plugin_minutes: float | None = None
    plugin_memory: float | None = None
    debug_plugins: bool = False
    skip_missing: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """What a run leaves.

    Attributes:
        leaderboard: of everything in its folder, earlier results included; None where there is nothing to show.
        folder: where that is.
        files: the tables.
        failures: the cells that a plugin failed in.
    """

    leaderboard: Leaderboard | None
    folder: Path
    files: tuple[Path, ...]
    failures: tuple[Failure, ...] = ()


def run(
    track: str = DEFAULT_TRACK,
    schemes: Sequence[str] = (),
    seeds: int | None = None,
    *,
    table: str | None = None,
    data: Path | None = None,
    out: Path = DEFAULT_OUT,
    cache: Path | None = None,
    split: Split = "test",
    device: str = "auto",
    jobs: int | None = None,
    gpus: int = 1,
    plugin_minutes: float | None = None,
    plugin_memory: float | None = None,
    debug_plugins: bool = False,
    skip_missing: bool = False,
    reporter: Reporter | None = None,
) -> Run:
    """Train, evaluate and rank Semantic ID schemes.

    Every name, option and file is checked before any work starts. Finished stages are kept in the
    cache: a run that was killed goes on where it was, and one that was finished computes nothing.
    Plugins work in processes of their own; one that fails costs its cells and no other.

    Args:
        track: a built-in track's name, or a track file.
        schemes: rows as embedder/quantizer/layout; none means `table`, or the rows that the track names.
        seeds: seeds 0 .. seeds-1; None means what the track plans.
        table: the rows of a published table instead, "1", "2", "3", "extra" or "all"; see semidbench.published.
        data: folder with the track's data, for tracks that read some.
        out: results and tables go to out/TRACK.
        cache: where stage outputs are kept; None means `default_store()`.
        split: "development" holds out other cases than the test, for choices during development; its
            results go to out/development/TRACK.
        device: "cpu", "cuda", or "auto" for CUDA where there is some.
        jobs: how many cells run at a time, each in a process of its own; 1 means in this one. None: as many as cores
            and free memory allow, on CUDA at most one for each card. On a CPU it changes no number.
        gpus: how many graphics cards train a cell's generator together; with more than 1, cells run one at a time.
        plugin_minutes: that a stage of a plugin may take; None: as the track plans.
        plugin_memory: GiB that it may take, on a CPU under Linux; None: what is free, divided by the cells at a time.
        debug_plugins: have plugins work in this process, without limits, and cells run one at a time.
        skip_missing: leave out rows whose plugins are not installed, with a note.
        reporter: is called as the work goes on; None: nobody is.

    Raises:
        UserError: anything the user can fix.
    """
    options = RunOptions(
        track=track,
        schemes=tuple(schemes),
        seeds=seeds,
        table=table,
        data=data,
        out=out,
        cache=cache,
        split=split,
        device=device,
        jobs=jobs,
        gpus=gpus,
        plugin_minutes=plugin_minutes,
        plugin_memory=plugin_memory,
        debug_plugins=debug_plugins,
        skip_missing=skip_missing,
    )
    return run_with(options, reporter or Silent())


def run_with(options: RunOptions, reporter: Reporter) -> Run:
    """As `run`: resolve the rows, open the session, run every cell, write the tables."""
    track = load_track(options.track)
    seeds = track.plan.seeds if options.seeds is None else options.seeds
    _check(options, seeds)
    rows, unbuilt = _resolve(options, track, reporter)
    out = options.out if options.split == "test" else options.out / DEVELOPMENT
    folder = results_folder(track.name, out)
    _check_folder(folder, track)
    with held_threads(track.threads):
        reporter.stage("prepare the data")
        store, device = options.cache or default_store(), pick_device(options.device)
        check_gpus(options.gpus, device)
        minutes = track.plan.stage_minutes if options.plugin_minutes is None else options.plugin_minutes
        check_limits(minutes, options.plugin_memory, device)
        session = open_session(track, options.split, options.data, store, device, options.gpus)
        for note in session.dataset.notes:
            reporter.note(note)
        jobs, capacity = plan_jobs(session, rows, seeds), measure(session)
        cells = [job for job in jobs if job.kind != "embedder"]
        count = _workers(options, cells, capacity, reporter)
        limits = plugin_limits(minutes, options.plugin_memory, device, capacity.free_mib, count)
        if count > 1:
            _tokenise(session, cells, reporter)
        reporter.plan(len(cells) + seeds * len(unbuilt))
        failures = _fail_unbuilt(unbuilt, seeds, folder, reporter)
        if count > 1:
            setup = Setup.of(session, options.data, folder, limits, rows)
            del session  # the workers open their own
            failures += run_jobs(jobs, setup, count, capacity.cards, reporter)
        else:
            session = replace(session, limits=None if options.debug_plugins else limits)
            failed: FailedStages = {}
            for seed in range(seeds):
                for row in rows:
                    work = reporter.begin(cell_label(row.name, seed))
                    if failure := run_cell(session, row, seed, folder, work, failed):
                        write_failure(failure, folder)
                        work.failed(failure.message)
                        failures.append(failure)
    return _tables(track, out, tuple(failures), reporter)


def _check(options: RunOptions, seeds: int) -> None:
    """Refuse numbers below one, and options that exclude each other."""
    jobs = options.jobs
    check_numbers(seeds, jobs)
    if options.gpus > 1 and jobs is not None and jobs > 1:
        raise UserError(
            f"--gpus {options.gpus} trains one cell at a time on all those cards, so not with --jobs {jobs}"
        )
    if options.debug_plugins and jobs is not None and jobs > 1:
        raise UserError(f"--debug-plugins runs one cell at a time in this process, so not with --jobs {jobs}")


def _resolve(
    options: RunOptions, track: Track, reporter: Reporter
) -> tuple[tuple[ResolvedRow, ...], dict[str, PluginFailure]]:
    """The rows, schemes first, and by name those whose plugins cannot be imported or built."""
    wanted = wanted_rows(track, options.schemes, options.table)
    resolve = resolve_here if options.debug_plugins else resolve_isolated
    outcomes = resolve(track, tuple(wanted.values()))
    _check_missing(outcomes, options.skip_missing, reporter)
    rows = tuple(row for row in outcomes if isinstance(row, ResolvedScheme | ResolvedMethod))
    by_name = zip(wanted, outcomes, strict=True)
    return rows, {name: outcome for name, outcome in by_name if isinstance(outcome, PluginFailure)}


def _check_folder(folder: Path, track: Track) -> None:
    """Before hours of work that could not be written, or not beside the results that are there."""
    for cell in read_cells(folder)[:1]:
        check_track(cell, track, folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot write results to {folder}: {error.strerror}. Name another folder with --out"
        ) from error
    if not os.access(folder, os.W_OK):
        raise UserError(f"cannot write results to {folder}: no permission. Name another folder with --out")


def _workers(options: RunOptions, cells: Sequence[Job], capacity: Capacity, reporter: Reporter) -> int:
    """How many cells run at a time; the user gets a note where that is not what was to be expected."""
    asked = 1 if options.gpus > 1 or options.debug_plugins else options.jobs
    count, note = count_workers(asked, sum(not cell.kept for cell in cells), capacity)
    if note:
        reporter.note(note)
    return count


def _tokenise(session: Session, cells: Sequence[Job], reporter: Reporter) -> None:
    """Once, before several cells want that at the same time."""
    if any(cell.kind == "scheme" and not cell.kept for cell in cells):
        reporter.stage("tokenise the queries")
        training_query_tokens(session)
        held_out_query_tokens(session)


def _fail_unbuilt(unbuilt: Mapping[str, PluginFailure], seeds: int, folder: Path, reporter: Reporter) -> list[Failure]:
    """The cells of rows whose plugins cannot be imported or built: they fail before any other begins."""
    failures = [
        Failure(name, seed, "build", error.message, error.trace, error.output)
        for seed in range(seeds)
        for name, error in unbuilt.items()
    ]
    for failure in failures:
        write_failure(failure, folder)
        reporter.begin(cell_label(failure.row, failure.seed)).failed(failure.message)
    return failures


def _tables(track: Track, out: Path, failures: tuple[Failure, ...], reporter: Reporter) -> Run:
    """The tables of the results that there are; where cells are missing, there may be too few for a table."""
    folder = results_folder(track.name, out).parent
    try:
        board = leaderboard(track, out)
    except UserError as error:
        if not failures:
            raise
        reporter.note(
            f"no tables: {error}" if read_cells(results_folder(track.name, out)) else "no tables: no cell finished"
        )
        return Run(None, folder, (), failures)
    return Run(board, folder, (*write_tables(board, out), *write_comparison(board, out)), failures)


def _check_missing(outcomes: Sequence[Outcome], skip_missing: bool, reporter: Reporter) -> None:
    """Note what is missing, or raise one error for all of it."""
    missing = [str(error) for error in outcomes if isinstance(error, MissingMethod)]
    if missing and not skip_missing:
        raise MissingMethod(
            f"{'; '.join(missing)}. Nothing was run. Install what is missing, or leave "
            f"{'that row' if len(missing) == 1 else 'those rows'} out with --skip-missing"
        )
    if missing and len(missing) == len(outcomes):
        raise MissingMethod(f"{'; '.join(missing)}. No row is left to run")
    for line in missing:
        reporter.note(f"left out: {line}")
