"""A process for a method that may do anything: it is given a time, memory and so much output, and then ended."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from semidbench.isolation.limits import Limits
from semidbench.isolation.output import FLOOD, CapturedOutput
from semidbench.machine import processes
from semidbench.machine.processes import MessageQueue, Program
from semidbench.methods.traces import ask_where, where_it_was
from semidbench.store.stages import CACHE_VARIABLE
from semidbench.testing.worker import FOLDER_VARIABLE, JOB, TOLD

LIMITS = Limits(seconds=900.0, memory_mib=6144.0)  # of each process of a check
_LAST = 2000  # characters of its output that may hold a hint


def run_worker(job: Mapping[str, Any], folder: Path, cache: Path, hash_seed: int, limits: Limits) -> dict[str, Any]:
    """Have a worker do a job, in a folder that this makes.

    Args:
        cache: what `SEMIDBENCH_CACHE` names in it.
        hash_seed: its `PYTHONHASHSEED`.

    Returns:
        What the worker told; `ended`, in words, if it came to no end of its own.
    """
    folder.mkdir(parents=True)
    (folder / JOB).write_text(json.dumps({**job, "memory_mib": limits.memory_mib}), "utf-8")
    own = {FOLDER_VARIABLE: str(folder), CACHE_VARIABLE: str(cache), "PYTHONHASHSEED": str(hash_seed)}
    variables, messages, captured = processes.environment(1, own), MessageQueue(), CapturedOutput()
    with processes.started("semidbench.testing.worker", [variables], messages, 0, captured.read_silently) as programs:
        why = _wait(programs[0], messages, folder, limits)
        how = None if why else processes.how_ended(programs[0])
    if why is None and (folder / TOLD).is_file():
        told: dict[str, Any] = json.loads((folder / TOLD).read_text("utf-8"))
        return told
    trace = where_it_was(folder) or captured.text()[-_LAST:] or None
    return {"breaches": {}, "ended": why or f"its process {how}", "trace": trace}


def _wait(program: Program, messages: MessageQueue, folder: Path, limits: Limits) -> str | None:
    """Until it ends; why it is to be ended, if it did not by itself."""
    until = time.monotonic() + limits.seconds
    try:
        while True:
            match processes.next_message(messages, until)[1]:
                case ["ended"]:
                    return None
                case ["flooded"]:
                    why = f"it printed more than {FLOOD // 2**20} MiB"
                    break
    except TimeoutError:
        why = f"it took longer than {limits.seconds:g} seconds"
    ask_where(program.process.pid, folder)
    return why
