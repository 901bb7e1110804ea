"""What queries can name of an item: genres, year, tags and themes found in its description."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from semidbench.api import Catalogue
from semidbench.dataset.queries import wording

_TOKEN = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*|[^\s\w]|\d+")
_KIND = re.compile(r"\bis an? [^.]*?((?:\b[a-z]+(?:-[a-z]+)* ){1,4})films?\b")
_NAME_WORD = re.compile(r"[^\W_]+")
MAX_INFINITIVE_SHARE = 0.2  # "to find": more of it and the word, or its base form, is a verb
MIN_DOCUMENTS = 2  # a word of one item alone would all but name it
MAX_CONTENT = 4  # content words of a theme
MAX_BITS = 16.0  # of a theme: a longer one is not named more often
MAX_SHARE = 0.05  # a theme word of more items distinguishes little
MIN_NOUN_SHARE = 0.45


Wordings = tuple[tuple[str, ...], tuple[str, ...]]  # in training queries, in paraphrases


@dataclass(frozen=True, slots=True)
class Facets:
    """One item's facets.

    Attributes:
        title: for messages.
        genres: each as its wordings in training queries and in paraphrases.
        kind: the kind of film as the description has it ("a romantic black comedy"), likewise, or nothing.
        year: 0 where unknown.
        themes: words, two-word phrases and tags, in order of appearance, each in two wordings: how a
            training query puts it, and how a paraphrase does (often the same).
        weights: how probable each theme is in a query, adding up to 1.
        forbidden: matches any text that gives the title away.
    """

    title: str
    genres: tuple[Wordings, ...]
    kind: tuple[Wordings, ...]
    year: int
    themes: tuple[tuple[str, str], ...]
    weights: tuple[float, ...]
    forbidden: re.Pattern[str]


def item_facets(catalogue: Catalogue, cast: Sequence[Sequence[str]]) -> list[Facets]:
    """The facets of every item. `cast` holds each item's names: none of their words becomes a theme."""
    tokens = [_TOKEN.findall(text) for text in catalogue.descriptions]
    nouns = _nouns(tokens)
    common = _common_words(tokens)
    phrases = [_themes_in(item_tokens, nouns, common) for item_tokens in tokens]
    tagged = document_frequency([tag.lower() for tag in item_tags] for item_tags in catalogue.tags)
    names = frozenset(word for item_cast in cast for name in item_cast for word in name_words(name))
    patterns = [title_pattern(title) for title in catalogue.titles]
    themes = []
    for row, pattern in enumerate(patterns):
        own = {word for name in cast[row] for word in name_words(name)}
        given = [
            (tag.lower(), tag.lower())
            for tag in catalogue.tags[row]
            if tagged[tag.lower()] >= MIN_DOCUMENTS and _is_story_tag(tag, names)
        ]
        pairs = [pair for pair in [*phrases[row], *given] if own.isdisjoint(name_words(" ".join(pair)))]
        pairs += _traits_in(catalogue.descriptions[row])
        themes.append(tuple(dict.fromkeys(pair for pair in pairs if not any(map(pattern.search, pair)))))
    weights = _weights(themes)
    return [
        Facets(
            title=catalogue.titles[row],
            genres=tuple(wording.GENRES[genre] for genre in catalogue.categories[row] if genre in wording.GENRES),
            kind=_kind_of_film(catalogue.descriptions[row], patterns[row]),
            year=int(catalogue.years[row]),
            themes=themes[row],
            weights=weights[row],
            forbidden=patterns[row],
        )
        for row in range(len(catalogue))
    ]


def _kind_of_film(description: str, forbidden: re.Pattern[str]) -> tuple[Wordings, ...]:
    """'... is a 1995 American computer-animated comedy film' to 'a computer-animated comedy film', in two wordings."""
    match = _KIND.search(description)
    words = [word for word in match[1].split() if word not in _stop_words()] if match else []
    kind = " ".join(words)
    if " " not in kind or forbidden.search(kind):  # a single word adds nothing to the genre
        return ()
    article = "an" if kind[0] in "aeiou" else "a"
    return (((f"{article} {kind} film", f"{article} {kind} movie"), (f"some {kind}", f"{article} {kind} picture")),)


def _weights(themes: Sequence[tuple[tuple[str, str], ...]]) -> list[tuple[float, ...]]:
    """The chance that a query names a theme grows with the square of its bits: people ask for what stands out."""
    stop = _stop_words()
    words = [[[word for word in train.split() if word not in stop] for train, _ in item] for item in themes]
    counts = document_frequency([word for theme in item for word in theme] for item in words)
    weights = []
    for item in words:
        bits = [
            min(MAX_BITS, 1 + sum(math.log2(len(themes) / counts[word]) for word in dict.fromkeys(theme)))
            for theme in item
        ]
        weights.append(tuple(bit**2 / sum(each**2 for each in bits) for bit in bits))
    return weights


def document_frequency(documents: Iterable[Iterable[str]]) -> Counter[str]:
    """In how many documents each term occurs."""
    return Counter(term for document in documents for term in dict.fromkeys(document))


def name_words(name: str) -> list[str]:
    """The words of a name or title, lower case, without punctuation."""
    return _NAME_WORD.findall(name.lower())


def title_pattern(title: str) -> re.Pattern[str]:
    """Matches a text that holds the title, or a distinctive word of a title of several words.

    Alternative titles in brackets count as titles. A word is distinctive unless it is a stop word, a word
    for films in general or shorter than three letters.
    """
    names = [part for part in re.split(r"[()]", title) if name_words(part)]
    whole = [r"[\W_]+".join(map(re.escape, name_words(name))) for name in names]
    ignored = _stop_words() | wording.GENERIC_IN_TITLES
    distinctive = [
        re.escape(word)
        for name in names
        if len(name_words(name)) > 1
        for word in name_words(name)
        if len(word) > 2 and word not in ignored
    ]
    parts = dict.fromkeys([*whole, *distinctive]) or {r"(?!)": None}
    return re.compile(rf"(?<![^\W_])(?:{'|'.join(parts)})(?![^\W_])", re.IGNORECASE)


@cache
def _stop_words() -> frozenset[str]:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return frozenset(ENGLISH_STOP_WORDS)


def _nouns(documents: list[list[str]]) -> frozenset[str]:
    """Nouns, judged by the words around them, that are neither names nor boilerplate, rare nor everywhere."""
    total: Counter[str] = Counter()
    nounish: Counter[str] = Counter()
    infinitive: Counter[str] = Counter()
    capitalised: Counter[str] = Counter()
    for tokens in documents:
        for before, token, following in zip(["", *tokens], tokens, [*tokens[1:], "."], strict=False):
            if token.islower():
                infinitive[token] += before == "to"
                total[token] += 1
                nounish[token] += following in wording.AFTER_NOUN
            elif token[0].isupper():
                capitalised[token.lower()] += 1
    in_documents = document_frequency([token for token in tokens if token.islower()] for tokens in documents)
    most = MAX_SHARE * sum(map(bool, documents))
    blocked = _stop_words() | wording.BOILERPLATE | wording.NO_NOUNS
    verbs = {word for word, count in total.items() if infinitive[word] > MAX_INFINITIVE_SHARE * count}
    return frozenset(
        word
        for word, count in in_documents.items()
        if MIN_DOCUMENTS <= count <= most
        and word not in blocked
        and len(word) > 2
        and not word.endswith(("ed", "ly"))
        and (not word.endswith("ing") or word in ("wedding", "boxing", "racing", "king", "ring", "kidnapping"))
        and verbs.isdisjoint(_base_forms(word))
        and nounish[word] >= MIN_NOUN_SHARE * total[word]
        and capitalised[word] < total[word]
    )


def _base_forms(word: str) -> set[str]:
    """The word and what it may be the third person of: tries, try."""
    forms = {word}
    if word.endswith("s"):
        forms |= {word[:-1], word.removesuffix("es"), word.removesuffix("ies") + "y"}
    return forms


def _common_words(documents: list[list[str]]) -> frozenset[str]:
    """Content words of at least MIN_DOCUMENTS items and not of too many."""
    counts = document_frequency([token for token in tokens if token.islower()] for tokens in documents)
    most = MAX_SHARE * sum(map(bool, documents))
    blocked = _stop_words() | wording.BOILERPLATE
    return frozenset(
        word
        for word, count in counts.items()
        if MIN_DOCUMENTS <= count <= most and len(word) > 2 and word not in blocked
    )


def _themes_in(tokens: list[str], nouns: frozenset[str], common: frozenset[str]) -> list[tuple[str, str]]:
    """The noun, or the few words in a row with up to MAX_CONTENT content words, of each stretch of lower case."""
    names = {token.lower() for token in tokens if not token.islower()}
    themes = []
    stretch: list[str] = []
    for token in [*tokens, "."]:
        if token.islower() and (token in _stop_words() or (token in common and token not in names)):
            stretch.append(token)
            if sum(word in common for word in stretch) < MAX_CONTENT:
                continue
        theme = _worded(stretch, nouns, common)
        if theme:
            themes.append(theme)
        stretch = []
    return themes


def _worded(stretch: list[str], nouns: frozenset[str], common: frozenset[str]) -> tuple[str, str] | None:
    """Both wordings of a stretch of words, from its first content word to its last noun; None without a noun."""
    ends = [at for at, word in enumerate(stretch) if word in nouns]
    if not ends:
        return None
    start = next(at for at, word in enumerate(stretch) if word in common)
    words = stretch[start : ends[-1] + 1]
    if len(words) == 1:
        return wording.KINDS.get(words[0], words[0]), wording.SYNONYMS.get(words[0], words[0])
    return " ".join(words), " ".join(wording.SYNONYMS.get(word, word) for word in words)


def _traits_in(description: str) -> list[tuple[str, str]]:
    return [(train, test) for pattern, train, test in wording.TRAITS if re.search(pattern, description)]


def _is_story_tag(tag: str, names: frozenset[str]) -> bool:
    """Not about the film as a product, and not somebody's name."""
    words = name_words(tag)
    if not words or tag.lower() in wording.NO_STORY_TAGS or any(word in wording.NO_STORY_IN_TAG for word in words):
        return False
    if any(word.isdigit() for word in words):
        return False
    return len(words) == 1 or not (tag.istitle() or all(word in names for word in words))
