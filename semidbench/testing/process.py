"""A process for a method that may do anything: it is given a time, memory and so much output, and then ended."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from semidbench.isolation.limited_process import Stopped, limited_process
from semidbench.isolation.limits import Limits
from semidbench.isolation.output import CapturedOutput
from semidbench.machine import processes
from semidbench.methods.traces import where_it_was
from semidbench.store.stages import CACHE_VARIABLE

LIMITS = Limits(seconds=900.0, memory_mib=6144.0)  # of each process of a check
_WORKER = "semidbench.testing.worker"
_LAST = 2000  # characters of its output that may hold a hint


def run_worker(job: Mapping[str, Any], folder: Path, cache: Path, hash_seed: int, limits: Limits) -> dict[str, Any]:
    """Have a worker do a job, in a folder that this makes.

    Args:
        cache: what `SEMIDBENCH_CACHE` names in it.
        hash_seed: its `PYTHONHASHSEED`.

    Returns:
        What the worker observed; `ended`, in words, if it came to no end of its own.
    """
    folder.mkdir(parents=True)
    own = {CACHE_VARIABLE: str(cache), "PYTHONHASHSEED": str(hash_seed)}
    variables, captured = processes.environment(1, own), CapturedOutput()
    try:
        with limited_process(
            _WORKER, folder, job, variables, limits, lambda *_: None, captured.read_silently
        ) as process:
            match process.next_result():
                case ["observed", dict(observed)]:
                    return observed
                case message:
                    ended = f"its process sent an unknown message: {str(message)[:_LAST]}"
    except Stopped as stopped:
        ended = str(stopped)
    trace = where_it_was(folder) or captured.text()[-_LAST:] or None
    return {"breaches": {}, "ended": ended, "trace": trace}
