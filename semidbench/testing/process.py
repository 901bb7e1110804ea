"""A process for a method that may do anything: it is given a time, memory and so much output, and then ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semidbench.programs import environment
from semidbench.store import CACHE_VARIABLE
from semidbench.testing.worker import JOB, TOLD

_START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from semidbench.testing.worker import main; main()"
_LOOK = 0.02  # seconds between two looks at a process


@dataclass(frozen=True, slots=True)
class Limits:
    """What each process of a check may take.

    Attributes:
        seconds: of wall-clock time.
        mib: of memory of its own; held to on Linux.
        output_mib: of what is printed.
    """

    seconds: float = 900.0
    mib: int = 6144
    output_mib: float = 1.0


def run_worker(job: Mapping[str, Any], folder: Path, cache: Path, hash_seed: int, limits: Limits) -> dict[str, Any]:
    """Have a worker do a job, in a folder that this makes.

    Args:
        cache: what `SEMIDBENCH_CACHE` names in it.
        hash_seed: its `PYTHONHASHSEED`.

    Returns:
        What the worker told; `ended`, in words, if it came to no end of its own.
    """
    folder.mkdir(parents=True)
    (folder / JOB).write_text(json.dumps({**job, "mib": limits.mib}), "utf-8")
    variables = environment(1, {CACHE_VARIABLE: str(cache), "PYTHONHASHSEED": str(hash_seed)})
    with (folder / "printed").open("wb") as printed:
        process = subprocess.Popen(
            [sys.executable, "-c", _START, json.dumps(sys.path), str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            env=variables,
            start_new_session=True,  # so that what it starts itself can be ended with it
        )
        try:
            why = _wait(process, folder / "printed", limits)
        finally:
            with suppress(ProcessLookupError, PermissionError):  # nothing is left
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if why is None and (folder / TOLD).is_file():
        told: dict[str, Any] = json.loads((folder / TOLD).read_text("utf-8"))
        return told
    return {"breaches": {}, "ended": why or _how_left(process.returncode), "trace": _last_lines(folder / "printed")}


def _wait(process: subprocess.Popen[bytes], printed: Path, limits: Limits) -> str | None:
    """Until it ends; why it was ended, if it did not by itself."""
    until = time.monotonic() + limits.seconds
    while True:
        with suppress(subprocess.TimeoutExpired):
            process.wait(_LOOK)
        if printed.stat().st_size > limits.output_mib * 2**20:
            return f"it printed more than {limits.output_mib:g} MiB"
        if process.returncode is not None:
            return None
        if time.monotonic() > until:
            return f"it took longer than {limits.seconds:g} seconds"


def _how_left(code: int) -> str:
    if code >= 0:
        return f"its process left with exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    return f"its process was ended by {name}"


def _last_lines(printed: Path) -> str | None:
    """What it said in the end, for there may be a hint in it."""
    with printed.open("rb") as file:
        file.seek(max(0, printed.stat().st_size - 2000))
        return file.read().decode("utf-8", "replace") or None
