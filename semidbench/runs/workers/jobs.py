"""What can run side by side: cells, and the embeddings that several of them share.

Cells of a seed build on the same embeddings. As jobs of their own, which come first, those are computed once, and no
cell waits for another's. Text encodings are no jobs: embedders that begin together wait while one of them encodes a
list that is not in the store, and each process fits LSA for itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from semidbench.methods.resolved import ResolvedRow, ResolvedScheme
from semidbench.runs.cell import cell_label, is_finished
from semidbench.runs.shared.session import Session
from semidbench.runs.stages.embed import embedding_key
from semidbench.store.stages import find_stage

JobKind = Literal["embedder", "scheme", "ranker"]
_ORDER: tuple[JobKind, ...] = ("embedder", "scheme", "ranker")  # what others wait for first, the shortest last


@dataclass(frozen=True, slots=True)
class Job:
    """What one process does in one go.

    Attributes:
        kind: an embedder's stage, or the cell of a scheme or a ranker.
        row: the scheme's or ranker's name; of an embedder, the first scheme that uses it.
        seed: of the cell.
        embedder: place among `all_embedders` of that scheme, None for a cell.
        what: the same work in another seed has the same.
        key: no other job of the run has it.
        needs: keys of the jobs that come before.
        kept: a cell whose stages are all in the store.
    """

    kind: JobKind
    row: str
    seed: int
    embedder: int | None
    what: str
    key: str
    needs: frozenset[str] = frozenset()
    kept: bool = False

    @property
    def label(self) -> str:
        """For the user."""
        return cell_label(self.what, self.seed)


def plan_jobs(session: Session, rows: Sequence[ResolvedRow], seeds: int) -> tuple[Job, ...]:
    """The jobs of a run: every cell, and each embedding that is not in the store yet once.

    Raises:
        UserError: something in the store is damaged.
    """
    jobs: dict[str, Job] = {}
    for seed in range(seeds):
        for row in rows:
            kept, label = is_finished(session, row, seed), cell_label(row.name, seed)
            if isinstance(row, ResolvedScheme):
                needs = frozenset[str]() if kept else _embeddings(session, row, seed, jobs)
                jobs[label] = Job("scheme", row.name, seed, None, row.name, label, needs, kept)
            else:
                jobs[label] = Job("ranker", row.name, seed, None, row.name, label, kept=kept)
    return tuple(jobs.values())


def next_job(waiting: Sequence[Job], done: Collection[str], seconds: Mapping[str, float]) -> Job | None:
    """The job to begin now, None while all wait for others.

    One seed after the other; in each, embeddings first and rankers last; of these, the longest first.

    Args:
        done: keys of finished jobs.
        seconds: by `what`, how long it took in another seed, as far as known.
    """
    ready = [job for job in waiting if job.needs <= set(done)]
    return min(ready, key=lambda job: (job.seed, _ORDER.index(job.kind), -seconds.get(job.what, 0.0)), default=None)


def _embeddings(session: Session, scheme: ResolvedScheme, seed: int, jobs: dict[str, Job]) -> frozenset[str]:
    """Keys of the jobs that a scheme's cell waits for; those are added."""
    needs = set()
    for place, method in enumerate(scheme.all_embedders):
        key = embedding_key(session, method, seed)
        if key.hash not in jobs:
            if find_stage(session.store, key) is not None:
                continue
            below = frozenset(embedding_key(session, other, seed).hash for other in method.builds_on) & jobs.keys()
            jobs[key.hash] = Job("embedder", scheme.name, seed, place, f"embedder {method.name}", key.hash, below)
        needs.add(key.hash)
    return frozenset(needs)
