"""What stands in leaderboards/ is what the results there give, byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from semidbench.leaderboards.build import build, stale

BOARDS = Path(__file__).parents[2] / "leaderboards"


@pytest.mark.skipif(not list(BOARDS.glob("*/results")), reason="no results are committed")
def test_committed_leaderboards_are_current() -> None:
    assert stale(build(BOARDS)) == {}
