"""A run's jobs in worker processes: handed out, listened to, and all stopped when one fails."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from semidbench import programs
from semidbench.dataset import Split
from semidbench.errors import UserError
from semidbench.jobs import Job, next_job
from semidbench.programs import Heard, Program
from semidbench.progress import Reporter, Work
from semidbench.track import Track

_GRACE = 3.0  # seconds that a worker has to clean up before it is killed
_KEPT = "Finished stages are kept: the same command goes on from there"


@dataclass(frozen=True, slots=True)
class Setup:
    """What workers open their bench with, as `open_bench` does, and the folder of the results.

    `inputs` is the `identity` of the bench that the jobs were planned with.
    """

    track: Track
    split: Split
    data: Path | None
    store: Path
    device: str
    folder: Path
    inputs: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """For a worker's first order."""
        paths = {"data": self.data and str(self.data), "store": str(self.store), "folder": str(self.folder)}
        named = {"split": self.split, "device": self.device, "inputs": self.inputs}
        return {"track": self.track.model_dump(mode="json"), **named, **paths}


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
    done: set[str] = field(default_factory=set)
    seconds: dict[str, float] = field(default_factory=dict)


def run_jobs(jobs: Sequence[Job], setup: Setup, count: int, cards: Sequence[str], reporter: Reporter) -> None:
    """Do all jobs in `count` processes, each on one of the cards if there are some.

    Raises:
        UserError: a job failed, or a worker was killed; the message names the cell. The other workers are stopped.
        RuntimeError: a worker broke off.
    """
    state, heard = _State(list(jobs)), Heard()
    environments = _environments(setup.track.threads, count, cards)
    with programs.started("semidbench.worker", environments, heard, _GRACE) as begun:
        workers = [_Worker(program) for program in begun]
        for program in begun:
            programs.order(program, setup.as_json())
        while True:
            for worker in workers:
                if worker.job is None:
                    _hand_out(worker, state, reporter)
            if all(worker.job is None for worker in workers):
                assert not state.waiting, state.waiting
                return
            place, message = programs.next_message(heard)
            _take(message, workers[place], state, count)


def _environments(threads: int, count: int, cards: Sequence[str]) -> list[dict[str, str]]:
    """A worker's own card is the only one that it sees."""
    own = [{"CUDA_VISIBLE_DEVICES": cards[place % len(cards)]} if cards else {} for place in range(count)]
    return [programs.environment(threads, extra) for extra in own]


def _hand_out(worker: _Worker, state: _State, reporter: Reporter) -> None:
    """Give an idle worker a job, if one is ready."""
    job = next_job(state.waiting, state.done, state.seconds)
    if job is None:
        return
    state.waiting.remove(job)
    worker.job, worker.work, worker.began = job, reporter.begin(job.label), time.monotonic()
    programs.order(worker.program, {"kind": job.kind, "row": job.row, "seed": job.seed, "embedder": job.embedder})


def _take(message: list[Any], worker: _Worker, state: _State, count: int) -> None:
    programs.raise_told(message, _where(worker))
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


def _where(worker: _Worker) -> str:
    return worker.job.label if worker.job else "a worker without a job"


def _why_ended(worker: _Worker, count: int) -> str:
    how = programs.how_ended(worker.program)
    hint = f": {count} ran at a time, try fewer --jobs" * (worker.program.process.returncode == -signal.SIGKILL)
    return f"{_where(worker)}: its process {how}{hint}. {_KEPT}"
