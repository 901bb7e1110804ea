"""Search queries for MovieLens items, written from their facets without a language model.

The paper has a language model write 10 queries per item and 10 paraphrases of them: realistic things a user
would ask to find the movie, broader than its title, on its topics, themes and genres (its footnote 1). Here
each query combines a few facets of the item in a sentence frame; the i-th test query keeps most facets of the
i-th training query and puts them in other words and another frame.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from typing import Literal

import numpy as np

from semidbench.api import Catalogue, Queries
from semidbench.dataset.queries import wording
from semidbench.dataset.queries.facets import Facets, Wordings, item_facets
from semidbench.errors import UserError
from semidbench.tracks import track

Side = Literal[0, 1]  # which of two wordings: training query or paraphrase
TRAIN: Side = 0
TEST: Side = 1
MAX_DRAWS = 300  # before a text that the item already has is taken; a leak or a training text never is

# How often a query names this or that, and how often a paraphrase changes it.
GENRES = (0.1, 0.5, 0.4)  # none, one or two
BARE_GENRES = (0.0, 0.3, 0.7)  # where a query has no theme
KIND = 0.35  # how often the description's kind of film stands for the genres
ERA = (0.25, 0.25, 0.5)  # no time, the decade or the year
BARE_ERA = (0.1, 0.35, 0.55)
THEMES = (0.1, 0.4, 0.5)  # one, two or three, as far as the item has them
SWAP_THEME = 0.2
DROP_THEME = 0.1
OTHER_GENRE = 0.1
OTHER_ERA = 0.1


@dataclass(frozen=True, slots=True)
class _Intent:
    """What one query is after: up to two genres, a time (see `_era`), up to three themes in both wordings."""

    genres: tuple[Wordings, ...]
    era: tuple[int, ...]
    themes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Query:
    text: str
    intent: _Intent


def write_queries(
    section: track.MovieLens, catalogue: Catalogue, cast: Sequence[Sequence[str]]
) -> tuple[Queries, Queries]:
    """Training and test queries, `train_queries` and `test_queries` per item, sorted by item.

    Deterministic in `queries_seed`. No query holds its item's title or, where that has several words, a
    distinctive one of them. Within an item queries differ as far as its facets allow; no test query equals
    any training query.

    Args:
        section: seed and counts.
        catalogue: N items.
        cast: names per item, whose words are no themes.

    Raises:
        UserError: every query one could write for an item holds its title.
    """
    seed = section.queries_seed
    if seed is None:
        raise ValueError("a section whose queries are read from a file has no seed to write some with")
    facets = item_facets(catalogue, cast)
    train = []
    for row, item in enumerate(facets):
        rng = np.random.default_rng([seed, row, TRAIN])
        train.append(_training_queries(item, section.train_queries, rng))
    taken = frozenset(query.text for written in train for query in written)
    test = []
    for row, item in enumerate(facets):
        rng = np.random.default_rng([seed, row, TEST])
        originals = [query.intent for query in train[row]]
        test.append(_paraphrases(originals, item, section.test_queries, taken, rng))
    return _flat(train), _flat(test)


def _training_queries(item: Facets, count: int, rng: np.random.Generator) -> list[_Query]:
    written: list[_Query] = []
    for _ in range(count):
        written.append(_acceptable(lambda: _query(_intent(item, rng), TRAIN, rng), item, written, frozenset()))
    return written


def _paraphrases(
    originals: Sequence[_Intent], item: Facets, count: int, taken: frozenset[str], rng: np.random.Generator
) -> list[_Query]:
    """One query for each of the intents in turn, again from the first where more are wanted."""
    written: list[_Query] = []
    for _, original in zip(range(count), cycle(originals), strict=False):
        written.append(_acceptable(partial(_paraphrase, original, item, rng), item, written, taken))
    return written


def _paraphrase(original: _Intent, item: Facets, rng: np.random.Generator) -> _Query:
    return _query(_varied(original, item, rng), TEST, rng)


def _acceptable(draw: Callable[[], _Query], item: Facets, written: Sequence[_Query], taken: frozenset[str]) -> _Query:
    """The first draw that gives nothing away, is not taken and, if that can be had, not written yet."""
    texts = {query.text for query in written}
    repeat = None
    for _ in range(MAX_DRAWS):
        query = draw()
        if query.text in taken or item.forbidden.search(query.text):
            continue
        if query.text not in texts:
            return query
        repeat = query
    if repeat is None:
        raise UserError(
            f"no query for {item.title!r} could be written without its title. "
            'Use a track with queries = "file", and provide all of them in queries.jsonl'
        )
    return repeat


def _flat(written: Sequence[Sequence[_Query]]) -> Queries:
    items = np.repeat(np.arange(len(written), dtype=np.int64), [len(queries) for queries in written])
    return Queries(items, tuple(query.text for queries in written for query in queries))


def _intent(item: Facets, rng: np.random.Generator) -> _Intent:
    n_themes = min(len(item.themes), 1 + int(rng.choice(len(THEMES), p=THEMES)))
    themes = tuple(item.themes[k] for k in _pick(item, n_themes, rng))
    n_genres = int(rng.choice(3, p=GENRES if themes else BARE_GENRES))
    kind = item.kind if rng.random() < KIND else ()
    genres = kind or tuple(item.genres[k] for k in rng.permutation(len(item.genres))[:n_genres])
    return _Intent(genres, _era(item, ERA if themes else BARE_ERA, rng), themes)


def _pick(item: Facets, count: int, rng: np.random.Generator) -> list[int]:
    """So many different themes by their weights (Gumbel's trick)."""
    if not count:
        return []
    order: list[int] = np.argsort(-(np.log(item.weights) + rng.gumbel(size=len(item.themes)))).tolist()
    return order[:count]


def _era(item: Facets, weights: Sequence[float], rng: np.random.Generator) -> tuple[int, ...]:
    """Nothing, the first year of the decade, or that and the year."""
    named = int(rng.choice(3, p=weights))
    return (item.year // 10 * 10, item.year)[:named] if item.year else ()


def _varied(intent: _Intent, item: Facets, rng: np.random.Generator) -> _Intent:
    """A similar intent: now and then another theme, another genre, another or no time."""
    genres, era, themes = list(intent.genres), intent.era, list(intent.themes)
    if themes and rng.random() < SWAP_THEME:
        themes[int(rng.integers(len(themes)))] = item.themes[_pick(item, 1, rng)[0]]
    elif len(themes) > 1 and rng.random() < DROP_THEME:
        themes.pop(int(rng.integers(len(themes))))
    if genres and item.genres and rng.random() < OTHER_GENRE:
        genres[0] = item.genres[int(rng.integers(len(item.genres)))]
    if rng.random() < OTHER_ERA:
        era = _era(item, ERA if themes else BARE_ERA, rng)
    return _Intent(tuple(dict.fromkeys(genres[::-1])), era, tuple(dict.fromkeys(themes[::-1])))


def _query(intent: _Intent, side: Side, rng: np.random.Generator) -> _Query:
    """The intent in words."""

    def pick(options: Sequence[str]) -> str:
        return options[int(rng.integers(len(options)))]

    names = [pick(genre[side]) for genre in intent.genres] or [pick(wording.ANYTHING[side])]
    era = ""
    if len(intent.era) == 1:
        decade = intent.era[0]
        era = pick(wording.DECADES[side]).format(d=decade, w=wording.DECADE_NAMES.get(decade, f"{decade}s"))
    elif intent.era:
        era = pick(wording.YEARS[side]).format(y=intent.era[1])
    themes = pick(wording.JOINERS[side]).join(theme[side] for theme in intent.themes)
    frames = wording.FRAMES if themes else wording.BARE_FRAMES
    text = pick(frames[side]).format(g=", also ".join(names), d=era, t=themes)
    return _Query(re.sub(r"\s+(?=[?:,\s])", "", text).strip(), intent)
