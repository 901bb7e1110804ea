"""The tests and verdicts of a leaderboard.json from the placements, by another way than the one that made them.

`leaderboards.significance` takes p from Student's distribution, and scores are closed forms; here the ranks of a group
are counted, and p is the regularised incomplete beta function I_x(df/2, 1/2) at x = df / (df + t^2). Verdicts are those
of `crossed_verdicts`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc

from semidbench.api import TASKS, Task
from semidbench.results.cases import Cases
from semidbench.results.cell_result import CellResult
from semidbench.results.metrics import GROUPS, Group
from tests.oracles.crossed_verdicts import Pair, pairs_of

_NEAR = 1e-9
_NO_SPREAD = 1e-12  # below it a spread is rounding, and p is 1: docs/reference/protocol.md
Values = NDArray[np.float64]
Column = tuple[Task, Group]


class PairScores:
    """What the tests pair: per column and scheme, each unit's score summed over the seeds that were added."""

    def __init__(self, k: int) -> None:
        """`k` is the cut-off of the primary metric, R@k."""
        self._k = k
        self._sums: dict[Column, dict[str, Values]] = {(task, group): {} for task in TASKS for group in GROUPS}
        self._units: dict[Column, dict[str, list[Values]]] = {column: {} for column in self._sums}
        self._means: dict[Column, dict[str, dict[int, float]]] = {column: {} for column in self._sums}
        self._seeds: dict[str, int] = {}

    def add(self, cell: CellResult, cases: Mapping[Task, Cases]) -> None:
        """Count a scheme's result in."""
        self._seeds[cell.name] = self._seeds.get(cell.name, 0) + 1
        for (task, group), sums in self._sums.items():
            of = cases[task]
            members = np.flatnonzero({"all": of.head | ~of.head, "head": of.head, "torso": ~of.head}[group])
            _, unit = np.unique(of.units[members], return_inverse=True)
            scores = _hits(of, self._k)[members]
            means = np.bincount(unit, weights=scores) / np.bincount(unit) if len(members) else np.zeros(0)
            sums[cell.name] = sums.get(cell.name, np.zeros(len(means))) + means
            self._units[task, group].setdefault(cell.name, []).append(means)
            by_seed = self._means[task, group].setdefault(cell.name, {})
            if len(means):
                by_seed[cell.seed] = math.fsum(means) / len(means)

    def column(self, task: Task, group: Group) -> dict[str, Values]:
        """By scheme, each unit's mean over the seeds: float64 (n,)."""
        return {name: total / self._seeds[name] for name, total in self._sums[task, group].items()}

    def units(self, task: Task, group: Group) -> dict[str, NDArray[np.float64]]:
        """By scheme, each unit's mean in each seed: float64 (seeds, n)."""
        return {name: np.stack(seeds) for name, seeds in self._units[task, group].items()}

    def by_seed(self, task: Task, group: Group) -> Mapping[str, Mapping[int, float]]:
        """By scheme and seed, the mean over the units; no seed where there is no unit."""
        return self._means[task, group]


def _hits(cases: Cases, k: int) -> Values:
    """Of the ranks that the target's group fills, the share that is k or better: float64 (Q,)."""
    first, size = cases.placements.start.astype(np.int64), cases.placements.size.astype(np.int64)
    hits = np.clip(np.minimum(first + size - 1, k) - first + 1, 0, None) * (first > 0)
    return np.asarray(hits / np.maximum(size, 1), np.float64)


def differences(board: Mapping[str, Any], scores: PairScores, alpha: float) -> list[str]:
    """Where a leaderboard.json is not what the scores give, a line for each column at most.

    Rows without scores are in the file's pairs and count among its tests; the numbers of their pairs are not compared.
    """
    names = {row["number"]: row["name"] for row in board["rows"]}
    columns = {(column["task"], column["group"]): column for column in board["columns"]}
    assert len(names) == len(set(names.values())) == len(board["rows"])
    assert [*columns] == [(task, group) for task in TASKS for group in GROUPS]
    found = []
    for (task, group), column in columns.items():
        pairs = _Pairs.of(column["pairs"], names)
        of_units = scores.column(task, group)
        problem = (
            _listing_difference(pairs, names.values())
            or _test_difference(pairs.among(of_units), of_units, len(names), alpha)
            or _seeds_difference(pairs.among(of_units), scores.by_seed(task, group))
            or _verdict_difference(pairs, scores.units(task, group), [*names.values()], alpha)
            or _bound_difference(column, of_units, len(names), alpha)
        )
        if problem:
            found.append(f"{task}, {group}: {problem}")
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Pairs:
    """What the file says of a column's P pairs: names of the better and the worse row, and float64 (P,)."""

    better: list[str]
    worse: list[str]
    difference: Values
    corrected_p: Values  # NaN for null
    significant: Values  # 1 or 0, by the paper's test
    seeds_ahead: Values  # in how many common seeds the better row's mean is above the other's
    common_seeds: Values
    standard_error: Values  # NaN for null, in what follows
    df: Values
    holm_p: Values
    bh_p: Values
    verdict: list[str]

    @staticmethod
    def of(listed: Mapping[str, list[Any]], names: Mapping[int, str]) -> _Pairs:
        better, worse = ([names[number] for number in listed[side]] for side in ("a", "b"))
        fields = (
            *("difference", "paper_corrected_p", "paper_significant", "seeds_ahead", "common_seeds"),
            *("standard_error", "df", "holm_p", "bh_p"),
        )
        return _Pairs(better, worse, *(np.array(listed[name], np.float64) for name in fields), listed["verdict"])

    def among(self, names: Iterable[str]) -> _Pairs:
        """The pairs of two of these rows."""
        known = set(names)
        at = [i for i, (a, b) in enumerate(zip(self.better, self.worse, strict=True)) if {a, b} <= known]
        numbers = (
            *(self.difference, self.corrected_p, self.significant, self.seeds_ahead, self.common_seeds),
            *(self.standard_error, self.df, self.holm_p, self.bh_p),
        )
        better, worse, verdict = ([side[i] for i in at] for side in (self.better, self.worse, self.verdict))
        return _Pairs(better, worse, *(values[at] for values in numbers), verdict)


def _listing_difference(pairs: _Pairs, names: Iterable[str]) -> str | None:
    """Each two rows are a pair once."""
    listed = sorted(map(sorted, zip(pairs.better, pairs.worse, strict=True)))
    return None if listed == sorted(map(sorted, combinations(names, 2))) else "its pairs are not those of its rows"


def _test_difference(pairs: _Pairs, scores: Mapping[str, Values], rows: int, alpha: float) -> str | None:
    """The first of a pair's numbers that the paired t-test does not give."""
    found, p = _tests(pairs, scores, rows * (rows - 1) // 2)
    for what, ours, theirs, near in (
        ("the difference", found, pairs.difference, 1e-12),
        ("the corrected p", p, pairs.corrected_p, 0),
        ("`significant`", (p < alpha) & (found > 0), pairs.significant, 0),
    ):
        off = ~np.isclose(theirs, ours, rtol=_NEAR, atol=near, equal_nan=True)
        if off.any():
            at = int(off.argmax())
            return f"{what} of {pairs.better[at]!r} and {pairs.worse[at]!r} is {ours[at]}, not {theirs[at]}"
    return None


def _tests(pairs: _Pairs, scores: Mapping[str, Values], m: int) -> tuple[Values, Values]:
    """Mean differences of the pairs, and their p by the formula of the paired t-test, corrected (Bonferroni)."""
    found, p = np.zeros(len(pairs.better)), np.full(len(pairs.better), np.nan)
    for at, (better, worse) in enumerate(zip(pairs.better, pairs.worse, strict=True)):
        paired = scores[better] - scores[worse]
        if len(paired):
            found[at] = paired.mean()
        if len(paired) >= 2:
            spread = paired.std(ddof=1)
            t = abs(found[at]) / max(spread, _NO_SPREAD) * math.sqrt(len(paired))
            p[at] = min(1, two_sided_p(t, len(paired) - 1) * m) if spread > _NO_SPREAD else 1
    return found, p


def two_sided_p(t: float, freedom: int) -> float:
    """The probability of a |t| as large, by the incomplete beta function: from its end that is near, for precision."""
    square = t**2
    if square > 1:
        return float(betainc(freedom / 2, 0.5, freedom / (freedom + square)))
    return 1 - float(betainc(0.5, freedom / 2, square / (freedom + square)))


def _seeds_difference(pairs: _Pairs, by_seed: Mapping[str, Mapping[int, float]]) -> str | None:
    """Where the counts of seeds are not what the seeds' means give."""
    for at, (better, worse) in enumerate(zip(pairs.better, pairs.worse, strict=True)):
        a, b = by_seed[better], by_seed[worse]
        gaps = [a[seed] - b[seed] for seed in a.keys() & b.keys()]
        ahead = sum(gap > _NO_SPREAD for gap in gaps)
        level = sum(abs(gap) <= _NO_SPREAD for gap in gaps)  # rounding decides
        for what, right, theirs in (
            ("`common_seeds`", pairs.common_seeds[at] == len(gaps), pairs.common_seeds[at]),
            ("`seeds_ahead`", ahead <= pairs.seeds_ahead[at] <= ahead + level, pairs.seeds_ahead[at]),
        ):
            if not right:
                return f"{what} of {better!r} and {worse!r} is not {theirs:g}: ahead in {ahead} of {len(gaps)} seeds"
    return None


def _verdict_difference(
    pairs: _Pairs, scores: Mapping[str, NDArray[np.float64]], rows: list[str], alpha: float
) -> str | None:
    """Where a verdict is not the other computation's, which takes all rows: they lend each other variance."""
    if set(scores) != set(rows):
        return None
    found = {frozenset((rows[one.a], rows[one.b])): one for one in pairs_of([scores[name] for name in rows])}
    for at, both in enumerate(zip(pairs.better, pairs.worse, strict=True)):
        one = found[frozenset(both)]
        for what, theirs, ours in (
            ("`standard_error`", pairs.standard_error[at], one.standard_error),
            ("`df`", pairs.df[at], one.df),
            ("`holm_p`", pairs.holm_p[at], one.holm),
            ("`bh_p`", pairs.bh_p[at], one.fdr),
        ):
            wanted = math.nan if ours is None else ours
            if not np.isclose(
                theirs, wanted, rtol=_NEAR, atol=0 if wanted > _NO_SPREAD else _NO_SPREAD, equal_nan=True
            ):
                return f"{what} of {both[0]!r} and {both[1]!r} is {ours}, not {theirs}"
        word = _word(one, scores[both[0]].shape[1], alpha)
        if pairs.verdict[at] != word:
            return f"`verdict` of {both[0]!r} and {both[1]!r} is {word!r}, not {pairs.verdict[at]!r}"
    return None


def _word(pair: Pair, units: int, alpha: float) -> str:
    if pair.holm is None or pair.fdr is None:
        return "provisional" if units >= 2 else "not tested"
    return "holds" if pair.holm < alpha else "likely" if pair.fdr < alpha else "unsettled"


def _bound_difference(column: Mapping[str, Any], scores: Mapping[str, Values], rows: int, alpha: float) -> str | None:
    """Where the numbers of tests and of pairs in one, or the |t| to exceed, are others."""
    n = min(map(len, scores.values()), default=0)
    m = rows * (rows - 1) // 2 if n >= 2 else 0
    paper = column["paper_test"]
    if paper["m"] != m or (m and column["n"] != n):
        return f"m is {paper['m']} and n {column['n']}, and there are m = {m} tests of n = {n} observations"
    critical_t = paper["critical_t"]
    if m == 0 or critical_t is None or critical_t <= 0:
        return None if m == 0 and critical_t is None else f"`critical_t` is {critical_t} for {m} tests"
    p = two_sided_p(critical_t, n - 1)
    return None if math.isclose(p, alpha / m, rel_tol=1e-6) else f"`critical_t` {critical_t} gives p = {p:.3g}"
