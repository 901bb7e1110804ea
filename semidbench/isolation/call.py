"""Having a plugin do its part of a stage: the interface, and a call in this process."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from semidbench.api import Floats, Ranker, Task
from semidbench.isolation.work import OUTPUT, Handed, PluginWork, answer, perform
from semidbench.machine.memory import peak_mib
from semidbench.methods.failure import failing
from semidbench.store.stages import Spent

if TYPE_CHECKING:
    from semidbench.runs.session import Bench


class Called(Protocol):
    """A plugin's stage that was called and has done its work, or has fitted its ranker."""

    @property
    def output(self) -> Path:
        """The folder that holds the views or the IDs."""

    def ask(self, task: Task, questions: Sequence[Any]) -> Floats:
        """A fitted ranker's scores, float32 (questions, N), for queries or histories.

        Raises:
            PluginFailure: it failed or broke its contract.
        """

    def spent(self) -> Spent:
        """What the plugin has taken so far."""


class PluginCall(Protocol):
    """How a bench has a plugin's stage done: in a process of its own, or in this one."""

    def __call__(self, bench: Bench, work: PluginWork, seed: int, /) -> AbstractContextManager[Called]:
        """Do the stage.

        Raises:
            PluginFailure: the plugin failed or broke its contract.
        """


@contextmanager
def in_this_process(bench: Bench, work: PluginWork, seed: int) -> Iterator[Called]:
    """A `PluginCall` without a process or limits: for debuggers, and for tests of something else."""

    handed = Handed(
        train=bench.train,
        text_encoder=bench.encoder,
        seed=seed,
        device=bench.device,
        threads=bench.track.threads,
        codebook_sizes=bench.track.ids.codebook_sizes,
        progress=bench.progress,
    )
    with scratch_folder() as name:
        began = time.perf_counter()
        with failing(work.who):
            ranker = perform(work, handed, Path(name))
        yield _CalledHere(work.who, Path(name) / OUTPUT, ranker, bench.train.n_items, time.perf_counter() - began)


@dataclass(slots=True)
class _CalledHere:
    who: str
    output: Path
    ranker: Ranker | None
    n_items: int
    seconds: float = field(default=0.0)

    def ask(self, task: Task, questions: Sequence[Any]) -> Floats:
        assert self.ranker is not None, self.who
        began = time.perf_counter()
        with failing(self.who):
            scores = answer(self.who, self.ranker, task, list(questions), self.n_items)
        self.seconds += time.perf_counter() - began
        return scores

    def spent(self) -> Spent:
        return Spent(self.seconds, peak_mib())


def scratch_folder() -> tempfile.TemporaryDirectory[str]:
    """An empty folder for a plugin, gone after the stage."""
    return tempfile.TemporaryDirectory(prefix="semidbench-")
