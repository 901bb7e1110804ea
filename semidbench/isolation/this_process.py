"""A plugin's part of a stage in this process, without limits: for debuggers, and for tests of something else."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semidbench.api import Floats, Ranker, Task
from semidbench.isolation.work import OUTPUT, PluginInputs, PluginWork, answer, open_inputs, perform
from semidbench.machine.memory import peak_mib
from semidbench.methods.failure import failing
from semidbench.store.stages import Spent

if TYPE_CHECKING:
    from semidbench.text.stored_encoder import Progress


@contextmanager
def in_this_process(work: PluginWork, inputs: PluginInputs, progress: Progress) -> Iterator[_CalledHere]:
    """As `call_plugin`."""
    train, encoder = open_inputs(inputs, progress)
    with tempfile.TemporaryDirectory(prefix="semidbench-") as name:
        began = time.perf_counter()
        with failing(work.who):
            ranker = perform(work, inputs, train, encoder, progress, Path(name))
        yield _CalledHere(work.who, Path(name) / OUTPUT, ranker, train.n_items, time.perf_counter() - began)


@dataclass(slots=True)
class _CalledHere:
    who: str
    output: Path
    ranker: Ranker | None
    n_items: int
    seconds: float

    def ask(self, task: Task, questions: Sequence[Any]) -> Floats:
        assert self.ranker is not None, self.who
        began = time.perf_counter()
        with failing(self.who):
            scores = answer(self.who, self.ranker, task, list(questions), self.n_items)
        self.seconds += time.perf_counter() - began
        return scores

    def spent(self) -> Spent:
        return Spent(self.seconds, peak_mib())
