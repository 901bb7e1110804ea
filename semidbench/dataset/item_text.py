"""The one place that says how an item's metadata becomes the document a text encoder reads."""

from __future__ import annotations

from collections.abc import Sequence


def item_text(title: str, year: int, categories: Sequence[str], tags: Sequence[str], description: str) -> str:
    """Title, year, categories, tags and description, what is missing left out.

    The paper's content-based embeddings use the same fields (section 4.1), and genome tags beside them.
    """
    parts = [f"{title} ({year})" if year else title]
    if categories:
        parts.append("Genres: " + ", ".join(categories))
    if tags:
        parts.append("Tags: " + ", ".join(tags))
    if description:
        parts.append(description)
    return ". ".join(part.rstrip(".") for part in parts) + "."
