"""The machine that this process runs on, as results name it."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass

from semidbench.machine.processor import products_library, this_processor


@dataclass(frozen=True, slots=True)
class Machine:
    """What a stage was computed on.

    Attributes:
        products: the library that multiplies float32 matrices on its CPU; "" in stages of before this was recorded.
    """

    python: str
    platform: str
    cpu: str
    products: str = ""

    def as_key(self) -> dict[str, str]:
        """As JSON values."""
        return asdict(self)


def this_machine() -> Machine:
    """The machine that this process runs on."""
    processor = this_processor()
    return Machine(platform.python_version(), platform.platform(), processor.name, products_library(processor))
