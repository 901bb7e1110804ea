"""Having a plugin do its part of a stage: in a process of its own, or, for a debugger, in this one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from semidbench.isolation.own_process import in_own_process
from semidbench.isolation.this_process import in_this_process

if TYPE_CHECKING:
    from semidbench.api import Floats, Task
    from semidbench.isolation.limits import Limits
    from semidbench.isolation.work import PluginInputs, PluginWork
    from semidbench.store.stages import Spent
    from semidbench.text.stored_encoder import Progress


class Called(Protocol):
    """A plugin that has done its part, or has fitted its ranker."""

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


def call_plugin(
    work: PluginWork, inputs: PluginInputs, limits: Limits | None, progress: Progress
) -> AbstractContextManager[Called]:
    """The plugin does its part as the block is entered; its process, if it has one, lives as long as the block.

    Args:
        limits: of the plugin's process; None: it works in this process, and nothing limits it.

    Raises:
        PluginFailure: the plugin failed or broke its contract.
    """
    if limits is None:
        return in_this_process(work, inputs, progress)
    return in_own_process(work, inputs, limits, progress)
