"""The tests in a leaderboard.json against the placements, by another way than the one that made them.

`semidbench.leaderboards` scores by closed forms and takes p from scipy.stats.ttest_rel; here the ranks of a group are
counted, and p follows from the formula of the paired t-test.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semidbench.api import TASKS, Task
from semidbench.cases import Cases
from semidbench.errors import one_line
from semidbench.metrics import GROUPS, Group
from semidbench.results import CellResult
from semidbench.track import Track

MAX_BYTES = 256 * 2**20  # 119,400 tests of 200 rows take a tenth
_NEAR = 1e-9
_NO_SPREAD = 1e-12  # below it a spread is rounding, and p is 1: docs/protocol.md
Values = NDArray[np.float64]
Column = tuple[Task, Group]


class PairScores:
    """What the tests pair: per column and scheme, each unit's score summed over the seeds that were added."""

    def __init__(self, k: int) -> None:
        """`k` is the cut-off of the primary metric, R@k."""
        self._k = k
        self._sums: dict[Column, dict[str, Values]] = {(task, group): {} for task in TASKS for group in GROUPS}
        self._seeds: dict[str, int] = {}

    def add(self, cell: CellResult, cases: Mapping[Task, Cases]) -> None:
        """Count a result in; a ranker's is not tested."""
        if cell.kind != "scheme":
            return
        self._seeds[cell.name] = self._seeds.get(cell.name, 0) + 1
        for (task, group), sums in self._sums.items():
            of = cases[task]
            chosen = np.flatnonzero({"all": of.head | ~of.head, "head": of.head, "torso": ~of.head}[group])
            _, unit = np.unique(of.units[chosen], return_inverse=True)
            scores = _hits(of, self._k)[chosen]
            means = np.bincount(unit, weights=scores) / np.bincount(unit) if len(chosen) else np.zeros(0)
            sums[cell.name] = sums.get(cell.name, np.zeros(len(means))) + means

    def column(self, task: Task, group: Group) -> dict[str, Values]:
        """By scheme, each unit's mean over the seeds: float64 (n,)."""
        return {name: total / self._seeds[name] for name, total in self._sums[task, group].items()}


def _hits(cases: Cases, k: int) -> Values:
    """Of the ranks that the target's group fills, the share that is k or better: float64 (Q,)."""
    first, size = cases.placements.start.astype(np.int64), cases.placements.size.astype(np.int64)
    hits = np.clip(np.minimum(first + size - 1, k) - first + 1, 0, None) * (first > 0)
    return np.asarray(hits / np.maximum(size, 1), np.float64)


def pair_problems(path: Path, scores: PairScores, track: Track) -> Iterator[str]:
    """Where `path`, a leaderboard.json, says other than the scores do; a line for each column at most."""
    rebuild = "Run `semidbench leaderboard build` and commit what it writes"
    try:
        if path.is_symlink() or path.stat().st_size > MAX_BYTES:
            yield f"{path} is a link or has more than {MAX_BYTES:,} bytes. {rebuild}"
            return
        board = json.loads(path.read_bytes())
        names = {row["number"]: row["name"] for row in board["rows"]}
        columns = {(column["task"], column["group"]): column["pairs"] for column in board["columns"]}
        for task in TASKS:
            for group in GROUPS:
                said = _pairs(columns[task, group], names)
                if problem := _disagreement(scores.column(task, group), said, track.evaluation.alpha):
                    yield f"{path}: {task}, {group}: {problem}. {rebuild}"
    except FileNotFoundError:
        yield f"{path} is not there. {rebuild}"
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        yield f"{path} is no leaderboard: {type(error).__name__} {one_line(error)[:100]}. {rebuild}"


@dataclass(frozen=True, slots=True, eq=False)
class _Pairs:
    """What the file says of a column's P pairs: names of the better and the worse row, and float64 (P,)."""

    better: list[str]
    worse: list[str]
    difference: Values
    p: Values  # corrected; NaN for null
    significant: Values  # 1 or 0


def _pairs(said: Mapping[str, list[Any]], names: Mapping[int, str]) -> _Pairs:
    better, worse = ([names[number] for number in said[side]] for side in ("a", "b"))
    difference, p, significant = (
        np.array(said[name], dtype=np.float64) for name in ("difference", "corrected_p", "significant")
    )
    if not len(better) == len(worse) == difference.size == p.size == significant.size:
        raise ValueError("lists of pairs that differ in length")
    return _Pairs(better, worse, difference, p, significant)


def _disagreement(scores: Mapping[str, Values], said: _Pairs, alpha: float) -> str | None:
    """The first thing in which what is said differs from what the scores give."""
    wanted = set(map(frozenset, combinations(scores, 2)))
    listed = list(map(frozenset, zip(said.better, said.worse, strict=True)))
    if set(listed) != wanted or len(listed) != len(wanted):
        odd = sorted({*said.better, *said.worse} ^ set(scores))
        shown = ", ".join(odd)[:100] or "some are missing, or there twice"
        return f"its pairs are not those of the {len(scores)} rows that have results ({shown})"
    found, p = _tests(scores, said)
    for what, ours, theirs in (
        ("the difference", found, said.difference),
        ("the corrected p", p, said.p),
        ("`significant`", (p < alpha) & (found > 0), said.significant),
    ):
        off = ~np.isclose(theirs, ours, rtol=_NEAR, atol=1e-12 if ours is found else 0, equal_nan=True)
        if off.any():
            at = int(off.argmax())
            return f"{what} of {said.better[at]!r} and {said.worse[at]!r} is {ours[at]}, not {theirs[at]}"
    return None


def _tests(scores: Mapping[str, Values], said: _Pairs) -> tuple[Values, Values]:
    """Mean differences of the pairs, and their p by the formula of the paired t-test, corrected (Bonferroni)."""
    from scipy.special import stdtr

    found, p = np.zeros(len(said.better)), np.full(len(said.better), np.nan)
    places: dict[str, list[int]] = {}
    for at, name in enumerate(said.better):
        places.setdefault(name, []).append(at)
    for name, own in places.items():
        n = len(scores[name])
        if n == 0:
            continue
        paired = scores[name] - np.stack([scores[said.worse[at]] for at in own])
        found[own] = paired.mean(axis=1)
        if n >= 2:
            spread = paired.std(axis=1, ddof=1)
            t = np.abs(found[own]) / np.maximum(spread, _NO_SPREAD) * math.sqrt(n)
            p[own] = np.where(spread > _NO_SPREAD, np.minimum(1, 2 * stdtr(n - 1, -t) * len(said.better)), 1)
    return found, p
