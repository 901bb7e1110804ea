"""Draw docs/assets/leaderboard.svg from the committed results of demo: `python -m tests.docs.picture`."""

from __future__ import annotations

import io
import re

from rich.console import Console

from semidbench.leaderboards.board import leaderboard
from semidbench.leaderboards.tables import to_rich
from semidbench.published import table_rows
from tests.doc_blocks import ROOT

PICTURE = ROOT / "docs" / "assets" / "leaderboard.svg"


def picture() -> str:
    """The rows of the paper's Table 2 as a terminal shows them, without the caption."""
    table = to_rich(leaderboard("demo", ROOT / "leaderboards", rows=table_rows("2")))
    table.caption = None
    console = Console(record=True, width=92, file=io.StringIO(), force_terminal=True)
    console.print("$ semidbench leaderboard show --out leaderboards --table 2", highlight=False)
    console.print(table)
    drawn = console.export_svg(title="semidbench", unique_id="semidbench")
    return re.sub(r"\s*@font-face \{.*?\}", "", drawn, flags=re.DOTALL)  # they load fonts from another site


if __name__ == "__main__":
    PICTURE.write_text(picture(), "utf-8")
