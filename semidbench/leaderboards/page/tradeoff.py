"""The trade-off plot as numbers: search against recommendation, a mark per row, and the schemes' Pareto front.

The axes fit the schemes, which are what is compared: dense retrieval finds several times as much as they do, and would
crowd them into a corner. All coordinates are in the units of the drawing, with y downwards, rounded to tenths: the same
bytes on any machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from semidbench.leaderboards.board import Key, Leaderboard, Row, row_label
from semidbench.leaderboards.grids import TASK_NAMES, mean_std
from semidbench.leaderboards.page.axes import Axis, Tick, fitted_axis
from semidbench.leaderboards.page.labels import Label, place_labels

LEFT, RIGHT, TOP, BOTTOM = 72.0, 620.0, 20.0, 420.0  # of 640 x 480
_ANGLES = {(1, 0): 0, (1, -1): 45, (0, -1): 90, (-1, -1): 135, (-1, 0): 180, (-1, 1): 225, (0, 1): 270, (1, 1): 315}


@dataclass(frozen=True, slots=True)
class Mark:
    """A row of the board.

    Attributes:
        row: what the row is called in ids, such as "3", or "R1" for a reference.
        across, along: ends of the two error bars, (x1, x2) and (y1, y2); None for a single seed, and where the mean
            lies beyond that axis.
        front: whether no other scheme is better on one task and as good on the other.
        search, rec: mean and standard deviation as printed.
        beyond: of a reference that stands at an edge, each mean that lies beyond it, such as "search 0.677".
        arrow: the way to where such a mean lies, in degrees clockwise from the right; None within the axes.
        text: what is written beside the mark: `row`, and of a reference at an edge the means that lie beyond.
        label: where `text` is written; None where there is no room.
    """

    row: str
    name: str
    reference: bool
    x: float
    y: float
    across: tuple[float, float] | None
    along: tuple[float, float] | None
    front: bool
    search: str
    rec: str
    beyond: tuple[str, ...]
    arrow: int | None
    text: str
    label: Label | None


@dataclass(frozen=True, slots=True)
class Plot:
    """Marks from the last drawn on top; `front` is the path of the Pareto front, from left to right."""

    metric: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    marks: tuple[Mark, ...]
    front: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class _Placed:
    row: Row
    label: str
    means: tuple[float, float]
    stds: tuple[float, float] | None


def tradeoff(board: Leaderboard) -> Plot:
    """The plot of the rows that have both means. Its axes fit the schemes, or all rows where there are none."""
    metric = f"R@{board.track.evaluation.primary}"
    named = [(row, row_label(row, i)) for rows in (board.references, board.rows) for i, row in enumerate(rows)]
    placed = [found for row, label in named if (found := _placed(row, label, metric))]
    schemes = [one for one in placed if one.row.kind == "scheme"]
    axes = (
        fitted_axis(_ends(schemes or placed, 0), LEFT, RIGHT),
        fitted_axis(_ends(schemes or placed, 1), BOTTOM, TOP),
    )
    front = pareto_front([one.means for one in schemes])
    marks = [_mark(one, axes, one.row.kind == "scheme" and one.means in front, metric) for one in placed]
    path = _stairs(sorted({(mark.x, mark.y) for mark in marks if mark.front}))
    return Plot(metric, axes[0].ticks, axes[1].ticks, tuple(_labelled(marks, path)), tuple(path))


def _labelled(marks: Sequence[Mark], path: Sequence[tuple[float, float]]) -> list[Mark]:
    """The marks with places for their labels: first those at the edges, which show their values, then the front's."""
    lines = [(min(a, c), min(b, d), max(a, c), max(b, d)) for (a, b), (c, d) in pairwise(path)]
    for mark in marks:
        if mark.across:
            lines.append((mark.across[0], mark.y, mark.across[1], mark.y))
        if mark.along:
            lines.append((mark.x, mark.along[1], mark.x, mark.along[0]))
    order = sorted(range(len(marks)), key=lambda i: (not marks[i].beyond, not marks[i].front, marks[i].reference, i))
    labels = place_labels([(marks[i].x, marks[i].y, marks[i].text) for i in order], lines, (LEFT, TOP, RIGHT, BOTTOM))
    placed = dict(zip(order, labels, strict=True))
    return [replace(mark, label=placed[i]) for i, mark in enumerate(marks)]


def _placed(row: Row, label: str, metric: str) -> _Placed | None:
    (x, y), (dx, dy) = (row.mean(key) for key in _keys(metric)), (row.std(key) for key in _keys(metric))
    if x is None or y is None:
        return None
    return _Placed(row, label, (x, y), None if dx is None or dy is None else (dx, dy))


def _ends(placed: Sequence[_Placed], axis: int) -> list[float]:
    """The ends of the error bars along an axis."""
    stds = [one.stds[axis] if one.stds else 0.0 for one in placed]
    return [one.means[axis] + sign * std for sign in (-1, 1) for one, std in zip(placed, stds, strict=True)]


def pareto_front(points: Sequence[tuple[float, float]]) -> set[tuple[float, float]]:
    """The points than which no other is at least as good on both and better on one."""
    found: set[tuple[float, float]] = set()
    highest = -1.0
    for x, y in sorted(set(points), reverse=True):
        if y > highest:
            found.add((x, y))
            highest = y
    return found


def _stairs(corners: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """What the front reaches: between two of its points only the worse of both on each task."""
    path: list[tuple[float, float]] = []
    for x, y in corners:
        path += [(path[-1][0], y), (x, y)] if path else [(x, y)]
    return path


def _mark(one: _Placed, axes: tuple[Axis, Axis], front: bool, metric: str) -> Mark:
    sides = axes[0].beyond(one.means[0]), axes[1].beyond(one.means[1])
    beyond = [
        (task, f"{mean:.3f}") for task, mean, side in zip(TASK_NAMES.values(), one.means, sides, strict=True) if side
    ]
    across, along = (_bar(one, axis, i) for i, axis in enumerate(axes))
    search, rec = (mean_std(one.row, key) for key in _keys(metric))
    return Mark(
        row=one.label,
        name=one.row.name,
        reference=one.row.kind != "scheme",
        x=axes[0].at(one.means[0]),
        y=axes[1].at(one.means[1]),
        across=across,
        along=along,
        front=front,
        search=search,
        rec=rec,
        beyond=tuple(f"{task.lower()} {mean}" for task, mean in beyond),
        arrow=_ANGLES.get(sides),
        text=" ".join((one.label, *(mean for _, mean in beyond))),
        label=None,
    )


def _bar(one: _Placed, axis: Axis, i: int) -> tuple[float, float] | None:
    """One standard deviation to each side, as far as the axis goes."""
    if one.stds is None or axis.beyond(one.means[i]):
        return None
    return axis.at(one.means[i] - one.stds[i]), axis.at(one.means[i] + one.stds[i])


def _keys(metric: str) -> tuple[Key, Key]:
    return ("search", "all", metric), ("rec", "all", metric)
