"""How long a run takes: its jobs laid out over processes as the scheduler does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from semidbench.preview.rates.stage_time import StageTime
from semidbench.runs.workers.jobs import Job, next_job


@dataclass(frozen=True, slots=True)
class StageUse:
    """A kind of stage in a run, and how many of it are left to compute."""

    stage: StageTime
    times: int


@dataclass(frozen=True, slots=True)
class RunTime:
    """What is left of a run, if it begins now: finished stages are not computed again.

    Attributes:
        jobs: cells at a time.
        cells: that have something left.
        seconds: wall-clock time, from the command to the last cell; the tables take some seconds more.
        start_seconds: of it, before the first job.
        stages: what is computed.
    """

    jobs: int
    cells: int
    seconds: float
    start_seconds: float
    stages: tuple[StageUse, ...]


def run_time(
    jobs: Sequence[Job],
    times: Mapping[str, Sequence[StageTime]],
    text_seconds: Mapping[str, float],
    processes: int,
    start_seconds: float,
) -> RunTime:
    """Lay the jobs out.

    Args:
        times: by job, of the stages that it computes.
        text_seconds: by list of texts that the store does not have, to encode it.
        processes: cells at a time.
        start_seconds: until the first job begins.
    """
    works = {job.key: _work(times.get(job.key, ())) for job in jobs}
    uses = Counter(stage for stages in times.values() for stage in stages)
    encoded = {name for work in works.values() for name in work.encodes} & text_seconds.keys()
    texts = Counter(StageTime(f"encoding {name}", text_seconds[name], "projected") for name in sorted(encoded))
    return RunTime(
        jobs=processes,
        cells=sum(job.kind != "embedder" and not job.kept for job in jobs),
        seconds=start_seconds + finish(jobs, works, text_seconds, processes),
        start_seconds=start_seconds,
        stages=tuple(StageUse(stage, count) for stage, count in (texts + uses).items()),
    )


@dataclass(frozen=True, slots=True)
class JobWork:
    """A job's seconds, and the lists of texts that it has encoded beside that."""

    seconds: float
    encodes: tuple[str, ...] = ()


def finish(
    jobs: Sequence[Job], works: Mapping[str, JobWork], text_seconds: Mapping[str, float], processes: int
) -> float:
    """When the last job ends, if so many processes take jobs in the scheduler's order.

    The first job that needs a list of texts encodes it, and others that need it wait for that one.

    Args:
        works: of each job, by its key.
    """
    waiting, done, known, encoded_at = list(jobs), set[str](), dict[str, float](), dict[str, float]()
    running: list[tuple[float, int, Job, float]] = []  # when each ends; its number keeps jobs from being compared
    now, number = 0.0, 0
    while waiting or running:
        while len(running) < processes and (job := next_job(waiting, done, known)):
            waiting.remove(job)
            number += 1
            at = now
            for name in works[job.key].encodes:
                encoded_at.setdefault(name, at + text_seconds.get(name, 0.0))
                at = max(at, encoded_at[name])
            heappush(running, (at + works[job.key].seconds, number, job, now))
        now, _, job, began = heappop(running)
        done.add(job.key)
        if not job.kept:
            known[job.what] = now - began
    return now


def _work(stages: Sequence[StageTime]) -> JobWork:
    encodes = dict.fromkeys(name for stage in stages for name in stage.encodes)
    return JobWork(sum(stage.seconds for stage in stages), tuple(encodes))
