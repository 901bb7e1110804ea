"""The prompt for an item's queries: the paper's, and our sentence on the form of the answer."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from semidbench.api import Catalogue, Ints

# The paper's footnote 1, word for word but for the number.
_PAPER = (
    "Your task is to return a list with {COUNT} queries for a given movie (title of the movie, year and description "
    "and tags) After generating the initial set of queries, you should also generate a list of the same size with "
    "paraphrased of the first queries. The paraphrased queries should be similar to the original queries, but with "
    "different words, structure and slight variations in the meaning. The queries should be realistic things that a "
    "user would ask to find the movie. The queries should be diverse and cover different aspects of the movie. The "
    "queries should not include the title of the movie, but be broader descriptions of the movie and its content. The "
    "queries should also contain broad topics, themes and genres of the movie. Movie: {METADATA}"
)
# Ours: the paper does not give the form of the answers.
_FORM = (
    'Answer with one JSON object and nothing else: {"queries": [{COUNT} strings], "paraphrases": [{COUNT} strings]}, '
    "where each paraphrase stands at the place of the query it paraphrases and no two of all strings are equal."
)


@dataclass(frozen=True, slots=True)
class Item:
    """An item and its prompt.

    Attributes:
        movie: its movieId.
        title: must not stand in its queries.
        prompt: the whole prompt.
    """

    movie: int
    title: str
    prompt: str

    def prompt_sha256(self) -> str:
        """Of the prompt, so of the item's metadata too: an answer to another prompt is no answer."""
        return text_sha256(self.prompt)


def prompt_template(count: int) -> str:
    """The prompt for `count` queries and as many paraphrases, with {METADATA} where an item's metadata goes."""
    return f"{_PAPER}\n\n{_FORM}".replace("{COUNT}", str(count))


def items_to_ask(catalogue: Catalogue, movie_ids: Ints, count: int) -> list[Item]:
    """Every item with its prompt, in the catalogue's order.

    The metadata are those of the item's text, which the content-based embedders read: title, year, genres, tags
    and description.

    Args:
        catalogue: N items.
        movie_ids: int64 (N,).
        count: queries per item, and paraphrases per item.
    """
    before, after = prompt_template(count).split("{METADATA}")
    return [
        Item(movie, title, before + text + after)
        for movie, title, text in zip(movie_ids.tolist(), catalogue.titles, catalogue.texts, strict=True)
    ]


def correction_request(reason: str) -> str:
    """The message about an answer that cannot be used, when the item is asked for again. Ours."""
    return f"This answer cannot be used: {reason}. Give the complete JSON object again, corrected."


def text_sha256(text: str) -> str:
    """Hex SHA-256 of a text as UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()
