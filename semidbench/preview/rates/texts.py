"""Text encoding: how long the lists take that the store does not have yet."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from semidbench.machine.memory import FLOAT_BYTES
from semidbench.preview.rates.timing import growing, sizes_up_to
from semidbench.runs.shared.session import Session
from semidbench.runs.stages.rank import _SCORE_BYTES as SCORE_BYTES
from semidbench.store.json_text import hash_json
from semidbench.text.encoder import open_encoder
from semidbench.text.lsa import training_texts
from semidbench.text.stored_encoder import FORMAT

TEST_QUERIES = "test queries"
_SAMPLE = 512  # texts, at most


def text_lists(session: Session) -> dict[str, list[list[str]]]:
    """The lists that methods have encoded, by what they are.

    Items and training queries are a list each. Test queries are asked of a reference in batches, which are lists.
    """
    train, asked = session.dataset.train, session.dataset.held_out().queries.texts
    batch = max(1, SCORE_BYTES // (FLOAT_BYTES * train.n_items))
    return {
        "items": [list(train.catalogue.texts)],
        "training queries": [list(train.queries.texts)],
        TEST_QUERIES: [list(asked[start : start + batch]) for start in range(0, len(asked), batch)],
    }


def stored_as(session: Session, texts: Sequence[str]) -> Path:
    """The file that has a list's encodings, or will have: as `StoredEncoder` calls it."""
    spec = session.encoder
    return spec.store / f"{hash_json([FORMAT, spec.fingerprint, list(texts)])}.npy"


def missing_texts(session: Session) -> dict[str, list[str]]:
    """Texts of lists whose encodings are not in the store, by what they are."""
    missing = {
        name: [text for texts in lists if not stored_as(session, texts).exists() for text in texts]
        for name, lists in text_lists(session).items()
    }
    return {name: texts for name, texts in missing.items() if texts}


def time_texts(session: Session, texts_by_name: dict[str, list[str]], budget: float) -> dict[str, float]:
    """Seconds that texts take, by what they are, from a sample; nothing is kept of their encodings.

    A process loads or fits the encoder at the first that it encodes, and different processes encode what has different
    names. So that time is in each.

    Args:
        budget: seconds for each sample.
    """
    if not texts_by_name:
        return {}
    encoder = open_encoder(session.encoder, training_texts(session.dataset.train), _silent)
    began = time.perf_counter()
    encoder.compute(next(iter(texts_by_name.values()))[:1])
    loading = time.perf_counter() - began
    found = {}
    for name, texts in texts_by_name.items():
        distinct = sorted(set(texts), key=len)

        def measure(count: int, seconds: float, distinct: list[str] = distinct) -> float:
            places = np.linspace(0, len(distinct) - 1, count).astype(int)
            began = time.perf_counter()
            encoder.compute([distinct[place] for place in places])
            return time.perf_counter() - began

        timing = growing(measure, sizes_up_to(min(len(distinct), _SAMPLE)), budget, least=1)
        found[name] = loading + timing.of(len(distinct))
    return found


def _silent(*_: Any) -> None: ...
