"""The tables and the claims in leaderboards/ are what the results beside them give, byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from semidbench.compare import write_comparison
from semidbench.leaderboards import leaderboard
from semidbench.tables import write_tables

BOARDS = Path(__file__).parents[1] / "leaderboards"


@pytest.mark.parametrize("track", sorted(folder.parent.name for folder in BOARDS.glob("*/results")))
def test_committed_tables_are_current(track: str, tmp_path: Path) -> None:
    board = leaderboard(track, BOARDS)
    for made in (*write_tables(board, tmp_path), *write_comparison(board, tmp_path)):
        assert made.read_bytes() == (BOARDS / track / made.name).read_bytes(), made.name
