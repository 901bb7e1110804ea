"""Other processes, waited for with a deadline."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any


def gone(pid: int, within: float = 10) -> bool:
    """Whether a process ends, and is waited for, in time."""
    until = time.monotonic() + within
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    return False


def removed(path: Path, within: float = 10) -> bool:
    """Whether a path goes in time: who ends a process removes its folder after that."""
    until = time.monotonic() + within
    while path.exists() and time.monotonic() < until:
        time.sleep(0.01)
    return not path.exists()


def wait_for(mark: Path, process: subprocess.Popen[Any], within: float = 60) -> None:
    """Until the file is there; it is an error if the process ends before, or takes longer."""
    until = time.monotonic() + within
    while not mark.exists():
        if process.poll() is not None or time.monotonic() > until:
            process.kill()
            raise AssertionError(f"no {mark.name}: the process has exit code {process.poll()}")
        time.sleep(0.01)
