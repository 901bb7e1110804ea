"""The track's text encoder: LSA fitted on training text, or a pinned sentence model.

Encodings are kept on disk, so that a second run or seed encodes nothing. The model is loaded, or LSA
fitted, at the first list of texts that is not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from semidbench.errors import UserError
from semidbench.store.fingerprint import core_code, library_versions
from semidbench.store.json_text import hash_json
from semidbench.text.lsa import Lsa
from semidbench.text.pretrained import Pretrained
from semidbench.text.sentence_model import SentenceEncoder, sentence_model_width
from semidbench.text.stored_encoder import Progress, StoredEncoder
from semidbench.tracks import track


def load_encoder(
    section: track.Lsa | track.SentenceModel,
    model: Pretrained | None,
    training_texts: Sequence[str],
    store: Path,
    threads: int,
    device: str,
    progress: Progress,
) -> StoredEncoder:
    """The text encoder that a track names.

    Args:
        section: the track's `text_encoder`.
        model: the pretrained model behind a sentence model, None for LSA.
        training_texts: item texts and training queries, what LSA is fitted on; a sentence model ignores them.
        store: folder of the encodings kept on disk; made if absent.
        threads: torch or BLAS threads.
        device: "cpu" or "cuda", for a sentence model.
        progress: called as `progress(what, done, total)` while texts are encoded.

    Raises:
        UserError: no training texts for LSA, or a model folder that is incomplete.
    """
    if isinstance(section, track.Lsa):
        if not training_texts:
            raise UserError("text encoder `lsa` needs training texts and there are none. Check the dataset")
        lsa = Lsa(section.dimension, tuple(training_texts), threads)
        fingerprint = lsa_fingerprint(section, training_texts, threads)
        return StoredEncoder(section.dimension, None, lsa.encode, fingerprint, store, progress)
    assert model is not None, section.name
    sentences = SentenceEncoder(model.folder, threads, device)
    fingerprint = sentence_fingerprint(model, threads, device)
    width = sentence_model_width(model.folder)
    return StoredEncoder(width, model.folder, sentences.encode, fingerprint, store, progress)


def lsa_fingerprint(section: track.Lsa, training_texts: Sequence[str], threads: int) -> str:
    """Hex sha256 of all that determines an LSA encoding's bits."""
    texts = hash_json(list(training_texts))
    return _fingerprint(["numpy", "scipy", "scikit-learn"], threads, [section.dimension, texts])


def sentence_fingerprint(model: Pretrained, threads: int, device: str) -> str:
    """Hex sha256 of all that determines a sentence model's bits: wherever its files lie."""
    libraries = ["numpy", "torch", "transformers", "tokenizers", "sentence-transformers"]
    return _fingerprint(libraries, threads, [dict(model.files), device])


def _fingerprint(libraries: list[str], threads: int, rest: list[Any]) -> str:
    return hash_json([core_code("text.encoder"), library_versions(libraries), threads, rest])
