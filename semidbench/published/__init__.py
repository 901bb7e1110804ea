"""What the paper (arXiv 2508.10478) printed: its tables, its claims, and which rows of ours they name.

Read `papers` (tables) and `statements` (claims). The data are TOML files of this folder, validated when they are read.
Nothing here is measured by semidbench.
"""

from __future__ import annotations

from semidbench.published.papers import Paper, PaperRow, PaperTable, PrintedCell, extra_rows, paper, published_order
from semidbench.published.statements import Claim, Part, claims

__all__ = [
    "Claim",
    "Paper",
    "PaperRow",
    "PaperTable",
    "Part",
    "PrintedCell",
    "claims",
    "extra_rows",
    "paper",
    "published_order",
    "table_rows",
]

EXTRA, ALL = "extra", "all"


def table_rows(table: str) -> tuple[str, ...]:
    """The scheme strings of one table, canonical, in its order.

    Args:
        table: "1", "2" or "3" for the paper's; "extra" for rows of ours beside them; "all" for all of these.

    Raises:
        UserError: there is no such table.
    """
    from semidbench.errors import unknown

    if table == ALL:
        return published_order()
    if table == EXTRA:
        return extra_rows()
    by_number = {str(one.number): one for one in paper().tables}
    if table not in by_number:
        raise unknown("table", table, [*by_number, EXTRA, ALL])
    return tuple(row.scheme for row in by_number[table].rows)
