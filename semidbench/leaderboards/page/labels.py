"""Places for the labels of a plot's marks, so that none covers another or a mark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_DIGIT, _HEIGHT = 7.6, 12.0  # of a label's text, set in 13 units
_MARK = 5.0  # half of a mark's side
_CLEAR = 9.0  # the same with the room in which a label could be taken for the mark's own
_NEAR = 11.0  # from a mark's centre to its label's; farther ones get a line
_DISTANCES = (_NEAR, 17.0, 24.0, 32.0)
_DIRECTIONS = ((0.8, -0.8), (-0.8, -0.8), (0.8, 0.8), (-0.8, 0.8), (1, 0), (-1, 0), (0, -1), (0, 1))

Box = tuple[float, float, float, float]  # left, top, right, bottom
Boxes = NDArray[np.float64]  # (n, 4)


@dataclass(frozen=True, slots=True)
class Label:
    """The middle of a label's text, and whether a line should lead to it."""

    x: float
    y: float
    far: bool


def place_labels(marks: Sequence[tuple[float, float, str]], lines: Sequence[Box], frame: Box) -> list[Label | None]:
    """A place for each label, the first ones first; None where there is no free one near the mark.

    Args:
        marks: x and y of each mark and its label, most important first.
        lines: boxes around lines, which labels cross only where there is no other place, and the same goes for
            coming close to another mark.
        frame: the box that no label leaves.
    """
    taken = np.array([_square(x, y, _MARK) for x, y, _ in marks]).reshape(-1, 4)
    close = np.array([_square(x, y, _CLEAR) for x, y, _ in marks]).reshape(-1, 4)
    crossed: Boxes = np.array(lines).reshape(-1, 4)
    found: list[Label | None] = []
    for i, (x, y, text) in enumerate(marks):
        avoided = np.vstack([taken, crossed, np.delete(close, i, axis=0)])
        label = _first_free(x, y, text, avoided, frame) or _first_free(x, y, text, taken, frame)
        if label is not None:
            taken = np.vstack([taken, _box(label.x, label.y, text)])
        found.append(label)
    return found


def _first_free(x: float, y: float, text: str, taken: Boxes, frame: Box) -> Label | None:
    half = _DIGIT * len(text) / 2
    for distance in _DISTANCES:
        for dx, dy in _DIRECTIONS:
            label = Label(
                round(x + dx * (distance + half - _DIGIT / 2), 1), round(y + dy * distance, 1), distance > _NEAR
            )
            left, top, right, bottom = box = _box(label.x, label.y, text)
            if left < frame[0] or top < frame[1] or right > frame[2] or bottom > frame[3]:
                continue
            if not _overlaps(box, taken):
                return label
    return None


def _box(x: float, y: float, text: str) -> Box:
    half = _DIGIT * len(text) / 2
    return x - half, y - _HEIGHT / 2, x + half, y + _HEIGHT / 2


def _square(x: float, y: float, half: float) -> Box:
    return x - half, y - half, x + half, y + half


def _overlaps(box: Box, taken: Boxes) -> bool:
    left, top, right, bottom = box
    return bool(((taken[:, 0] < right) & (taken[:, 2] > left) & (taken[:, 1] < bottom) & (taken[:, 3] > top)).any())
