"""A run's jobs in worker processes: handed out one by one, and all stopped when one breaks off.

A plugin's failure costs the cells that need it; the others go on.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from semidbench.dataset import Split
from semidbench.errors import UserError
from semidbench.isolation.limits import Limits
from semidbench.machine import processes
from semidbench.machine.channels import GRACE
from semidbench.machine.processes import MessageQueue, Program
from semidbench.methods.resolved import ResolvedRow, as_json
from semidbench.runs.failures import Failure, write_failure
from semidbench.runs.reporter import Reporter, Work
from semidbench.runs.shared.session import Session, shared_inputs
from semidbench.runs.workers.jobs import Job, next_job
from semidbench.tracks.track import Track

_KEPT = "Finished stages are kept: the same command goes on from there"


@dataclass(frozen=True, slots=True)
class Setup:
    """What workers open their session with, as `open_session` does, and where results go.

    Attributes:
        inputs: `shared_inputs` of the session that the jobs were planned with.
        rows: of the jobs, resolved: a worker imports no plugin.
    """

    track: Track
    split: Split
    data: Path | None
    store: Path
    device: str
    folder: Path
    inputs: dict[str, str]
    limits: Limits
    rows: tuple[ResolvedRow, ...]

    @classmethod
    def of(
        cls, session: Session, data: Path | None, folder: Path, limits: Limits, rows: tuple[ResolvedRow, ...]
    ) -> Setup:
        """The setup that opens this session again."""
        inputs = shared_inputs(session)
        return cls(session.track, session.split, data, session.store, session.device, folder, inputs, limits, rows)

    def as_json(self) -> dict[str, Any]:
        """For a worker's first request."""
        paths = {"data": self.data and str(self.data), "store": str(self.store), "folder": str(self.folder)}
        rows = [as_json(row) for row in self.rows]
        named = {"split": self.split, "device": self.device, "inputs": self.inputs, "limits": asdict(self.limits)}
        return {"track": self.track.model_dump(mode="json"), "rows": rows, **named, **paths}


@dataclass(slots=True)
class _Worker:
    program: Program
    job: Job | None = None
    work: Work | None = None
    began: float = 0.0


@dataclass(slots=True)
class _State:
    """What is left to do and what is known."""

    waiting: list[Job]
    folder: Path
    done: set[str] = field(default_factory=set)
    failed: dict[str, Failure] = field(default_factory=dict)  # by the job's key
    failures: list[Failure] = field(default_factory=list)  # of cells
    seconds: dict[str, float] = field(default_factory=dict)


def run_jobs(
    jobs: Sequence[Job], setup: Setup, count: int, cards: Sequence[str], reporter: Reporter
) -> tuple[Failure, ...]:
    """Do all jobs in `count` processes, each on one of the cards if there are some.

    Returns:
        The cells that a plugin failed in.

    Raises:
        UserError: a job failed otherwise, or a worker was killed; the message names the cell. The other workers are
            stopped.
        RuntimeError: a worker broke off.
    """
    state, messages = _State(list(jobs), setup.folder), MessageQueue()
    environments = worker_environments(setup.track.threads, count, cards)
    with processes.started("semidbench.runs.workers.worker", environments, messages, GRACE) as programs:
        workers = [_Worker(program) for program in programs]
        for program in programs:
            processes.send(program, setup.as_json())
        while True:
            for worker in workers:
                if worker.job is None:
                    _hand_out(worker, state, reporter)
            if all(worker.job is None for worker in workers):
                assert not state.waiting, state.waiting
                return tuple(state.failures)
            place, message = processes.next_message(messages)
            _take(message, workers[place], state, count, reporter)


def worker_environments(threads: int, count: int, cards: Sequence[str]) -> list[dict[str, str]]:
    """A worker's own card is the only one that it sees."""
    own = [{"CUDA_VISIBLE_DEVICES": cards[place % len(cards)]} if cards else {} for place in range(count)]
    return [processes.environment(threads, extra) for extra in own]


def _hand_out(worker: _Worker, state: _State, reporter: Reporter) -> None:
    """Give an idle worker a job, if one is ready."""
    job = next_job(state.waiting, state.done, state.seconds)
    if job is None:
        return
    state.waiting.remove(job)
    worker.job, worker.work, worker.began = job, reporter.begin(job.label), time.monotonic()
    processes.send(worker.program, {"kind": job.kind, "row": job.row, "seed": job.seed, "embedder": job.embedder})


def _take(message: list[Any], worker: _Worker, state: _State, count: int, reporter: Reporter) -> None:
    processes.raise_reported(message, _where(worker))
    match message:
        case ["ended"]:
            raise UserError(_why_ended(worker, count))
        case ["stage", name] if worker.work:
            worker.work.stage(name)
        case ["progress", what, done, total] if worker.work:
            worker.work.progress(what, done, total)
        case ["done", summary] if worker.job and worker.work:
            worker.work.done(summary)
            state.done.add(worker.job.key)
            if not worker.job.kept:
                state.seconds[worker.job.what] = time.monotonic() - worker.began
            worker.job = worker.work = None
        case ["failure", values] if worker.job and worker.work:
            _fail(worker.job, worker.work, Failure(**values), state)
            worker.job = worker.work = None
            _fail_dependents(state, reporter)


def _fail(job: Job, work: Work, failure: Failure, state: _State) -> None:
    """An embedder's failure is reported with each cell that needs it."""
    state.failed[job.key] = failure
    if job.kind == "embedder":
        work.done()
        return
    own = replace(failure, row=job.row, seed=job.seed)
    state.failures.append(own)
    write_failure(own, state.folder)
    work.failed(own.message)


def _fail_dependents(state: _State, reporter: Reporter) -> None:
    """The jobs that wait for one that failed, and those that wait for these."""
    while lost := next((job for job in state.waiting if job.needs & state.failed.keys()), None):
        state.waiting.remove(lost)
        cause = state.failed[next(iter(sorted(lost.needs & state.failed.keys())))]
        _fail(lost, reporter.begin(lost.label), cause, state)


def _where(worker: _Worker) -> str:
    return worker.job.label if worker.job else "a worker without a job"


def _why_ended(worker: _Worker, count: int) -> str:
    how = processes.how_ended(worker.program)
    hint = f": {count} ran at a time, try fewer --jobs" * (worker.program.process.returncode == -signal.SIGKILL)
    return f"{_where(worker)}: its process {how}{hint}. {_KEPT}"
