"""The machine that this process runs on, as results name it."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Machine:
    """What a stage was computed on."""

    python: str
    platform: str
    cpu: str

    def as_key(self) -> dict[str, str]:
        """As JSON values."""
        return asdict(self)


def this_machine() -> Machine:
    """The machine that this process runs on."""
    return Machine(platform.python_version(), platform.platform(), _cpu_name())


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    fields = {name.strip(): value.strip() for name, colon, value in (line.partition(":") for line in lines) if colon}
    known = {"cpu family", "model"} <= fields.keys()
    family = f" (family {fields['cpu family']}, model {fields['model']})" if known else ""
    return fields.get("model name", platform.machine()) + family
