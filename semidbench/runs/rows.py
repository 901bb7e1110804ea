"""Which rows and how many cells a run was asked for."""

from __future__ import annotations

from collections.abc import Sequence

from semidbench.errors import UserError
from semidbench.methods.resolved import Wanted
from semidbench.published import table_rows
from semidbench.tracks.track import Track


def wanted_rows(track: Track, schemes: Sequence[str], table: str | None) -> dict[str, Wanted]:
    """By name, schemes first: those that were asked for or else the track's, then the track's references.

    Args:
        schemes: names of schemes.
        table: names a published table, whose rows are wanted instead.

    Raises:
        UserError: both are given, there is no such table, or a name is malformed.
    """
    if table is not None and schemes:
        raise UserError("--table names the rows and so does --scheme: give one of them")
    named = table_rows(table) if table else schemes or track.plan.rows
    asked = [*(Wanted("scheme", text) for text in named), *(Wanted("ranker", text) for text in track.plan.references)]
    return {one.name: one for one in asked}


def check_numbers(seeds: int, jobs: int | None) -> None:
    """Refuse numbers below one.

    Raises:
        UserError: one is.
    """
    if seeds < 1:
        raise UserError(f"seeds must be 1 or more, not {seeds}")
    if jobs is not None and jobs < 1:
        raise UserError(f"jobs must be 1 or more, not {jobs}")
