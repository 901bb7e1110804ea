"""The verdicts of a column, one pair at a time, by another way than the one that makes the boards.

`leaderboards.verdicts` computes all pairs at once; here each pair has its own analysis of variance in sums of squares,
the trend is numpy's polyfit, p is the incomplete beta function, and the corrections are their definitions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, digamma

Scores = NDArray[np.float64]  # (seeds, units)
_ROUNDING = 1e-24
_TIE = 1e-12


@dataclass(frozen=True)
class Pair:
    """Row a against row b; None where not tested."""

    a: int
    b: int
    difference: float
    standard_error: float | None
    df: float | None
    p: float | None
    holm: float | None = None
    fdr: float | None = None


def pairs_of(rows: Sequence[Scores]) -> list[Pair]:
    """All pairs of a column's rows, corrected over those that are tested."""
    used = used_variances(rows)
    found = [pair_of(rows, a, b, used) for a, b in combinations(range(len(rows)), 2)]
    p = [pair.p for pair in found if pair.p is not None]
    each = iter(zip(holm(p), benjamini_hochberg(p), strict=True))
    return [pair if pair.p is None else Pair(**{**vars(pair), **dict(zip(("holm", "fdr"), next(each), strict=True))})
            for pair in found]  # fmt: skip


def used_variances(rows: Sequence[Scores]) -> list[tuple[float, float]]:
    """Of each row, the variance of a seed's mean and its degrees of freedom, with four lent by the column."""
    own = [float(np.var(scores.mean(axis=1), ddof=1)) if len(scores) > 1 and scores.size else 0.0 for scores in rows]
    level = [float(scores.mean()) if scores.size else 0.0 for scores in rows]
    free = [len(scores) - 1 for scores in rows]
    fit = [r for r in range(len(rows)) if free[r] > 0 and own[r] > _ROUNDING and level[r] > 0]
    if len(fit) < 4:
        return [(own[r], float(free[r])) for r in range(len(rows))]

    def lean(df: float) -> float:
        return float(digamma(df / 2) - math.log(df / 2))

    lowest = min(level[r] for r in fit)
    x = [math.log(max(value, lowest)) for value in level]
    y = [math.log(own[r]) - lean(free[r]) for r in fit]
    alike = max(x[r] for r in fit) - min(x[r] for r in fit) < 1e-9
    slope, intercept = (0.0, float(np.mean(y))) if alike else np.polyfit([x[r] for r in fit], y, 1)
    found = []
    for r in range(len(rows)):
        trend = math.exp(intercept + slope * x[r] + lean(4))
        mixed = (4 * trend + free[r] * own[r]) / (4 + free[r])
        found.append((max(own[r], mixed), float(min(4 + free[r], sum(free)))))
    return found


def pair_of(rows: Sequence[Scores], a: int, b: int, used: Sequence[tuple[float, float]]) -> Pair:
    """One pair, uncorrected; `used` as `used_variances` gives it."""
    difference = float(np.mean(rows[a]) - np.mean(rows[b])) if rows[a].size else 0.0
    n = rows[a].shape[1]
    if min(len(rows[a]), len(rows[b])) < 3 or n < 2:
        return Pair(a, b, difference, None, None, None)
    paired = rows[a].mean(axis=0) - rows[b].mean(axis=0)
    cases = float(((paired - paired.mean()) ** 2).sum()) / (n - 1) / n
    terms, interaction = [], 0.0  # (mean square, its degrees of freedom)
    for r in (a, b):
        k = len(rows[r])
        variance, free = used[r]
        terms.append((variance / k, free))
        interaction += _interaction(rows[r]) / (n * k)
    own_units = cases - interaction
    if own_units <= _TIE * cases:
        own_units = 0.0
    total = sum(square for square, _ in terms) + own_units
    if own_units > 0:
        terms.append((cases, n - 1))
        terms += [(_interaction(rows[r]) / (n * len(rows[r])), (len(rows[r]) - 1) * (n - 1)) for r in (a, b)]
    df = n - 1.0
    if total < (1 - _TIE) * cases:
        total = cases
    elif total > 0:
        df = total**2 / sum(square**2 / free for square, free in terms)
    if total < _ROUNDING:
        return Pair(a, b, difference, 0.0, None, 1.0)
    t = difference / math.sqrt(total)
    return Pair(a, b, difference, math.sqrt(total), df, float(betainc(df / 2, 0.5, df / (df + t**2))))


def _interaction(scores: Scores) -> float:
    """Mean square of seeds x units: the total sum of squares less that of seeds and of units."""
    k, n = scores.shape
    grand = scores.mean()
    total = ((scores - grand) ** 2).sum()
    seeds = n * ((scores.mean(axis=1) - grand) ** 2).sum()
    units = k * ((scores.mean(axis=0) - grand) ** 2).sum()
    return float(max(total - seeds - units, 0) / ((k - 1) * (n - 1)))


def holm(p: Sequence[float]) -> list[float]:
    """Each p times the number of those that are not smaller, and never below a smaller one's."""
    order = sorted(range(len(p)), key=lambda i: p[i])
    return _in_order(order, [max(min(1.0, (len(p) - j) * p[order[j]]) for j in range(i + 1)) for i in range(len(p))])


def benjamini_hochberg(p: Sequence[float]) -> list[float]:
    """Each p times m over its rank, and never above a larger one's."""
    order, m = sorted(range(len(p)), key=lambda i: p[i]), len(p)
    return _in_order(order, [min(min(1.0, m / (j + 1) * p[order[j]]) for j in range(i, m)) for i in range(m)])


def _in_order(order: Sequence[int], values: Sequence[float]) -> list[float]:
    found = [0.0] * len(order)
    for place, value in zip(order, values, strict=True):
        found[place] = value
    return found
