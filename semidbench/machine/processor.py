"""What this machine's processor is: its name, vendor and vector instructions, as Linux says them."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

CPUINFO = Path("/proc/cpuinfo")
Library = Literal["oneDNN", "torch"]
_WIDEST = (("amx_tile", "AMX"), ("avx512f", "AVX-512"), ("avx2", "AVX2"))  # the flag of each set of instructions


@dataclass(frozen=True, slots=True)
class Processor:
    """A processor.

    Attributes:
        name: model name, family and model number.
        vendor: as the processor gives it, such as "AuthenticAMD"; "" where the system does not say.
        instructions: the widest vector instructions: "AMX", "AVX-512", "AVX2", or "".
    """

    name: str
    vendor: str = ""
    instructions: str = ""


@cache
def this_processor() -> Processor:
    """The processor that this process runs on."""
    try:
        return read_processor(CPUINFO.read_text("utf-8"))
    except OSError:
        return Processor(platform.processor() or platform.machine())


def read_processor(cpuinfo: str) -> Processor:
    """The first processor of Linux's `/proc/cpuinfo`."""
    pairs = (line.partition(":") for line in cpuinfo.split("\n\n", 1)[0].splitlines())
    fields = {name.strip(): value.strip() for name, colon, value in pairs if colon}
    known = {"cpu family", "model"} <= fields.keys()
    family = f" (family {fields['cpu family']}, model {fields['model']})" if known else ""
    flags = set(fields.get("flags", "").split())
    widest = next((name for flag, name in _WIDEST if flag in flags), "")
    return Processor(fields.get("model name", platform.machine()) + family, fields.get("vendor_id", ""), widest)


def products_library(processor: Processor) -> Library:
    """The library that multiplies float32 matrices quicker on such a processor.

    A fixed rule, and no timing, so that the same processor always gives the same bits. torch's own products go through
    MKL, which leaves AVX-512 idle on AMD's processors: there oneDNN, a part of torch, is about twice as fast. On the
    others that were measured, Intel with AMX and AMD with AVX2, torch's own are as fast or faster
    (docs/reference/performance.md, benchmarks/linear.py).
    """
    wide = processor.instructions in ("AVX-512", "AMX")
    return "oneDNN" if processor.vendor == "AuthenticAMD" and wide else "torch"
