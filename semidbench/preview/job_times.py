"""What each job of a run computes that the store does not have, and how long that takes here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from semidbench.methods.resolved import ResolvedMethod, ResolvedRow, ResolvedScheme
from semidbench.preview.rates.methods import (
    MethodProbe,
    MethodStage,
    embedding_stage,
    ids_stage,
    method_times,
    ranker_stage,
)
from semidbench.preview.rates.records import recorded_generators
from semidbench.preview.rates.stage_time import StageTime
from semidbench.runs.cell import cell_label
from semidbench.runs.shared.session import Session
from semidbench.runs.stages.assign_ids import ids_key
from semidbench.runs.stages.decode import beams_key
from semidbench.runs.stages.train import generator_key
from semidbench.runs.workers.jobs import Job
from semidbench.store.stages import find_stage

JobTimes = dict[str, list[StageTime]]  # by the job's key


def training_jobs(rows: Iterable[ResolvedRow], seeds: int) -> tuple[Job, ...]:
    """The cells that train, where there is no data to plan the other jobs with."""
    names = [row.name for row in rows if isinstance(row, ResolvedScheme)]
    cells = [(name, seed, cell_label(name, seed)) for seed in range(seeds) for name in names]
    return tuple(Job("scheme", name, seed, None, name, label) for name, seed, label in cells)


def job_times(
    session: Session | None,
    rows: Sequence[ResolvedRow],
    jobs: Sequence[Job],
    training: StageTime,
    decoding: StageTime,
    probe: MethodProbe,
) -> JobTimes:
    """What each job takes.

    Args:
        session: None where the data is not at hand; only generators are known then.
        training: of a cell, by the probe's rates; `decoding` likewise.
    """
    if session is None:
        return {job.key: [training, decoding] for job in jobs}
    by_name = {row.name: row for row in rows}
    stages = method_stages(session, by_name, jobs)
    seconds = method_times(session, stages.values(), probe)
    times: JobTimes = {key: [seconds[stage.work]] for key, stage in stages.items()}
    for key, of_generator in generator_times(session, by_name, jobs, training, decoding, probe.kept.fresh).items():
        times[key] = [*times.get(key, ()), *of_generator]
    return times


def method_stages(session: Session, rows: Mapping[str, ResolvedRow], jobs: Sequence[Job]) -> dict[str, MethodStage]:
    """By job, the plugins' stage that it computes; none where that is in the store."""
    found = {}
    for job in jobs:
        match rows[job.row]:
            case _ if job.kept:
                continue
            case ResolvedMethod() as ranker:
                found[job.key] = ranker_stage(session, ranker)
            case ResolvedScheme() as scheme if job.embedder is not None:
                found[job.key] = embedding_stage(session, scheme, scheme.all_embedders[job.embedder])
            case ResolvedScheme() as scheme if find_stage(session.store, ids_key(session, scheme, job.seed)) is None:
                found[job.key] = ids_stage(session, scheme)
    return found


def generator_times(
    session: Session,
    rows: Mapping[str, ResolvedRow],
    jobs: Sequence[Job],
    training: StageTime,
    decoding: StageTime,
    fresh: bool,
) -> JobTimes:
    """By job, training and decoding as far as they are left.

    Args:
        training: of a cell, for IDs of layouts that no record has; `decoding` likewise.
        fresh: records do not count.
    """
    found: JobTimes = {}
    recorded = None if fresh else recorded_generators(session)
    for job in jobs:
        scheme = rows[job.row]
        if job.kind != "scheme" or job.kept or not isinstance(scheme, ResolvedScheme):
            continue
        trained, decoded = recorded.of(session, scheme) if recorded else (None, None)
        times = [
            (generator_key(session, scheme, job.seed), _better(training, trained)),
            (beams_key(session, scheme, job.seed), _better(decoding, decoded)),
        ]
        found[job.key] = [time for key, time in times if find_stage(session.store, key) is None]
    return found


def _better(projected: StageTime, recorded: float | None) -> StageTime:
    return projected if recorded is None else replace(projected, seconds=recorded, how="recorded")
