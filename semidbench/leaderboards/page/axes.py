"""An axis of a plot: its round ticks, and where a value stands on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor

_MOST_STEPS = 8
_ROOM, _LEAST_ROOM = 0.04, 0.002  # beyond the outermost ends: a share of what they span, and at least this much


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis from value `first` at `start` to value `last` at `end`, in units of the drawing."""

    first: float
    last: float
    start: float
    end: float
    ticks: tuple[Tick, ...]

    def at(self, value: float) -> float:
        """Where a value stands, rounded to tenths; what lies beyond an end stands at that end."""
        return _at(min(max(value, self.first), self.last), self.first, self.last, self.start, self.end)

    def beyond(self, value: float) -> int:
        """-1 for a value before the axis, 1 for one after it, 0 for one on it."""
        return (value > self.last) - (value < self.first)


def fitted_axis(ends: Sequence[float], start: float, end: float) -> Axis:
    """An axis from one round tick to another around all ends, which are shares from 0 to 1; 0 to 0.01 for none."""
    lowest, highest = (min(ends), max(ends)) if ends else (0.0, 0.008)
    room = max(_ROOM * (highest - lowest), _LEAST_ROOM)
    low, high = max(0.0, lowest - room), highest + room
    steps = ((factor, digits) for digits in range(4, -1, -1) for factor in (1, 2, 5))
    factor, digits = next(one for one in steps if _last(high, *one) - _first(low, *one) <= _MOST_STEPS)
    values = [i * factor / 10.0**digits for i in range(_first(low, factor, digits), _last(high, factor, digits) + 1)]
    first, last = values[0], values[-1]
    ticks = tuple(Tick(_at(value, first, last, start, end), f"{value:.{digits}f}") for value in values)
    return Axis(first, last, start, end, ticks)


def _first(low: float, factor: int, digits: int) -> int:
    return floor(low * 10.0**digits / factor)


def _last(high: float, factor: int, digits: int) -> int:
    return ceil(high * 10.0**digits / factor)


def _at(value: float, first: float, last: float, start: float, end: float) -> float:
    return round(start + (end - start) * (value - first) / (last - first), 1)
