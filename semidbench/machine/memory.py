"""Memory: what is free on this machine, and what this process took at its peak."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

MIB = 2**20
FLOAT_BYTES = 4  # of a float32
_CGROUPS = (  # limit, use and record: version 2, then 1
    ("memory.max", "memory.current", "memory.stat"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
)


def free_mib(meminfo: Path = Path("/proc/meminfo"), cgroup: Path = Path("/sys/fs/cgroup")) -> float | None:
    """Memory that can be taken without swapping, within the container's limit; None where the system does not say."""
    found = [free for files in _CGROUPS if (free := _free_in_cgroup([cgroup / name for name in files])) is not None]
    try:
        found.append(int(meminfo.read_text().split("MemAvailable:")[1].split()[0]) / 1024)
    except (OSError, IndexError, ValueError):
        return min(found, default=None)
    return min(found)


def _free_in_cgroup(files: Sequence[Path]) -> float | None:
    """What a container's limit leaves; None where there is none. File pages that can go count as free."""
    try:
        limit, used, record = (path.read_text() for path in files)
        cached = next(int(line.split()[1]) for line in record.splitlines() if line.startswith("inactive_file "))
        return (int(limit) - int(used) + cached) / MIB
    except (OSError, ValueError, StopIteration):  # "max" is no number: no limit
        return None


def reset_peak() -> None:
    """Restart Linux's count of the peak resident memory; elsewhere it stays that of the whole process."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_mib() -> float:
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024
    except (OSError, IndexError, ValueError):
        import resource  # not on Windows, which has no /proc either

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
