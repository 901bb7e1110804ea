"""A language model's answer, read and checked: counts, repetitions, titles."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from semidbench.dataset.queries import wording
from semidbench.dataset.queries.query_files import normal_form

_FENCE = re.compile(r"```(?:json)?(.*?)```", re.DOTALL | re.IGNORECASE)
_NO_TEXT = ("Cc", "Cs")  # control characters, halves of surrogate pairs
_FIELDS = {"queries": "query", "paraphrases": "paraphrase"}


class Unusable(Exception):
    """An answer that cannot be used. The message is the reason, without a full stop."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An item's queries, whitespace normalised; the i-th of `test` paraphrases the i-th of `train`."""

    train: tuple[str, ...]
    test: tuple[str, ...]


@dataclass(slots=True)
class UsedQueries:
    """The training and the test queries of all items so far, in `normal_form`."""

    train: set[str] = field(default_factory=set)
    test: set[str] = field(default_factory=set)


def parse_answer(text: str, count: int) -> Answer:
    """The answer in a model's reply: a JSON object, perhaps fenced or among words, as `read_answer` takes it.

    Raises:
        Unusable: it is no such object.
    """
    if not text.strip():
        raise Unusable("the answer is blank")
    fenced = _FENCE.search(text)
    try:
        value = _json_in(fenced[1] if fenced else text)
    except (ValueError, RecursionError) as error:
        raise Unusable(f"the answer is not valid JSON ({error})") from None
    return read_answer(value, count)


def _json_in(text: str) -> Any:
    """All of the text, or what begins at its first brace: models often write an introduction."""
    try:
        return json.loads(text)
    except ValueError:
        begin = text.find("{")
        if begin < 0:
            raise
        return json.JSONDecoder().raw_decode(text, begin)[0]


def read_answer(value: Any, count: int) -> Answer:
    """The answer in `{"queries": [str, ...], "paraphrases": [str, ...]}`, `count` of each.

    Raises:
        Unusable: it is no such object, a count is wrong, or a query is blank or no text.
    """
    if not isinstance(value, dict):
        raise Unusable("the answer is not a JSON object")
    train, test = (_texts(value.get(name), name, count) for name in _FIELDS)
    return Answer(train, test)


def check_answer(answer: Answer, title: str, used: UsedQueries) -> None:
    """Accept an answer and add it to `used`, or raise the reason why not.

    Refused are two equal texts within the item, a text that contains the title (see `title_patterns`), and a test query
    that is a training query of any item, as the protocol has it. Equal means of one `normal_form`. Items
    may share training queries, or test queries.

    Raises:
        Unusable: with the first reason; `used` is as before.
    """
    named = [
        (f"{kind} {number}", text)
        for kind, texts in (("query", answer.train), ("paraphrase", answer.test))
        for number, text in enumerate(texts, start=1)
    ]
    patterns = title_patterns(title)
    seen: dict[str, str] = {}
    for name, text in named:
        key = normal_form(text)
        if key in seen:
            raise Unusable(f"{name} equals {seen[key]}: {text!r}")
        seen[key] = name
        plain = _plain(text)
        if any(pattern.search(plain) for pattern in patterns):
            raise Unusable(f"{name} contains the title: {text!r}")
        if key in (used.train if name.startswith("paraphrase") else used.test):
            raise Unusable(f"{name} is too general, because another movie has it too: {text!r}")
    used.train.update(map(normal_form, answer.train))
    used.test.update(map(normal_form, answer.test))


def title_patterns(title: str) -> list[re.Pattern[str]]:
    """What gives a title away, to be searched in text without accents.

    That is: the title, an alternative title in brackets, and the part before or after a colon or a dash where that
    has several words; in any case, with or without what stands between its words (Spider-Man, spiderman), and without
    its article where several words are left. Titles of common words alone
    (Up, It, The Others) and single words without their article (Matrix) stand in many an innocent sentence, so these
    count only with the title's capitals and not at the beginning of a sentence. Titles of one letter never count.
    """
    patterns = []
    for words in _names(_plain(title)):
        bare = words[1:] if words[0].lower() in ("a", "an", "the") else words
        loose = bare if len(bare) > 1 else words
        common = all(map(_is_common, loose))
        if not common:
            patterns.append(re.compile(_whole(loose), re.IGNORECASE))
        if (common or (len(bare) == 1 and bare != words)) and len("".join(bare)) > 1:
            patterns.append(re.compile(rf"(?:(?<=[\w,;] )|(?<=[\"'“‘«])){_whole(bare)}"))
    return patterns


def _names(title: str) -> Iterable[list[str]]:
    """The words of each name in a title, as written."""
    for name in re.split(r"[()]", title):
        whole = _words(re.sub(r"^\s*a\.?k\.?a\.?\s+", "", name, flags=re.IGNORECASE))
        if whole:
            yield whole
        parts = [_words(part) for part in re.split(r":| [-\u2013\u2014] ", name)]
        yield from (words for words in parts if len(words) > 1 and words != whole)


def _words(name: str) -> list[str]:
    return re.findall(r"[^\W_]+", name)


def _whole(words: Sequence[str]) -> str:
    name = r"[\W_]*".join(map(re.escape, words))
    return rf"(?<![^\W_]){name}(?![^\W_])"


def _is_common(word: str) -> bool:
    return len(word) == 1 or word.lower() in _common_words()


@cache
def _common_words() -> frozenset[str]:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return frozenset(ENGLISH_STOP_WORDS) | wording.GENERIC_IN_TITLES


def _plain(text: str) -> str:
    """Without accents."""
    if text.isascii():  # most are, and there are a million
        return text
    return "".join(each for each in unicodedata.normalize("NFKD", text) if unicodedata.category(each) != "Mn")


def _texts(value: Any, name: str, count: int) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise Unusable(f"there is no list {name!r}")
    if len(value) != count:
        raise Unusable(f"{name!r} has {len(value)} strings, not {count}")
    for number, text in enumerate(value, start=1):
        if not isinstance(text, str) or not text.strip():
            raise Unusable(f"{_FIELDS[name]} {number} is blank or not a string")
        if any(unicodedata.category(each) in _NO_TEXT for each in " ".join(text.split())):
            raise Unusable(f"{_FIELDS[name]} {number} contains characters that are not text")
    return tuple(" ".join(text.split()) for text in value)
