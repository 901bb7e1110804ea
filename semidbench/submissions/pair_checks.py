"""The tests in a leaderboard.json against the placements, by another way than the one that made them.

`leaderboards.significance` takes p from Student's distribution, and scores are closed forms; here the ranks of a group
are counted, and p is the regularised incomplete beta function I_x(df/2, 1/2) at x = df / (df + t^2).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semidbench.api import TASKS, Task
from semidbench.errors import UserError, one_line
from semidbench.results.cases import Cases
from semidbench.results.cell_result import CellResult
from semidbench.results.metrics import GROUPS, Group
from semidbench.store.files import read_regular
from semidbench.tracks.track import Track

MAX_BYTES = 24 * 2**20  # 200 rows of 5 seeds, with their 119,400 tests, take 10 MiB
_NEAR = 1e-9
_FAR = 1e100  # no |t| is as large, and its square is a number still
_NO_SPREAD = 1e-12  # below it a spread is rounding, and p is 1: docs/protocol.md
Values = NDArray[np.float64]
Column = tuple[Task, Group]


class PairScores:
    """What the tests pair: per column and scheme, each unit's score summed over the seeds that were added."""

    def __init__(self, k: int) -> None:
        """`k` is the cut-off of the primary metric, R@k."""
        self._k = k
        self._sums: dict[Column, dict[str, Values]] = {(task, group): {} for task in TASKS for group in GROUPS}
        self._means: dict[Column, dict[str, dict[int, float]]] = {column: {} for column in self._sums}
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
            by_seed = self._means[task, group].setdefault(cell.name, {})
            by_seed[cell.seed] = math.fsum(means) / max(len(means), 1)

    def column(self, task: Task, group: Group) -> dict[str, Values]:
        """By scheme, each unit's mean over the seeds: float64 (n,)."""
        return {name: total / self._seeds[name] for name, total in self._sums[task, group].items()}

    def by_seed(self, task: Task, group: Group) -> Mapping[str, Mapping[int, float]]:
        """By scheme and seed, the mean over the units."""
        return self._means[task, group]


def _hits(cases: Cases, k: int) -> Values:
    """Of the ranks that the target's group fills, the share that is k or better: float64 (Q,)."""
    first, size = cases.placements.start.astype(np.int64), cases.placements.size.astype(np.int64)
    hits = np.clip(np.minimum(first + size - 1, k) - first + 1, 0, None) * (first > 0)
    return np.asarray(hits / np.maximum(size, 1), np.float64)


def pair_problems(path: Path, scores: PairScores, track: Track) -> Iterator[str]:
    """Where `path`, a leaderboard.json, says other than the scores do; a line for each column at most."""
    rebuild = "Run `semidbench leaderboard build` and commit what it writes"
    try:
        board = json.loads(read_regular(path, MAX_BYTES), object_pairs_hook=_object, parse_constant=_no_number)
        names, columns = _names(board["rows"]), _columns(board["columns"])
        for task in TASKS:
            for group in GROUPS:
                column, of_units = columns[task, group], scores.column(task, group)
                said = _pairs(column["pairs"], names)
                problem = (
                    _disagreement(of_units, said, track.evaluation.alpha)
                    or _seeds_disagreement(scores.by_seed(task, group), said)
                    or _bound_disagreement(column, of_units, track.evaluation.alpha)
                )
                if problem:
                    yield f"{path}: {task}, {group}: {problem}. {rebuild}"
    except FileNotFoundError:
        yield f"{path} is not there. {rebuild}"
    except UserError as error:
        yield f"{error}. {rebuild}"
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        yield f"{path} is no leaderboard: {type(error).__name__} {one_line(error)[:100]}. {rebuild}"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of the JSON, which says each thing once."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice in one object")
    return found


def _no_number(constant: str) -> None:
    raise ValueError(f"{constant} where a number belongs")


def _names(rows: list[dict[str, Any]]) -> dict[int, str]:
    """The rows' names by their numbers."""
    names = {row["number"]: row["name"] for row in rows}
    if not len(rows) == len(names) == len(set(names.values())):
        raise ValueError("a row, or the number of one, is there twice")
    return names


def _columns(listed: list[dict[str, Any]]) -> dict[Column, dict[str, Any]]:
    """The columns by their tasks and groups."""
    columns = {(column["task"], column["group"]): column for column in listed}
    if len(columns) != len(listed) or not columns.keys() <= set(product(TASKS, GROUPS)):
        raise ValueError("a column is there twice, or is of no task and group")
    return columns


@dataclass(frozen=True, slots=True, eq=False)
class _Pairs:
    """What the file says of a column's P pairs: names of the better and the worse row, and float64 (P,)."""

    better: list[str]
    worse: list[str]
    difference: Values
    p: Values  # corrected; NaN for null
    significant: Values  # 1 or 0
    seeds_ahead: Values  # in how many common seeds the better row's mean is above the other's
    common_seeds: Values
    holds: Values  # 1 or 0


def _pairs(said: Mapping[str, list[Any]], names: Mapping[int, str]) -> _Pairs:
    better, worse = ([names[number] for number in said[side]] for side in ("a", "b"))
    columns = [_values(said[name], name, types) for name, types in _TYPES.items()]
    if {len(better), len(worse), *(column.size for column in columns)} != {len(better)}:
        raise ValueError("lists of pairs that differ in length")
    return _Pairs(better, worse, *columns)


_TYPES: dict[str, tuple[type, ...]] = {
    "difference": (float, int),
    "corrected_p": (float, int, NoneType),
    "significant": (bool,),
    "seeds_ahead": (int,),
    "common_seeds": (int,),
    "holds": (bool,),
}


def _values(said: list[Any], name: str, types: tuple[type, ...]) -> Values:
    """As float64; types are looked at here, for numpy reads text as a number, too."""
    if strange := [value for value in said if type(value) not in types]:
        raise TypeError(f"{name} is {_shown(strange[0])}")
    return np.array(said, dtype=np.float64)


def _shown(value: object) -> str:
    return one_line(repr(value))[:40]


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
            p[own] = np.where(spread > _NO_SPREAD, np.minimum(1, two_sided_p(t, n - 1) * len(said.better)), 1)
    return found, p


def two_sided_p(t: Values | float, freedom: int) -> Values:
    """The probability of a |t| as large, by the incomplete beta function: from its end that is near, for precision."""
    from scipy.special import betainc

    square = np.square(t)
    far = betainc(freedom / 2, 0.5, freedom / (freedom + square))
    near = 1 - betainc(0.5, freedom / 2, square / (freedom + square))
    return np.asarray(np.where(square > 1, far, near), np.float64)


def _seeds_disagreement(by_seed: Mapping[str, Mapping[int, float]], said: _Pairs) -> str | None:
    """Where the counts of seeds, or `holds`, differ from what the seeds' means give."""
    for at, (better, worse) in enumerate(zip(said.better, said.worse, strict=True)):
        a, b = by_seed[better], by_seed[worse]
        gaps = [a[seed] - b[seed] for seed in a.keys() & b.keys()]
        ahead = sum(gap > _NO_SPREAD for gap in gaps)
        level = sum(abs(gap) <= _NO_SPREAD for gap in gaps)  # rounding decides
        holds = said.significant[at] == 1 and len(gaps) >= 2 and said.seeds_ahead[at] >= len(gaps) - 1
        for what, right, theirs in (
            ("`common_seeds`", said.common_seeds[at] == len(gaps), said.common_seeds[at]),
            ("`seeds_ahead`", ahead <= said.seeds_ahead[at] <= ahead + level, said.seeds_ahead[at]),
            ("`holds`", said.holds[at] == holds, said.holds[at]),
        ):
            if not right:
                return f"{what} of {better!r} and {worse!r} is not {theirs:g}: ahead in {ahead} of {len(gaps)} seeds"
    return None


def _bound_disagreement(column: Mapping[str, Any], scores: Mapping[str, Values], alpha: float) -> str | None:
    """Where the numbers of tests and of pairs in one, or the |t| to exceed, are others."""
    n = min(map(len, scores.values()), default=0)
    m = len(scores) * (len(scores) - 1) // 2 if n >= 2 else 0
    for name, right in (("m", m), ("n", n)):
        if (type(column[name]) is not int or column[name] != right) and (m or name == "m"):
            return f"{name} is {_shown(column[name])}, and there are n = {n} observations and m = {m} tests"
    said = column["critical_t"]
    if m == 0 and said is None:
        return None
    if m == 0 or type(said) not in (float, int) or not 0 < said < _FAR:
        return f"`critical_t` is {_shown(said)} for {m} tests"
    p = float(two_sided_p(said, n - 1))
    return None if math.isclose(p, alpha / m, rel_tol=1e-6) else f"`critical_t` {said} gives p = {p:.3g}, not alpha / m"
