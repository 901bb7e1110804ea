"""BM25 over the items' texts, by the bm25s library."""

from __future__ import annotations

from collections.abc import Sequence

import bm25s
import numpy as np

from semidbench.api import Context, Floats, Ints, TrainData

NO_STOPWORDS = "none"


class Bm25:
    """Ranker: Lucene's variant of BM25 (Kamphuis et al., ECIR 2020), bm25s's default. Nothing is learned.

    A document is an item's text. The score of document D for the words q of a query, each as often as it is
    there, is the sum of ln(1 + (N - n + .5) / (n + .5)) * f / (f + k1 * (1 - b + b * |D| / mean |D|)), with n the
    documents that hold q, f its count in D, and |D| the words of D.
    """

    def __init__(
        self, *, k1: float = 1.5, b: float = 0.75, lower: bool = True, stopwords: str = "english", history: int = 5
    ) -> None:
        """Set the options. All defaults but `history` are those of bm25s.

        Args:
            k1: how slowly a word's repetitions saturate.
            b: how far long documents are discounted.
            lower: put texts and queries in lower case.
            stopwords: a list of bm25s by its name, such as english (33 words) or english_plus; or none.
            history: a history asks with the texts of its last so many items.

        Raises:
            ValueError: an option is out of range, or bm25s has no such list.
        """
        if not (k1 >= 0 and 0 <= b <= 1 and history >= 1):
            raise ValueError(f"needs k1 ({k1}) >= 0, 0 <= b ({b}) <= 1 and history ({history}) >= 1")
        self.k1, self.b, self.lower, self.history = k1, b, lower, history
        self.stopwords: str | list[str] = [] if stopwords == NO_STOPWORDS else stopwords
        self._words([])  # raises for an unknown list

    def fit(self, train: TrainData, context: Context) -> None:
        """Index the items' texts.

        Raises:
            ValueError: the texts hold no words (two letters or digits at least, and no stopwords).
        """
        words = self._words(train.catalogue.texts)
        if not any(words):
            raise ValueError(f"no item's text holds a word to index; stopwords are {self.stopwords or NO_STOPWORDS}")
        numbers = {word: number for number, word in enumerate(dict.fromkeys(word for text in words for word in text))}
        tokens = [[numbers[word] for word in text] for text in words]
        self.texts = train.catalogue.texts
        self.index = bm25s.BM25(k1=self.k1, b=self.b, method="lucene", backend="numpy")
        # From a set of strings, as bm25s would make it, the order of words would differ from run to run.
        self.index.index((tokens, numbers), create_empty_token=False, show_progress=False)

    def search(self, queries: Sequence[str]) -> Floats:
        """Scores float32 (len(queries), N); 0 without a common word."""
        scores = np.zeros((len(queries), len(self.texts)), np.float32)
        for row, words in enumerate(self._words(queries)):
            scores[row] = self.index.get_scores_from_ids(self.index.get_tokens_ids(words))
        return scores

    def recommend(self, histories: Sequence[Ints]) -> Floats:
        """Scores float32 (len(histories), N) for the texts of each history's last items as one query."""
        return self.search([" ".join(self.texts[item] for item in history[-self.history :]) for history in histories])

    def _words(self, texts: Sequence[str]) -> list[list[str]]:
        words: list[list[str]] = bm25s.tokenize(
            list(texts), lower=self.lower, stopwords=self.stopwords, return_ids=False, show_progress=False
        )
        return words
