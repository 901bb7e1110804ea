"""A run: the rows of a track, or schemes of one's own, over seeds, to result files and a leaderboard."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from semidbench.dataset import Split
from semidbench.errors import UserError
from semidbench.isolation.call import in_this_process
from semidbench.isolation.limits import check_limits, plugin_limits
from semidbench.isolation.resolver import resolve_apart, resolve_here
from semidbench.leaderboards.board import Leaderboard, check_track, leaderboard, results_folder
from semidbench.leaderboards.claims.compare import write_comparison
from semidbench.leaderboards.tables import write_tables
from semidbench.machine.device import check_gpus, held_threads, pick_device
from semidbench.methods.failure import PluginFailure
from semidbench.methods.resolved import MissingMethod, Outcome, ResolvedMethod, ResolvedScheme, Wanted
from semidbench.published import table_rows
from semidbench.results.files import read_cells
from semidbench.runs.cell import cell_label, run_cell
from semidbench.runs.failures import Failure, failure, record, tried_once
from semidbench.runs.query_tokens import held_out_query_tokens, training_query_tokens
from semidbench.runs.reporter import Reporter, Silent
from semidbench.runs.session import Bench, open_bench
from semidbench.runs.workers.capacity import count_workers, measure
from semidbench.runs.workers.jobs import plan_jobs
from semidbench.runs.workers.scheduler import Setup, run_jobs
from semidbench.store.stages import default_store
from semidbench.tracks.track import Track, load_track

DEFAULT_TRACK = "demo"
DEFAULT_OUT = Path("semidbench-results")
DEVELOPMENT = "development"  # results of the development split stand in a folder of their own


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

    Raises:
        UserError: anything the user can mend.
    """
    reporter = reporter or Silent()
    chosen = load_track(track)
    n_seeds = chosen.plan.seeds if seeds is None else seeds
    _check_arguments(table, schemes, n_seeds, jobs, gpus, debug_plugins)
    named = table_rows(table) if table else schemes or chosen.plan.rows
    wanted = {one.name: one for one in (Wanted("scheme", text) for text in named)}
    wanted |= {one.name: one for one in (Wanted("ranker", text) for text in chosen.plan.references)}
    found = (resolve_here if debug_plugins else resolve_apart)(chosen, tuple(wanted.values()))
    _check_missing(found, skip_missing, reporter)
    rows = [row for row in found if isinstance(row, ResolvedScheme)]
    references = [row for row in found if isinstance(row, ResolvedMethod)]
    broken = {name: error for name, error in zip(wanted, found, strict=True) if isinstance(error, PluginFailure)}
    out = out if split == "test" else out / DEVELOPMENT
    folder = results_folder(chosen.name, out)
    for cell in read_cells(folder)[:1]:  # before hours of work that could not stand beside those results
        check_track(cell, chosen, folder)
    _writable(folder)
    with held_threads(chosen.threads):
        reporter.stage("prepare the data")
        store, on = cache or default_store(), pick_device(device)
        check_gpus(gpus, on)
        minutes = chosen.plan.stage_minutes if plugin_minutes is None else plugin_minutes
        check_limits(minutes, plugin_memory, on)
        bench = replace(open_bench(chosen, split, data, store, on, reporter.progress), gpus=gpus)
        for note in bench.notes:
            reporter.note(note)
        planned = plan_jobs(bench, rows, references, n_seeds)
        cells = [job for job in planned if job.kind != "embedder"]
        capacity = measure(bench)
        asked, unfinished = 1 if gpus > 1 or debug_plugins else jobs, sum(not cell.kept for cell in cells)
        count, remark = count_workers(asked, unfinished, capacity)
        if remark:
            reporter.note(remark)
        if count > 1 and any(cell.kind == "scheme" and not cell.kept for cell in cells):
            reporter.stage("tokenise the queries")  # once, before several cells want that at the same time
            training_query_tokens(bench)
            held_out_query_tokens(bench)
        reporter.plan(len(cells) + n_seeds * len(broken))
        failures = _cannot_be_built(broken, n_seeds, folder, reporter)
        limits = plugin_limits(minutes, plugin_memory, on, capacity.free_mib, count)
        if count == 1:
            bench = replace(bench, limits=limits, call=in_this_process if debug_plugins else bench.call)
            failures += _one_by_one(bench, (*rows, *references), n_seeds, folder, reporter)
        else:
            setup = Setup(chosen, split, data, store, on, folder, bench.identity, limits, (*rows, *references))
            del bench  # the workers open their own
            failures += run_jobs(planned, setup, count, capacity.cards, reporter)
    return _tables(chosen, out, failures, reporter)


def _check_arguments(
    table: str | None, schemes: Sequence[str], seeds: int, jobs: int | None, gpus: int, debug_plugins: bool
) -> None:
    """Refuse numbers below one, and arguments that exclude each other."""
    if table is not None and schemes:
        raise UserError("--table names the rows and so does --scheme: give one of them")
    if seeds < 1:
        raise UserError(f"seeds must be 1 or more, not {seeds}")
    if jobs is not None and jobs < 1:
        raise UserError(f"jobs must be 1 or more, not {jobs}")
    if gpus > 1 and jobs is not None and jobs > 1:
        raise UserError(f"--gpus {gpus} trains one cell at a time on all those cards, so not with --jobs {jobs}")
    if debug_plugins and jobs is not None and jobs > 1:
        raise UserError(f"--debug-plugins runs one cell at a time in this process, so not with --jobs {jobs}")


def _cannot_be_built(
    broken: Mapping[str, PluginFailure], seeds: int, folder: Path, reporter: Reporter
) -> tuple[Failure, ...]:
    """The cells of rows whose plugins cannot be imported or built: told before any other."""
    lost = tuple(failure(name, seed, "build", error) for seed in range(seeds) for name, error in broken.items())
    for one in lost:
        record(one, folder)
        reporter.begin(cell_label(one.row, one.seed)).failed(one.told)
    return lost


def _one_by_one(
    bench: Bench, rows: Sequence[ResolvedScheme | ResolvedMethod], seeds: int, folder: Path, reporter: Reporter
) -> tuple[Failure, ...]:
    bench, failures = replace(bench, stage=tried_once(bench.stage)), []
    for seed in range(seeds):
        for row in rows:
            work = reporter.begin(cell_label(row.name, seed))
            failure = run_cell(bench, row, seed, folder, work)
            if failure:
                failures.append(failure)
                record(failure, folder)
                work.failed(failure.told)
    return tuple(failures)


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


def _check_missing(found: Sequence[Outcome], skip_missing: bool, reporter: Reporter) -> None:
    """Note what is missing, or raise one error for all of it."""
    missing = [str(error) for error in found if isinstance(error, MissingMethod)]
    if missing and not skip_missing:
        raise MissingMethod(
            f"{'; '.join(missing)}. Nothing was run. Install what is missing, or leave "
            f"{'that row' if len(missing) == 1 else 'those rows'} out with --skip-missing"
        )
    if missing and len(missing) == len(found):
        raise MissingMethod(f"{'; '.join(missing)}. No row is left to run")
    for line in missing:
        reporter.note(f"left out: {line}")


def _writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot write results to {folder}: {error.strerror}. Name another folder with --out"
        ) from error
    if not os.access(folder, os.W_OK):
        raise UserError(f"cannot write results to {folder}: no permission. Name another folder with --out")
