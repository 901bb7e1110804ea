"""How long a plugin's stage may take, and how much memory."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from semidbench.errors import UserError
from semidbench.machine.memory import MIB

_GIB = 1024  # MiB
_FIRST = "1000"  # the kernel's highest score
_MOST = 1_000_000  # minutes or GiB: a larger number is a slip, and more than some clocks take


@dataclass(frozen=True, slots=True)
class Limits:
    """What a stage of a plugin may take.

    Attributes:
        seconds: wall-clock time, from when its process has read the training data. The text encoder's does not count.
        memory_mib: of its process's data: heap and other private memory; as much again for each process that it
            starts. None: as much as there is.
    """

    seconds: float
    memory_mib: float | None


def check_limits(minutes: float, memory_gib: float | None, device: str) -> None:
    """See that the limits that a user gave can be held.

    Raises:
        UserError: one is not positive, or memory can have none here.
    """
    for option, value in (("minutes", minutes), ("memory", memory_gib)):
        if value is not None and not 0 < value <= _MOST:
            raise UserError(f"plugin-{option} must be above 0 and at most {_MOST:,}, not {value:g}")
    if memory_gib is not None and not _can_hold(device):
        raise UserError("plugin-memory holds on Linux with --device cpu only. Leave it out")


def plugin_limits(minutes: float, memory_gib: float | None, device: str, free_mib: float | None, count: int) -> Limits:
    """The limits of a run's stages.

    Args:
        minutes: that a stage may take.
        memory_gib: that it may take; None: an equal share of what is free.
        free_mib: the machine's free memory, None where it is not known.
        count: stages at a time.
    """
    share = free_mib / count if free_mib is not None and _can_hold(device) else None
    return Limits(60 * minutes, share if memory_gib is None else _GIB * memory_gib)


def _can_hold(device: str) -> bool:
    """CUDA reserves more than a process uses, and only Linux counts all private memory."""
    return device == "cpu" and sys.platform == "linux"


def hold_memory(mib: float) -> None:
    """Hold this process's data to that much: more is a MemoryError, or a failed allocation in a library."""
    import resource

    size, most = int(mib * MIB), resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (size if most == resource.RLIM_INFINITY else min(size, most), most))


def release_memory() -> None:
    """Undo `hold_memory`: reporting that memory ran out takes some."""
    import resource

    most = resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def end_first() -> None:
    """Have Linux end this process before others when the machine's memory runs out, and a crash write no core file."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):  # another system
        Path("/proc/self/oom_score_adj").write_text(_FIRST)
