"""The training examples of a track, with IDs from no plugin: what the trainers are timed on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.cluster import MiniBatchKMeans

from semidbench.api import Ints
from semidbench.generator.examples import Examples, TokenRows, search_prompts, training_examples
from semidbench.runs.shared.dataset import prepare_dataset
from semidbench.text.lsa import LsaEncoder
from semidbench.text.tokenizer import PAD_ID, trained_text_tokens
from semidbench.tracks.track import ScratchGenerator, Track

_WIDTH = 64


def track_examples(track: Track, data: Path | None, store: Path, threads: int) -> tuple[Examples, int]:
    """All examples of a track with a generator from scratch, and the size of its text vocabulary.

    The IDs are residual k-means on LSA of the item texts, one for both tasks: content IDs, as a scheme would give.
    """
    assert isinstance(track.generator, ScratchGenerator), track.name
    train = prepare_dataset(track, "test", data, store).train
    prompts, texts = track.prompts, train.queries.texts
    searches = [prompts.search.replace("{query}", text) for text in texts]
    recommends = [prompts.rec.replace("{history}", "")] * len(searches)
    text = trained_text_tokens([*searches, *recommends], track.generator.tokenizer_vocabulary)
    encodings = LsaEncoder(_WIDTH, tuple(train.catalogue.texts), threads).encode(train.catalogue.texts)
    tokens = text.size + id_tokens(encodings, track.ids.codebook_sizes)
    examples = training_examples(
        search_prompts(texts, text.tokenizer, prompts),
        train.queries.items,
        train.interactions,
        tokens,
        tokens,
        text.tokenizer,
        prompts,
        track.training.prefixes_per_user,
    )
    return examples, text.size


def id_tokens(encodings: np.ndarray[tuple[int, int], np.dtype[np.float32]], sizes: tuple[int, ...]) -> Ints:
    """Residual k-means codes, each level behind the one before: int64 (items, levels)."""
    residual, first, levels = encodings.astype(np.float64), 0, []
    for size in sizes:
        means = MiniBatchKMeans(size, random_state=0, n_init=3).fit(residual)
        levels.append(means.labels_ + first)
        residual = residual - means.cluster_centers_[means.labels_]
        first += size
    return np.stack(levels, axis=1).astype(np.int64)


def random_examples(count: int, length: int, vocabulary: int, labels: int, seed: int) -> Examples:
    """Prompts of one length and labels, all of random tokens."""
    rng = np.random.default_rng(seed)
    flat = rng.integers(PAD_ID + 2, vocabulary, count * length).astype(np.int32)
    return Examples(TokenRows(flat, np.arange(count + 1) * length), rng.integers(2, vocabulary, (count, labels)))
