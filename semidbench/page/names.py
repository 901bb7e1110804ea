"""What rows are called on the page beside their names."""

from __future__ import annotations

from semidbench.leaderboards import Row


def row_label(row: Row, index: int) -> str:
    """A scheme's number; R1, R2, ... for the references, which have none. `index` counts from 0 within its kind."""
    return f"R{index + 1}" if row.number is None else str(row.number)
