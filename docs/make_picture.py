"""Draw docs/leaderboard.svg from the committed demo results: `python docs/make_picture.py`."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from semidbench.leaderboards.board import leaderboard
from semidbench.leaderboards.tables import to_rich
from semidbench.published import table_rows

HERE = Path(__file__).parent

console = Console(record=True, width=110, file=io.StringIO(), force_terminal=True)
console.print("$ semidbench leaderboard show --track demo --table 2", highlight=False)
console.print(to_rich(leaderboard("demo", HERE.parent / "leaderboards", rows=table_rows("2"))))
console.save_svg(str(HERE / "leaderboard.svg"), title="semidbench", unique_id="semidbench")
