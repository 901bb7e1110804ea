"""How soon the command line answers.

python -m benchmarks.startup
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tabulate import tabulate

from benchmarks.measure import machine, medians

SEMIDBENCH = str(Path(sysconfig.get_path("scripts")) / "semidbench")
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "semidbench --help": [SEMIDBENCH, "--help"],
    "semidbench list": [SEMIDBENCH, "list"],
}


def seconds(command: list[str]) -> float:
    """Wall clock of one process, from its start to its end."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def found(repetitions: int) -> dict[str, float]:
    """Median seconds of each command."""
    timers: dict[str, Callable[[], float]] = {name: partial(seconds, command) for name, command in COMMANDS.items()}
    return medians(timers, repetitions)


def main() -> None:
    """Print a row for each command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=10, help="after one to warm the disk; default: %(default)s")
    repetitions: int = parser.parse_args().repetitions
    found(1)
    rows = [(f"`{name}`", f"{took:.3f}") for name, took in found(repetitions).items()]
    print(tabulate(rows, ("command", "seconds"), tablefmt="pipe", disable_numparse=True))
    print(f"\nMedians of {repetitions}. {machine()}.")


if __name__ == "__main__":
    main()
