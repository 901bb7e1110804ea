"""Notes on a dataset: oddities that are no errors, counted."""

from __future__ import annotations


def counted(*facts: tuple[int, str]) -> list[str]:
    """A note for each count that is not zero."""
    return [f"{what}: {count:,}" for count, what in facts if count]
