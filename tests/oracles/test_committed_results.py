"""A part of the committed results: their metrics and the tests between them, computed in another way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from semidbench.results.files import read_cases, read_cell
from semidbench.tracks.files import load_track
from tests.oracles import counted_metrics, paired_tests

BOARDS = Path(__file__).parents[2] / "leaderboards"
EVERY = 4  # of the rows, to be done in seconds


@pytest.mark.parametrize("name", sorted(path.parent.name for path in BOARDS.glob("*/results")))
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
