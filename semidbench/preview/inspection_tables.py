"""An inspection for the terminal and as JSON."""

from __future__ import annotations

import json
from textwrap import wrap
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from semidbench.leaderboards.terminal import new_table
from semidbench.preview.inspection import TEXTS, InspectedIds, Inspection

if TYPE_CHECKING:
    from rich.table import Table

SCHEMA = 1
_SCHEME_WIDTH = 22  # leaves the other columns their place in 100


def to_json(inspection: Inspection) -> str:
    """All numbers, ending in a newline."""
    values = TypeAdapter(Inspection).dump_python(inspection, mode="json")
    return json.dumps({"semidbench_inspection": SCHEMA} | values, indent=1) + "\n"


def use_table(inspection: Inspection) -> Table:
    """What the IDs use, for 80 columns or more."""
    table = new_table(
        f"Semantic IDs: {_where(inspection)}",
        [
            "Codes: used / in the codebook, and perplexity. Tokens: of the task's IDs / of the scheme. IDs: distinct "
            "ones. Collide: share of items that have not their ID to themselves. Load: items / possible IDs."
        ],
    )
    for header in ("Scheme", "IDs of", "Codes of each level"):
        table.add_column(header, overflow="fold", no_wrap=header != "Scheme")
    for header in ("Tokens", "IDs", "Items/ID\nmean", "\nmax", "Collide", "Load"):
        table.add_column(header, justify="right", no_wrap=True)
    for row in inspection.schemes:
        for ids in row.ids:
            use = ids.use
            width = max(len(level.slot) for level in use.levels)
            levels = (
                f"{level.slot:<{width}} {level.used:,}/{level.size:,} {level.perplexity:,.1f}" for level in use.levels
            )
            _add_row(
                table,
                _broken(row.scheme) if ids is row.ids[0] else "",
                _tasks(ids),
                "\n".join(levels),
                f"{use.tokens:,} /\n{row.tokens:,}",
                f"{use.distinct:,}",
                f"{use.mean_items:.2f}",
                f"{use.max_items:,}",
                _share(use.colliding),
                f"{use.load:.2g}" if use.load < 0.01 else f"{use.load:.2f}",
            )
    return table


def error_table(inspection: Inspection) -> Table:
    """What the IDs leave unexplained of each view, for 80 columns or more."""
    without_embedder = any(error.view == TEXTS for row in inspection.schemes for error in row.ids[0].errors)
    notes = (
        "Share of a view's variance that the IDs leave unexplained: 1 is as good as the view's mean. Sums: the best "
        "sum of one vector per code, by least squares. Means: the mean of the items that share the ID. Chance: the "
        "same IDs dealt to the items at random."
        + (f" {TEXTS.capitalize()}: the track's text encodings, for a scheme without embedder." * without_embedder)
    )
    table = new_table(f"Variance left: {_where(inspection)}", [notes])
    for header in ("Scheme", "IDs of", "View"):
        table.add_column(header, overflow="fold")
    for header in ("Sums", "Chance", "Means", "Chance"):
        table.add_column(header, justify="right", no_wrap=True)
    for row in inspection.schemes:
        for ids in row.ids:
            for error in ids.errors:
                first = error is ids.errors[0]
                _add_row(
                    table,
                    row.scheme if first and ids is row.ids[0] else "",
                    _tasks(ids) if first else "",
                    error.view,
                    *map(_share, (error.sums, error.chance_sums, error.means, error.chance_means)),
                )
    return table


def _add_row(table: Table, *cells: str) -> None:
    """As text: a scheme's options stand in brackets, which rich would take for markup."""
    from rich.text import Text

    table.add_row(*map(Text, cells))


def _broken(scheme: str) -> str:
    """Over lines, at slashes where that goes."""
    return "\n".join(
        line.replace(" ", "") for line in wrap(scheme.replace("/", "/ "), _SCHEME_WIDTH, break_on_hyphens=False)
    )


def _where(inspection: Inspection) -> str:
    return f"{inspection.track}, version {inspection.version}, {inspection.items:,} items, seed {inspection.seed}"


def _tasks(ids: InspectedIds) -> str:
    return "both" if len(ids.tasks) > 1 else ids.tasks[0]


def _share(value: float) -> str:
    return f"{value:.3f}".removeprefix("0") if value < 1 else f"{value:.3f}"
