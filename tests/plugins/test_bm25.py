"""The BM25 ranker, against the formula written out."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from semidbench_bm25.ranker import Bm25

from semidbench.api import Catalogue, Context, Floats, Interactions, Queries, Ranker, TrainData

MakeContext = Callable[..., Context]
STOPWORDS = {"the", "of", "and"}  # those of Lucene's list that the texts below use
WORDS = ("heat", "Heat", "crime", "9to5", "été", "the", "of", "a", "x")
TEXT = st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join)


def corpus(texts: Sequence[str]) -> TrainData:
    empty = tuple(() for _ in texts)
    years = np.zeros(len(texts), np.int64)
    nothing = np.zeros(0, np.int64)
    catalogue = Catalogue(tuple(texts), tuple(texts), years, empty, empty, tuple(texts))
    return TrainData(catalogue, Interactions(nothing, nothing, nothing), Queries(nothing, ()))


def fitted(train: TrainData, context: object = None, **options: float | bool | str) -> Bm25:
    ranker = Bm25(**options)  # type: ignore[arg-type]
    ranker.fit(train, context)  # type: ignore[arg-type]  # BM25 reads nothing of it
    return ranker


def words_of(text: str, lower: bool = True) -> list[str]:
    words = re.findall(r"\b\w\w+\b", text.lower() if lower else text)
    return [word for word in words if word not in STOPWORDS]


def brute_force(
    texts: Sequence[str], queries: Sequence[str], k1: float = 1.5, b: float = 0.75, lower: bool = True
) -> Floats:
    documents = [Counter(words_of(text, lower)) for text in texts]
    mean = sum(document.total() for document in documents) / len(documents)
    scores = np.zeros((len(queries), len(texts)), np.float32)
    for row, query in enumerate(queries):
        for column, document in enumerate(documents):
            for word in words_of(query, lower):
                holders = sum(word in other for other in documents)
                idf = math.log(1 + (len(documents) - holders + 0.5) / (holders + 0.5))
                damped = k1 * (1 - b + b * document.total() / mean)
                if word in document:
                    scores[row, column] += idf * document[word] / (document[word] + damped)
    return scores


@given(
    texts=st.lists(TEXT, min_size=1, max_size=6).filter(lambda texts: any(words_of(text) for text in texts)),
    queries=st.lists(TEXT, max_size=3),
    k1=st.floats(0, 3),
    b=st.floats(0, 1),
    lower=st.booleans(),
)
def test_equals_the_formula(texts: list[str], queries: list[str], k1: float, b: float, lower: bool) -> None:
    scores = fitted(corpus(texts), k1=k1, b=b, lower=lower).search(queries)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, brute_force(texts, queries, k1, b, lower), rtol=1e-5, atol=1e-6)


def test_searches_a_catalogue(train: TrainData, context: MakeContext) -> None:
    ranker = fitted(train, context())
    assert isinstance(ranker, Ranker)
    asked = ["Item7 of the topic1", "plot2 plot2 item3", "unheard-of", ""]
    scores = ranker.search(asked)
    np.testing.assert_allclose(scores, brute_force(train.catalogue.texts, asked), rtol=1e-5)
    assert scores[0].argmax() == 7
    assert not scores[2:].any()
    assert ranker.search([]).shape == (0, train.n_items)


def test_a_history_asks_with_the_texts_of_its_last_items(train: TrainData, context: MakeContext) -> None:
    ranker = fitted(train, context(), history=2)
    texts = train.catalogue.texts
    scores = ranker.recommend([np.array([9, 4, 30]), np.array([5]), np.array([], np.int64)])
    expected = brute_force(texts, [f"{texts[4]} {texts[30]}", texts[5], ""])
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
    np.testing.assert_array_equal(Bm25().history, 5)


def test_stopwords(train: TrainData) -> None:
    texts = ("the film", "about films", "film")
    english = fitted(corpus(texts)).search(["the about"])[0]
    longer = fitted(corpus(texts), stopwords="english_plus").search(["the about"])[0]
    none = fitted(corpus(texts), stopwords="none").search(["the about"])[0]
    assert [(scores > 0).tolist() for scores in (english, longer, none)] == [
        [False, True, False],
        [False, False, False],
        [True, True, False],
    ]


def test_equal_texts_have_equal_scores() -> None:
    scores = fitted(corpus(["heat crime", "9to5 heat", "heat crime"])).search(["crime heat heat 9to5"])[0]
    assert scores[0] == scores[2] != scores[1]


def test_refuses_what_it_cannot_do(train: TrainData) -> None:
    for options in ({"k1": -1.0}, {"b": 1.5}, {"history": 0}, {"k1": float("nan")}):
        with pytest.raises(ValueError, match=r"needs k1 .* history"):
            Bm25(**options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="klingon not recognized"):
        Bm25(stopwords="klingon")
    with pytest.raises(ValueError, match="no item's text holds a word to index; stopwords are english"):
        fitted(corpus(["the", "x"]))
    wordless = replace(train.catalogue, texts=("",) * train.n_items)
    with pytest.raises(ValueError, match="stopwords are none"):
        fitted(replace(train, catalogue=wordless), stopwords="none")
