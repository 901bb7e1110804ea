"""One cell, track x row x seed: from its stages to its result files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from semidbench.api import Task
from semidbench.errors import UserError
from semidbench.methods.failure import PluginFailure
from semidbench.methods.resolved import ResolvedMethod, ResolvedRow, ResolvedScheme
from semidbench.results.cases import Cases
from semidbench.results.cell_result import CellResult
from semidbench.results.files import write_cell
from semidbench.runs.evaluate import SchemeStages, evaluate_ranker, evaluate_scheme
from semidbench.runs.failures import Failure, remove_failure
from semidbench.runs.reporter import Work
from semidbench.runs.shared.session import Session
from semidbench.runs.stages.assign_ids import assign_ids, ids_key
from semidbench.runs.stages.attempt import FailedStages
from semidbench.runs.stages.decode import beams_key, decode
from semidbench.runs.stages.embed import embed, embedding_key
from semidbench.runs.stages.rank import rank, ranker_key
from semidbench.runs.stages.train import generator_key, train_generator
from semidbench.store.stages import Stage, StageKey, find_stage


def run_cell(
    session: Session, row: ResolvedRow, seed: int, folder: Path, work: Work, failed: FailedStages
) -> Failure | None:
    """Run a cell, or find its stages in the store, and write its result into `folder`.

    Args:
        failed: the stages that a plugin failed in before, to which this adds.

    Returns:
        What went wrong, where a plugin failed or broke its contract; no result is written then.

    Raises:
        UserError: anything else; the message names the cell. Finished stages are kept.
    """
    at = ""

    def begin(stage: str) -> None:
        nonlocal at
        at = stage
        work.stage(stage)

    with naming(cell_label(row.name, seed)):
        try:
            if isinstance(row, ResolvedScheme):
                begin("embed")
                embeddings = embed(session, row.embedders, seed, work.progress, failed)
                begin("assign IDs")
                ids = assign_ids(session, row, embeddings, seed, work.progress, failed)
                begin("train")
                generator = train_generator(session, row, ids, seed, work.progress)
                begin("decode")
                beams = decode(session, row, ids, generator, seed, work.progress)
                stages = [*embeddings, ids, generator, beams]
                cell, cases = evaluate_scheme(session, row, seed, SchemeStages(embeddings, ids, generator, beams))
            else:
                begin("rank")
                stages = [rank(session, row, seed, work.progress, failed)]
                cell, cases = evaluate_ranker(session, row, seed, stages[0])
        except PluginFailure as error:
            return Failure(row.name, seed, at, error.message, error.trace, error.output)
        _write(folder, cell, cases, stages, work)
    return None


def cell_label(row: str, seed: int) -> str:
    """What a cell is called, to the user."""
    return f"{row} seed {seed}"


def cell_keys(session: Session, row: ResolvedRow, seed: int) -> tuple[StageKey, ...]:
    """The keys of all stages of a cell."""
    if isinstance(row, ResolvedMethod):
        return (ranker_key(session, row, seed),)
    return (
        *(embedding_key(session, each, seed) for each in row.all_embedders),
        ids_key(session, row, seed),
        generator_key(session, row, seed),
        beams_key(session, row, seed),
    )


def is_finished(session: Session, row: ResolvedRow, seed: int) -> bool:
    """Whether the store has all stages of a cell.

    Raises:
        UserError: what it has is damaged.
    """
    return all(find_stage(session.store, key) is not None for key in cell_keys(session, row, seed))


@contextmanager
def naming(label: str) -> Iterator[None]:
    """Have a `UserError` of the block name the cell."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{label}: {error}") from error.__cause__


def _write(folder: Path, cell: CellResult, cases: Mapping[Task, Cases], stages: list[Stage], work: Work) -> None:
    write_cell(folder, cell, cases)
    remove_failure(cell.name, cell.seed, folder)
    summary = _summary(cell)
    work.done(summary if any(stage.computed for stage in stages) else f"{summary} (kept)")


def _summary(cell: CellResult) -> str:
    k = max(cell.metrics["search"]["all"].recall)
    recalls = {task: cell.metrics[task]["all"].recall[k] for task in cell.metrics}
    return ", ".join(f"{task} R@{k} {'-' if value is None else f'{value:.3f}'}" for task, value in recalls.items())
