"""The synthetic world: a dataset whose search and recommendation sides have known causes.

Items have latent content factors (topics, and concepts of these topics) from which everything written about
them comes, and latent taste factors from which interactions are drawn. The track's numbers set how far the two
agree, how skewed popularity is in each task, and how large the world is.

- *Text.* Each concept has several words. Descriptions, training queries and test queries prefer different,
  overlapping ones, and descriptions also hold words of a latent style that no query mentions: an encoder that
  was never tuned on queries is partly about the wrong thing.
- *Taste.* Each component of an item's taste comes from its content with probability `agreement`, else from a
  draw of its own; so that number changes where tastes come from and not how sharp they are.
- *Interactions.* A user holds a few tastes, stays with the current one with probability STAY, and picks an item
  of it by Zipf popularity. The most popular item is the same in both tasks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semidbench.api import Catalogue, Interactions, Ints, Queries
from semidbench.dataset import RawData
from semidbench.dataset.item_text import item_text
from semidbench.errors import UserError
from semidbench.tracks import track

Weights = NDArray[np.float64]

# The world's make. Changing any of these changes every world: raise the version of the tracks that use it.
CONCEPTS_PER_TOPIC = 12
MIN_CONCEPTS, MAX_CONCEPTS = 8, 12  # per item
MAX_TOPICS = 3  # per item
STYLES, WORDS_PER_STYLE = 8, 40
TITLE_NAMES = 400
# How probable each word of a concept is in descriptions and tags, training queries and test queries.
DESCRIPTION_WORDS = (0.55, 0.35, 0.08, 0.02)
TRAIN_WORDS = (0.10, 0.40, 0.40, 0.10)
TEST_WORDS = (0.05, 0.25, 0.40, 0.30)
WORDS_PER_CONCEPT = len(DESCRIPTION_WORDS)
STYLE_SHARE = 2.5  # style words per concept word of a description
QUERY_CONCEPTS = (0.6, 0.3, 0.1)  # chance of naming 2, 3 or 4 concepts
MISREMEMBERED = 0.15  # chance that a named concept is any of the world's, not the item's
NAMES_TOPIC = 0.15  # chance that a query names a topic
PARAPHRASE_CHANGES = 0.9  # chance that a paraphrase swaps a concept or drops one
MAX_TASTES = 3  # per user
STAY = 0.85  # chance that the next interaction follows the current taste
MIN_INTERACTIONS = 3
FIRST_DAY, DAY = 1_000_000_000, 86_400  # seconds since 1970

TRAIN_FRAMES = ("a {t} story about {c}", "{t} with {c}", "find {t} that has {c}", "looking for {t} on {c}")
TEST_FRAMES = ("which {t} deals with {c}", "is there something {t} where {c} matter", "{c}: any {t} like this")
NO_TOPIC = "film"


@dataclass(frozen=True, slots=True)
class Latents:
    """What lies behind a world, by item.

    Attributes:
        topics: float64 (N, topics), each row adds up to 1 and has 1 to 3 non-zero entries.
        tastes: float64 (N, tastes), each row adds up to 1.
        concepts: per item the concepts it is about; concept c belongs to topic c // CONCEPTS_PER_TOPIC.
        popularity: int64 (N,), ranks 1..N, 1 is the most popular.
    """

    topics: Weights
    tastes: Weights
    concepts: tuple[Ints, ...]
    popularity: Ints


@dataclass(frozen=True, slots=True)
class _Lexicon:
    concepts: list[list[str]]  # WORDS_PER_CONCEPT words each
    topics: list[str]
    styles: list[list[str]]
    names: list[str]


def make_world(section: track.World) -> RawData:
    """The world of a track section, deterministic in its seed.

    Raises:
        UserError: fewer items than a user has interactions at the least.
    """
    if section.items < MIN_INTERACTIONS:
        raise UserError(
            f"a world needs at least {MIN_INTERACTIONS} items, the track has {section.items}. Raise `items`"
        )
    of_latents, of_words, of_catalogue, of_queries, of_users = np.random.default_rng(section.seed).spawn(5)
    latents = draw_latents(section, of_latents)
    lexicon = _lexicon(section.topics, of_words)
    train_queries, test_queries = _queries(section, latents, lexicon, of_queries)
    return RawData(
        catalogue=_catalogue(latents, lexicon, of_catalogue),
        interactions=_interactions(section, latents, of_users),
        train_queries=train_queries,
        test_queries=test_queries,
    )


def draw_latents(section: track.World, rng: np.random.Generator) -> Latents:
    """Topics, tastes, concepts and popularity of each item."""
    topics = np.zeros((section.items, section.topics))
    tastes = np.zeros((section.items, section.tastes))
    taste_of_topic = _taste_of_topic(section, rng)
    concepts = []
    for item in range(section.items):
        count = min(int(rng.integers(1, MAX_TOPICS + 1)), section.topics)
        chosen = rng.choice(section.topics, size=count, replace=False)
        weights = rng.dirichlet(np.full(count, 2.0))
        topics[item, chosen] = weights
        own = rng.random(count) >= section.agreement
        independent = np.eye(section.tastes)[rng.integers(section.tastes, size=count)]
        tastes[item] = weights @ np.where(own[:, None], independent, taste_of_topic[chosen])
        concepts.append(_item_concepts(chosen, weights, rng))
    popularity = rng.permutation(section.items).astype(np.int64) + 1
    return Latents(topics, tastes, tuple(concepts), popularity)


def zipf_counts(ranks: Ints, exponent: float, mean: int) -> Ints:
    """Counts proportional to rank ** -exponent that add up to len(ranks) * mean, at least 1 each; int64.

    Largest remainders round them; what the minimum of 1 costs is taken from the others in proportion.
    """
    total = len(ranks) * mean
    weights = ranks.astype(np.float64) ** -exponent
    floor = np.zeros(len(ranks), dtype=bool)
    while True:
        quota = np.where(floor, 1.0, weights * (total - floor.sum()) / max(weights[~floor].sum(), 1e-300))
        below = (quota < 1) & ~floor
        if not below.any():
            break
        floor |= below
    counts = np.floor(quota + 1e-9).astype(np.int64)
    rest = total - int(counts.sum())
    counts[np.lexsort((ranks, -(quota - counts)))[:rest]] += 1
    return counts


def _taste_of_topic(section: track.World, rng: np.random.Generator) -> Weights:
    """Which tastes content alone would give: float64 (topics, tastes), rows add up to 1.

    With as many topics as tastes or more, each topic has one taste; otherwise each taste has one topic.
    """
    table = np.zeros((section.topics, section.tastes))
    for k in range(max(section.topics, section.tastes)):
        table[k % section.topics, k % section.tastes] = 1.0
    table = table[rng.permutation(section.topics)]
    shares: Weights = table / table.sum(axis=1, keepdims=True)
    return shares


def _item_concepts(topics: Ints, weights: Weights, rng: np.random.Generator) -> Ints:
    count = int(rng.integers(MIN_CONCEPTS, MAX_CONCEPTS + 1))
    candidates = (topics[:, None] * CONCEPTS_PER_TOPIC + np.arange(CONCEPTS_PER_TOPIC)).ravel()
    chances = np.repeat(weights / CONCEPTS_PER_TOPIC, CONCEPTS_PER_TOPIC)
    # Gumbel's trick: a weighted draw without replacement.
    return candidates[np.argsort(-(np.log(chances) + rng.gumbel(size=len(candidates))))[:count]].astype(np.int64)


def _lexicon(topics: int, rng: np.random.Generator) -> _Lexicon:
    n_concepts = topics * CONCEPTS_PER_TOPIC
    sizes = (n_concepts * WORDS_PER_CONCEPT, topics, STYLES * WORDS_PER_STYLE, TITLE_NAMES)
    words = iter(_pseudo_words(sum(sizes), rng))
    return _Lexicon(
        concepts=[[next(words) for _ in range(WORDS_PER_CONCEPT)] for _ in range(n_concepts)],
        topics=[next(words) for _ in range(topics)],
        styles=[[next(words) for _ in range(WORDS_PER_STYLE)] for _ in range(STYLES)],
        names=[next(words).capitalize() for _ in range(TITLE_NAMES)],
    )


def _pseudo_words(count: int, rng: np.random.Generator) -> list[str]:
    """Distinct words of consonant-vowel syllables: three, or more where three do not suffice."""
    syllables = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]
    length = 3
    while len(syllables) ** length < 2 * count:
        length += 1
    numbers = rng.choice(len(syllables) ** length, size=count, replace=False)
    return [
        "".join(syllables[n // len(syllables) ** k % len(syllables)] for k in range(length)) for n in numbers.tolist()
    ]


class _Speaker:
    """Chooses words of concepts with one side's preferences."""

    def __init__(self, lexicon: _Lexicon, chances: tuple[float, ...], rng: np.random.Generator) -> None:
        self._lexicon = lexicon
        self._cumulative = np.cumsum(chances)[:-1]
        self._rng = rng

    def words(self, concepts: list[int]) -> list[str]:
        choices = np.searchsorted(self._cumulative, self._rng.random(len(concepts)), side="right").tolist()
        return [self._lexicon.concepts[concept][choice] for concept, choice in zip(concepts, choices, strict=True)]


def _catalogue(latents: Latents, lexicon: _Lexicon, rng: np.random.Generator) -> Catalogue:
    writer = _Speaker(lexicon, DESCRIPTION_WORDS, rng)
    titles, categories, tags, descriptions = [], [], [], []
    years = rng.integers(1950, 2025, size=len(latents.concepts))
    styles = rng.integers(STYLES, size=len(latents.concepts)).tolist()
    for item, own in enumerate(latents.concepts):
        concepts = own.tolist()
        (main,) = writer.words(concepts[:1])
        titles.append(f"{lexicon.names[int(rng.integers(TITLE_NAMES))]} {main.capitalize()}")
        by_weight = np.argsort(-latents.topics[item], kind="stable")[: int((latents.topics[item] > 0).sum())]
        categories.append(tuple(lexicon.topics[topic].capitalize() for topic in by_weight.tolist()))
        named = rng.choice(own, size=min(3, len(own)), replace=False).tolist()
        tags.append(tuple(writer.words(named)))
        descriptions.append(_description(writer.words(concepts), lexicon.styles[styles[item]], rng))
    return Catalogue(
        texts=tuple(map(item_text, titles, years.tolist(), categories, tags, descriptions)),
        titles=tuple(titles),
        years=years.astype(np.int64),
        categories=tuple(categories),
        tags=tuple(tags),
        descriptions=tuple(descriptions),
    )


def _description(words: list[str], style: list[str], rng: np.random.Generator) -> str:
    """Sentences of four to six words: the item's concepts among words of its style."""
    mixed = words + [style[k] for k in rng.integers(len(style), size=round(STYLE_SHARE * len(words))).tolist()]
    mixed = [mixed[k] for k in rng.permutation(len(mixed)).tolist()]
    sentences = [mixed[start : start + 5] for start in range(0, len(mixed), 5)]
    return " ".join(f"{' '.join(sentence).capitalize()}." for sentence in sentences)


def _queries(
    section: track.World, latents: Latents, lexicon: _Lexicon, rng: np.random.Generator
) -> tuple[Queries, Queries]:
    """Training queries and their paraphrases. No frame of one side can give a text of the other."""
    n_train = zipf_counts(latents.popularity, section.search_popularity_skew, section.train_queries)
    n_test = zipf_counts(latents.popularity, section.search_popularity_skew, section.test_queries)
    asker = _Speaker(lexicon, TRAIN_WORDS, rng)
    paraphraser = _Speaker(lexicon, TEST_WORDS, rng)
    train: list[str] = []
    test: list[str] = []
    for item, own in enumerate(latents.concepts):
        intents = []
        for _ in range(int(n_train[item])):
            topic = lexicon.topics[int(rng.choice(latents.topics.shape[1], p=latents.topics[item]))]
            topic = topic if rng.random() < NAMES_TOPIC else NO_TOPIC
            count = min(2 + int(np.searchsorted(np.cumsum(QUERY_CONCEPTS)[:-1], rng.random())), len(own))
            intents.append((topic, _misremembered(rng.permutation(own)[:count], len(lexicon.concepts), rng)))
            train.append(_phrase(TRAIN_FRAMES, topic, asker.words(intents[-1][1]), ", ", rng))
        for number in range(int(n_test[item])):
            topic, concepts = intents[number % len(intents)]
            test.append(_phrase(TEST_FRAMES, topic, paraphraser.words(_varied(concepts, own, rng)), " and ", rng))
    rows = np.arange(section.items, dtype=np.int64)
    return Queries(np.repeat(rows, n_train), tuple(train)), Queries(np.repeat(rows, n_test), tuple(test))


def _misremembered(concepts: Ints, n_concepts: int, rng: np.random.Generator) -> list[int]:
    """The concepts, each now and then replaced by any of the world's."""
    wrong = rng.random(len(concepts)) < MISREMEMBERED
    others = rng.integers(n_concepts, size=len(concepts))
    named: list[int] = np.where(wrong, others, concepts).tolist()
    return named


def _varied(concepts: list[int], own: Ints, rng: np.random.Generator) -> list[int]:
    """The concepts in another order, now and then with one swapped for another of the item's, or dropped."""
    varied: list[int] = rng.permutation(concepts).tolist()
    if rng.random() < PARAPHRASE_CHANGES:
        others = np.setdiff1d(own, concepts)
        if len(varied) > 2 and rng.random() < 0.5:
            varied.pop()
        elif len(others):
            varied[-1] = int(others[int(rng.integers(len(others)))])
    return varied


def _phrase(frames: tuple[str, ...], topic: str, words: list[str], joiner: str, rng: np.random.Generator) -> str:
    return frames[int(rng.integers(len(frames)))].format(t=topic, c=joiner.join(words))


def _interactions(section: track.World, latents: Latents, rng: np.random.Generator) -> Interactions:
    lengths = _history_lengths(section, rng)
    preferences = _user_tastes(section, rng)
    chances = latents.tastes * (latents.popularity.astype(np.float64) ** -section.rec_popularity_skew)[:, None]
    cumulative = np.cumsum(chances, axis=0)
    history = np.full((section.users, int(lengths.max())), -1, dtype=np.int64)
    taste = _choose(preferences, rng)
    for step in range(history.shape[1]):
        active = np.flatnonzero(lengths > step)
        moved = active[rng.random(len(active)) >= STAY]
        taste[moved] = _choose(preferences[moved], rng)
        history[active, step] = _next_items(history[active, :step], taste[active], cumulative, latents.popularity, rng)
    gaps = rng.integers(1, 3 * DAY, size=history.shape)
    starts = rng.integers(FIRST_DAY, FIRST_DAY + 3650 * DAY, size=section.users)
    there = history >= 0
    return Interactions(
        users=np.repeat(np.arange(section.users, dtype=np.int64), lengths),
        items=history[there],
        timestamps=(starts[:, None] + np.cumsum(gaps, axis=1))[there].astype(np.int64),
    )


def _history_lengths(section: track.World, rng: np.random.Generator) -> Ints:
    """MIN_INTERACTIONS and more, overdispersed (gamma-Poisson), with the track's mean, at most all items."""
    surplus = max(section.interactions_per_user - MIN_INTERACTIONS, 0)
    extra = rng.poisson(rng.gamma(2.0, surplus / 2.0, size=section.users)) if surplus else np.zeros(section.users)
    return np.minimum(MIN_INTERACTIONS + extra, section.items).astype(np.int64)


def _user_tastes(section: track.World, rng: np.random.Generator) -> Weights:
    """float64 (users, tastes): mixtures of one to MAX_TASTES tastes."""
    count = np.minimum(rng.integers(1, MAX_TASTES + 1, size=section.users), section.tastes)
    order = np.argsort(rng.random((section.users, section.tastes)), axis=1)
    rank = np.argsort(order, axis=1)
    weights = np.where(rank < count[:, None], rng.gamma(2.0, size=(section.users, section.tastes)) + 1e-3, 0.0)
    shares: Weights = weights / weights.sum(axis=1, keepdims=True)
    return shares


def _choose(chances: Weights, rng: np.random.Generator) -> Ints:
    """One index per row, drawn with that row's chances."""
    cumulative = np.cumsum(chances, axis=1)
    draws = rng.random(len(chances)) * cumulative[:, -1]
    chosen: Ints = np.minimum((cumulative <= draws[:, None]).sum(axis=1), chances.shape[1] - 1).astype(np.int64)
    return chosen


def _next_items(seen: Ints, taste: Ints, cumulative: Weights, popularity: Ints, rng: np.random.Generator) -> Ints:
    """One unseen item per row of `seen` (users, steps so far), drawn from that user's current taste.

    Draws that hit a seen item are drawn again; where a taste is (nearly) used up, the most popular unseen item
    of the catalogue stands in.
    """
    items = np.full(len(taste), -1, dtype=np.int64)
    open_rows = np.flatnonzero(cumulative[-1, taste] > 0)
    for _ in range(50):
        if not len(open_rows):
            break
        drawn = np.empty(len(open_rows), dtype=np.int64)
        uniform = rng.random(len(open_rows))
        for each in np.unique(taste[open_rows]).tolist():
            here = taste[open_rows] == each
            column = cumulative[:, each]
            drawn[here] = np.searchsorted(column, uniform[here] * column[-1], side="right")
        new = ~(seen[open_rows] == drawn[:, None]).any(axis=1)
        items[open_rows[new]] = drawn[new]
        open_rows = open_rows[~new]
    by_popularity = np.argsort(popularity)
    for row in np.flatnonzero(items < 0).tolist():
        items[row] = by_popularity[~np.isin(by_popularity, seen[row])][0]
    return items
