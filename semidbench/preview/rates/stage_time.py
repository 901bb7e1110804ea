"""How long a kind of stage takes, and how that is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

How = Literal["recorded", "measured", "projected", "not counted"]


@dataclass(frozen=True, slots=True)
class StageTime:
    """Of one stage, whatever the seed.

    Attributes:
        label: for the user.
        seconds: wall-clock time with the start of a plugin's process; 0 where it is not counted.
        how: recorded by runs, measured by a probe, projected from a part of it that was measured, or not counted.
        note: why it is not counted.
        encodes: lists of texts that it has encoded; the time of that is not in `seconds`.
    """

    label: str
    seconds: float
    how: How
    note: str = ""
    encodes: tuple[str, ...] = ()
