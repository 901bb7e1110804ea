"""One cell of a row, a scheme or a ranker: from its stages to its result files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from semidbench.api import Task
from semidbench.errors import UserError
from semidbench.methods.failure import PluginFailure
from semidbench.methods.resolved import ResolvedMethod, ResolvedScheme
from semidbench.results.cases import Cases
from semidbench.results.cell_result import CellResult
from semidbench.results.files import write_cell
from semidbench.runs.evaluate import evaluate_ranker, evaluate_scheme
from semidbench.runs.failures import Failure, failure, forget
from semidbench.runs.ranker_stage import run_ranker
from semidbench.runs.reporter import Work
from semidbench.runs.scheme_stages import run_scheme
from semidbench.runs.session import Bench
from semidbench.store.stages import Unfinished

Row = ResolvedScheme | ResolvedMethod  # a scheme, or a ranker
Finished = tuple[CellResult, Mapping[Task, Cases], bool]


def cell_label(row: str, seed: int) -> str:
    """What a cell is called, to the user."""
    return f"{row} seed {seed}"


def run_cell(bench: Bench, row: Row, seed: int, folder: Path, work: Work) -> Failure | None:
    """Run a cell, or find its stages in the store, and write its result into `folder`.

    Returns:
        What went wrong, where a plugin failed or broke its contract; no result is written then.

    Raises:
        UserError: anything else; the message names the cell. Finished stages are kept.
    """
    bench, began = bench.telling(work.progress), list[str]()

    def stage(name: str) -> None:
        began.append(name)
        work.stage(name)

    with naming(cell_label(row.name, seed)):
        run = _run_scheme if isinstance(row, ResolvedScheme) else _run_ranker
        try:
            cell, cases, computed = run(bench, row, seed, stage)  # type: ignore[arg-type]
        except PluginFailure as error:
            return failure(row.name, seed, began[-1], error)
        write_cell(folder, cell, cases)
        forget(row.name, seed, folder)
    work.done(_summary(cell) if computed else f"{_summary(cell)} (kept)")
    return None


def is_finished(bench: Bench, row: Row, seed: int) -> bool:
    """Whether the store holds all stages of a cell.

    Raises:
        UserError: what it holds is damaged.
    """
    try:
        if isinstance(row, ResolvedScheme):
            run_scheme(bench.looking(), row, seed, _unheard)
        else:
            run_ranker(bench.looking(), row, seed, _unheard)
    except Unfinished:
        return False
    return True


@contextmanager
def naming(label: str) -> Iterator[None]:
    """Have a `UserError` of the block say where it happened."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{label}: {error}") from error.__cause__


def _run_scheme(bench: Bench, scheme: ResolvedScheme, seed: int, stage: Callable[[str], None]) -> Finished:
    stages = run_scheme(bench, scheme, seed, stage)
    computed = any(one.computed for of in stages.by_name.values() for one in of)
    return (*evaluate_scheme(bench, scheme, seed, stages), computed)


def _run_ranker(bench: Bench, ranker: ResolvedMethod, seed: int, stage: Callable[[str], None]) -> Finished:
    finished = run_ranker(bench, ranker, seed, stage)
    return (*evaluate_ranker(bench, ranker, seed, finished), finished.computed)


def _summary(cell: CellResult) -> str:
    k = max(cell.metrics["search"]["all"].recall)
    found = {task: cell.metrics[task]["all"].recall[k] for task in cell.metrics}
    return ", ".join(f"{task} R@{k} {'-' if value is None else f'{value:.3f}'}" for task, value in found.items())


def _unheard(stage: str) -> None: ...
