"""A run: the rows of a track, or schemes of one's own, over seeds, to result files and a leaderboard."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from semidbench.api import Task
from semidbench.bench import Bench, open_bench
from semidbench.cases import Cases
from semidbench.cell import run_scheme
from semidbench.compare import write_comparison
from semidbench.dataset import Split
from semidbench.device import held_threads, pick_device
from semidbench.errors import UserError
from semidbench.evaluate import evaluate_ranker, evaluate_scheme
from semidbench.leaderboards import Leaderboard, check_track, leaderboard, results_folder
from semidbench.progress import Reporter, Silent
from semidbench.published import table_rows
from semidbench.reference import run_ranker
from semidbench.registry import load_registry
from semidbench.resolve import MissingMethod, ResolvedMethod, ResolvedScheme, resolve_ranker, resolve_scheme
from semidbench.results import CellResult, read_cells, write_cell
from semidbench.store import default_store
from semidbench.tables import write_tables
from semidbench.track import Track, load_track

DEFAULT_TRACK = "demo"
DEFAULT_OUT = Path("semidbench-results")
DEVELOPMENT = "development"  # results of the development split stand in a folder of their own


@dataclass(frozen=True, slots=True)
class Run:
    """What a run leaves: the leaderboard of everything in its folder, and where that is."""

    leaderboard: Leaderboard
    folder: Path
    files: tuple[Path, ...]


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
    skip_missing: bool = False,
    reporter: Reporter | None = None,
) -> Run:
    """Train, evaluate and rank Semantic ID schemes.

    Every name, option and file is checked before any work starts. Finished stages are kept in the
    cache: a run that was killed goes on where it was, and one that was finished computes nothing.

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
        skip_missing: leave out rows whose plugins are not installed, with a note.

    Raises:
        UserError: anything the user can mend.
    """
    reporter = reporter or Silent()
    chosen = load_track(track)
    if table is not None and schemes:
        raise UserError("--table names the rows and so does --scheme: give one of them")
    rows, references = _resolve(chosen, table_rows(table) if table else schemes, skip_missing, reporter)
    n_seeds = chosen.plan.seeds if seeds is None else seeds
    if n_seeds < 1:
        raise UserError(f"seeds must be 1 or more, not {n_seeds}")
    out = out if split == "test" else out / DEVELOPMENT
    folder = results_folder(chosen.name, out)
    for cell in read_cells(folder)[:1]:  # before hours of work that could not stand beside those results
        check_track(cell, chosen, folder)
    _writable(folder)
    with held_threads(chosen.threads):
        reporter.stage("prepare the data")
        bench = open_bench(chosen, split, data, cache or default_store(), pick_device(device), reporter.progress)
        for note in bench.notes:
            reporter.note(note)
        reporter.plan((len(rows) + len(references)) * n_seeds)
        for seed in range(n_seeds):
            for scheme in rows:
                _cell(scheme.name, seed, reporter, folder, partial(_run_scheme, bench, scheme, seed))
            for ranker in references:
                _cell(ranker.name, seed, reporter, folder, partial(_run_ranker, bench, ranker, seed))
    board = leaderboard(chosen, out)
    return Run(board, folder.parent, (*write_tables(board, out), *write_comparison(board, out)))


Finished = tuple[CellResult, Mapping[Task, Cases], bool]


def _run_scheme(bench: Bench, scheme: ResolvedScheme, seed: int, stage: Callable[[str], None]) -> Finished:
    stages = run_scheme(bench, scheme, seed, stage)
    computed = any(one.computed for of in stages.by_name.values() for one in of)
    return (*evaluate_scheme(bench, scheme, seed, stages), computed)


def _run_ranker(bench: Bench, ranker: ResolvedMethod, seed: int, stage: Callable[[str], None]) -> Finished:
    finished = run_ranker(bench, ranker, seed, stage)
    return (*evaluate_ranker(bench, ranker, seed, finished), finished.computed)


def _cell(
    name: str, seed: int, reporter: Reporter, folder: Path, work: Callable[[Callable[[str], None]], Finished]
) -> None:
    """Run one cell and write its result."""
    reporter.cell(f"{name} seed {seed}")
    cell, cases, computed = work(reporter.stage)
    write_cell(folder, cell, cases)
    k = max(cell.metrics["search"]["all"].recall)
    found = {task: cell.metrics[task]["all"].recall[k] for task in cell.metrics}
    shown = ", ".join(f"{task} R@{k} {'-' if value is None else f'{value:.3f}'}" for task, value in found.items())
    reporter.cell_done(shown if computed else f"{shown} (kept)")


def _resolve(
    track: Track, schemes: Sequence[str], skip_missing: bool, reporter: Reporter
) -> tuple[list[ResolvedScheme], list[ResolvedMethod]]:
    """All rows resolved, or one error for all that are missing."""
    registry = load_registry()
    rows, references, missing = [], [], []
    for text in dict.fromkeys(schemes or track.plan.rows):
        try:
            rows.append(resolve_scheme(registry, text, track))
        except MissingMethod as error:
            missing.append(str(error))
    for text in track.plan.references:
        try:
            references.append(resolve_ranker(registry, text, track))
        except MissingMethod as error:
            missing.append(str(error))
    for method in (*(part for row in rows for part in row.parts.values()), *references):
        method.build()  # an option that its method refuses is said before any work
    if missing and not skip_missing:
        raise MissingMethod(
            f"{'; '.join(missing)}. Nothing was run. Install what is missing, or leave "
            f"{'that row' if len(missing) == 1 else 'those rows'} out with --skip-missing"
        )
    if missing and not rows and not references:
        raise MissingMethod(f"{'; '.join(missing)}. No row is left to run")
    for line in missing:
        reporter.note(f"left out: {line}")
    return list({row.name: row for row in rows}.values()), references


def _writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot write results to {folder}: {error.strerror}. Name another folder with --out"
        ) from error
    if not os.access(folder, os.W_OK):
        raise UserError(f"cannot write results to {folder}: no permission. Name another folder with --out")
