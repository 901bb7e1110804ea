"""How an item's metadata becomes the document that a text encoder reads. Decided nowhere else."""

from __future__ import annotations

from collections.abc import Sequence


def item_text(
    title: str,
    year: int,
    categories: Sequence[str],
    tags: Sequence[str],
    description: str,
    genome: Sequence[str] = (),
) -> str:
    """Title, year, categories, tags, genome tags and description, what is missing left out.

    The fields of the paper's content-based embeddings (section 4.1). The long one is last: encoders cut the end.
    """
    parts = [f"{title} ({year})" if year else title]
    if categories:
        parts.append("Genres: " + ", ".join(categories))
    if tags:
        parts.append("Tags: " + ", ".join(tags))
    if genome:
        parts.append("Genome: " + ", ".join(genome))
    if description:
        parts.append(description)
    return ". ".join(part.rstrip(".") for part in parts) + "."
