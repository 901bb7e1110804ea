"""A plugin's stage, tried once in a run: where it failed before, it fails again at once."""

from __future__ import annotations

from pathlib import Path

from semidbench.methods.failure import PluginFailure
from semidbench.store.stages import Make, Stage, StageKey, run_stage

FailedStages = dict[str, PluginFailure]  # by the hash of the key


def attempt(store: Path, key: StageKey, make: Make, failed: FailedStages) -> Stage:
    """As `run_stage`.

    Args:
        failed: the stages that a plugin failed in before, to which this adds.

    Raises:
        PluginFailure: the plugin failed or broke its contract, now or before.
    """
    if before := failed.get(key.hash):
        raise PluginFailure(before.message, before.trace, before.output) from before.__cause__
    try:
        return run_stage(store, key, make)
    except PluginFailure as error:
        failed[key.hash] = error
        raise
