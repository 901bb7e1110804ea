"""One row against all others: its own family, equivalence within the track's margin, and the paper's test."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from semidbench.errors import UserError
from semidbench.leaderboards.board import Leaderboard, leaderboard
from semidbench.leaderboards.one_row import against, against_caption, against_grid, to_json, to_markdown
from semidbench.tracks.track import Equivalence
from tests.leaderboards.test_leaderboard import CONTENT, REC, SEARCH, write
from tests.oracles.crossed_verdicts import holm

SKILLS = {CONTENT: (0.3, 0.2), SEARCH: (0.6, 0.2), REC: (0.0, 0.6), "-/-/random": (0.0, 0.0)}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out")
    for name, skill in SKILLS.items():
        for seed in range(4):
            write(folder, name, seed, *skill)
    write(folder, "-/-/atomic", 0, 0.0, 0.0)
    return folder


@pytest.fixture(scope="module")
def board(out: Path) -> Leaderboard:
    return leaderboard("smoke", out)


def test_it_is_corrected_for_the_row_s_own_tests(board: Leaderboard) -> None:
    names = [row.name for row in board.rows]
    found = against(board, CONTENT)
    assert len(found) == 6 * 4
    for column in board.columns:
        lines = [line for line in found if line.column is column and line.other != "-/-/atomic"]
        p = [float(column.verdicts.p[names.index(CONTENT), names.index(line.other)]) for line in lines]
        assert [line.p for line in lines] == pytest.approx(holm(p), rel=1e-9)
        for line in lines:
            b = names.index(line.other)
            assert line.difference == column.verdicts.difference[names.index(CONTENT), b]
            assert line.paper is not None
            x, y = (column.scores[at].unit_means() for at in (names.index(CONTENT), b))
            assert line.paper.p == pytest.approx(stats.ttest_rel(x, y).pvalue, rel=1e-9)
            settled = ("above" if line.difference > 0 else "below") if line.p < 0.05 else ("unsettled", "equivalent")
            assert line.found in settled
    assert {line.found for line in found if line.other == "-/-/atomic"} == {"provisional"}
    assert {"above", "below", "unsettled"} <= {line.found for line in found}


def test_equivalent_needs_a_margin_that_the_track_declares(board: Leaderboard) -> None:
    wide = board.track.model_copy(update={"equivalence": Equivalence(margin=0.9)})
    none = board.track.model_copy(update={"equivalence": None})
    open_pairs = [line for line in against(board, CONTENT) if line.found in ("unsettled", "equivalent")]
    counts = [
        sum(line.found == "equivalent" for line in against(replace(board, track=track), CONTENT))
        for track in (wide, none)
    ]
    assert counts == [len(open_pairs), 0]
    assert counts[0] > 0
    assert "equivalent" not in " ".join(against_caption(replace(board, track=none)))
    assert "the 90% interval lies within ±0.9" in " ".join(against_caption(replace(board, track=wide)))


def test_a_row_that_is_not_there_and_one_that_is_alone(board: Leaderboard, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"unknown row 'contend/rq-kmeans/shared'\. Did you mean 'content/"):
        against(board, "contend/rq-kmeans/shared")
    write(tmp_path, REC, 0, 0.1, 0.1)
    with pytest.raises(UserError, match="is the only row"):
        against(leaderboard("smoke", tmp_path), REC)


def test_the_command_prints_it(out: Path, board: Leaderboard) -> None:
    words = ["compare", "--track", "smoke", "--out", str(out), "--against", CONTENT, "--format"]
    texts = {}
    for format in ("md", "json", "table"):
        code = "import sys; from semidbench.cli import main; main()"
        done = subprocess.run([sys.executable, "-c", code, *words, format], capture_output=True)
        assert done.returncode == 0, done.stderr
        texts[format] = done.stdout.decode()
    assert texts["md"] == to_markdown(board, CONTENT)
    assert texts["json"] == to_json(board, CONTENT)
    assert "against each other row" in " ".join(texts["table"].split())
    raw = json.loads(texts["json"])
    assert (raw["semidbench_against"], raw["row"], len(raw["pairs"])) == (1, CONTENT, 24)
    grid = against_grid(board, CONTENT)
    first, line = raw["pairs"][0], against(board, CONTENT)[0]
    assert first["paper_test"]["t"] == pytest.approx(line.paper.t if line.paper else np.nan, rel=1e-9)
    assert grid.rows[0][-1].text == f"{line.paper.effect_size if line.paper else np.nan:+.2f}"
