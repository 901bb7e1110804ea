"""A part of the committed results: their metrics and the tests between them, computed in another way.

And all their verdicts, by two other ways and by the functions of scipy and pingouin.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import warnings
from pathlib import Path
from types import ModuleType

import numpy as np
import pingouin as pg
import pytest
from scipy import stats

from semidbench.leaderboards.board import Leaderboard, leaderboard
from semidbench.leaderboards.claims.judge import judge
from semidbench.results.files import read_cases, read_cell
from semidbench.tracks.files import load_track
from tests.oracles import counted_metrics, crossed_verdicts, paired_tests

BOARDS = Path(__file__).parents[2] / "leaderboards"
EVERY = 4  # of the rows, to be done in seconds
NAMES = sorted(path.parent.name for path in BOARDS.glob("*/results"))
REFERENCE = Path(os.environ.get("SEMIDBENCH_VERDICT", Path(__file__).parents[3] / "shared" / "verdict" / "verdict.py"))


@pytest.mark.parametrize("name", NAMES)
def test_committed_numbers_are_those_of_another_computation(name: str) -> None:
    track, folder = load_track(name), BOARDS / name
    board = json.loads((folder / "leaderboard.json").read_text("utf-8"))
    rows = {row["name"] for row in (*board["rows"], *board["references"])[::EVERY]}
    scores = paired_tests.PairScores(track.evaluation.primary)
    for path in sorted((folder / "results").glob("*.json")):
        if json.loads(path.read_text("utf-8"))["name"] not in rows:
            continue
        cell = read_cell(path)
        cases = read_cases(path.parent, cell)
        assert counted_metrics.differences(cell.metrics, cases) == [], path
        if cell.kind == "scheme":
            scores.add(cell, cases)
    assert len(scores.column("search", "all")) >= len(board["rows"]) // EVERY >= 2
    assert paired_tests.differences(board, scores, track.evaluation.alpha) == []


@pytest.fixture(scope="module", params=NAMES)
def board(request: pytest.FixtureRequest) -> Leaderboard:
    return leaderboard(request.param, BOARDS)


def test_committed_verdicts_are_those_of_another_computation(board: Leaderboard) -> None:
    for column in board.columns:
        rows = [np.stack(list(row.by_seed.values())) for row in column.scores]
        pairs = crossed_verdicts.pairs_of(rows)
        at = tuple(np.array([(pair.a, pair.b) for pair in pairs]).T)
        verdicts = column.verdicts
        for ours, theirs in (
            (verdicts.tests.standard_error, [pair.standard_error for pair in pairs]),
            (verdicts.tests.df, [pair.df for pair in pairs]),
            (verdicts.p, [pair.p for pair in pairs]),
            (verdicts.holm, [pair.holm for pair in pairs]),
            (verdicts.fdr, [pair.fdr for pair in pairs]),
        ):
            np.testing.assert_allclose(ours[at], np.array(theirs, np.float64), rtol=1e-9)


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    """The computation that the rule was chosen with, where it is at hand."""
    if not REFERENCE.is_file():
        pytest.skip(f"no reference at {REFERENCE}: set SEMIDBENCH_VERDICT")
    spec = importlib.util.spec_from_file_location("reference_verdict", REFERENCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, spec.name, module)  # its dataclass looks there
        spec.loader.exec_module(module)
    return module


def test_committed_verdicts_are_the_reference_s(board: Leaderboard, reference: ModuleType) -> None:
    for column in board.columns:
        theirs = reference.judge([np.stack(list(row.by_seed.values())) for row in column.scores])
        verdicts = column.verdicts
        np.testing.assert_allclose(verdicts.p, theirs.p, rtol=1e-9, atol=0)
        np.testing.assert_allclose(verdicts.holm, theirs.adjusted, rtol=1e-9, atol=0)
        np.testing.assert_allclose(verdicts.tests.df, theirs.df, rtol=1e-9)
        np.testing.assert_allclose(verdicts.tests.standard_error, theirs.se, rtol=1e-9)
        np.testing.assert_array_equal(verdicts.holds, theirs.verdict == 1)


def test_the_committed_paper_s_tests_are_scipy_s_and_pingouin_s(board: Leaderboard) -> None:
    """Every pair by scipy, and each seventh by pingouin, which is slower."""
    for column in board.columns:
        means = [row.unit_means() for row in column.scores]
        a, b = np.triu_indices(len(means), 1)
        p = np.array([stats.ttest_rel(means[i], means[j]).pvalue for i, j in zip(a, b, strict=True)])
        np.testing.assert_allclose(column.tests.uncorrected_p[a, b], p, rtol=1e-9, atol=0)
        np.testing.assert_allclose(column.tests.p[a, b], pg.multicomp(p, method="bonf")[1], rtol=1e-9, atol=0)
        for i, j in list(zip(a, b, strict=True))[::7]:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # of a Bayes factor that overflows
                theirs = pg.ttest(means[i], means[j], paired=True)["p_val"].iloc[0]
            assert column.tests.uncorrected_p[i, j] == pytest.approx(theirs, rel=1e-9, abs=0)


def test_committed_claims_are_decided_by_the_definition(board: Leaderboard) -> None:
    """Intersection-union, its opposite, and Holm over the claims, from the pairs of the other computation."""
    ledger = judge(board)
    by_column = {
        (column.task, column.group): crossed_verdicts.pairs_of(
            [np.stack(list(row.by_seed.values())) for row in column.scores]
        )
        for column in board.columns
    }
    names = [row.name for row in board.rows]
    sides = []
    for judgement in ledger.judgements:
        one_sided = []
        for finding in judgement.findings:
            said = finding.statement
            a, b = names.index(said.better), names.index(said.worse)
            (pair,) = [one for one in by_column[said.task, said.group] if {one.a, one.b} == {a, b}]
            assert pair.p is not None
            ahead = (pair.difference > 0) == (pair.a == a)
            one_sided.append(pair.p / 2 if ahead else 1 - pair.p / 2)
        sides.append((max(one_sided), min(1.0, len(one_sided) * min(1 - p for p in one_sided))))
    corrected = crossed_verdicts.holm([min(1.0, 2 * min(side)) for side in sides])
    for judgement, (holds, fails), p in zip(ledger.judgements, sides, corrected, strict=True):
        assert judgement.p == pytest.approx(p, rel=1e-6, abs=1e-12)
        assert judgement.verdict == ("undecided" if p >= 0.05 else "holds" if holds < fails else "fails")
