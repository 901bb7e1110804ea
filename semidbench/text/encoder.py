"""The track's text encoder: LSA fitted on training text, or a pinned sentence model.

Encodings are kept on disk, so that a second run or seed encodes nothing. The model is loaded, or LSA
fitted, at the first list of texts that is not there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from semidbench.errors import UserError
from semidbench.store.fingerprint import core_code, library_versions, module_code
from semidbench.store.json_text import hash_json
from semidbench.text.lsa import LsaEncoder
from semidbench.text.sentence_model import SentenceEncoder, sentence_model_width
from semidbench.text.stored_encoder import Progress, StoredEncoder
from semidbench.tracks import track

if TYPE_CHECKING:
    from semidbench.text.pretrained import Pretrained


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """A text encoder as plain values: any process can open it with `open_encoder`.

    Attributes:
        dimension: width of an encoding.
        folder: the sentence model's, None for LSA.
        fingerprint: SHA-256 in hex of all that determines an encoding's bits.
        store: folder of the encodings kept on disk; made if absent.
        threads: torch or BLAS threads.
        device: "cpu" or "cuda", for a sentence model.
    """

    kind: Literal["lsa", "sentence-transformer"]
    dimension: int
    folder: Path | None
    fingerprint: str
    store: Path
    threads: int
    device: str

    def as_json(self) -> dict[str, Any]:
        """JSON values; `EncoderSpec.from_json` reads them."""
        folder = None if self.folder is None else str(self.folder.absolute())
        return {**asdict(self), "folder": folder, "store": str(self.store.absolute())}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> EncoderSpec:
        """What `as_json` gave."""
        folder = values["folder"] and Path(values["folder"])
        return cls(**{**values, "folder": folder, "store": Path(values["store"])})


def encoder_spec(
    section: track.Lsa | track.SentenceModel,
    model: Pretrained | None,
    training_texts: Sequence[str],
    store: Path,
    threads: int,
    device: str,
) -> EncoderSpec:
    """The text encoder that a track names. Nothing is loaded or fitted.

    Args:
        section: the track's `text_encoder`.
        model: the pretrained model behind a sentence model, None for LSA.
        training_texts: item texts and training queries, what LSA is fitted on; a sentence model ignores them.
        store: folder of the encodings kept on disk.
        threads: torch or BLAS threads.
        device: "cpu" or "cuda", for a sentence model.

    Raises:
        UserError: no training texts for LSA, or a model folder that is incomplete.
    """
    if isinstance(section, track.Lsa):
        if not training_texts:
            raise UserError("text encoder `lsa` needs training texts and there are none. Check the dataset")
        fingerprint = lsa_fingerprint(section, training_texts, threads)
        return EncoderSpec("lsa", section.dimension, None, fingerprint, store, threads, device)
    assert model is not None, section.name
    width, fingerprint = sentence_model_width(model.folder), sentence_fingerprint(model, threads, device)
    return EncoderSpec("sentence-transformer", width, model.folder, fingerprint, store, threads, device)


def open_encoder(spec: EncoderSpec, training_texts: Sequence[str], progress: Progress) -> StoredEncoder:
    """The encoder itself.

    Args:
        training_texts: as for `encoder_spec`.
        progress: called as `progress(what, done, total)` while texts are encoded.
    """
    if spec.folder is None:
        compute = LsaEncoder(spec.dimension, tuple(training_texts), spec.threads).encode
    else:
        compute = SentenceEncoder(spec.folder, spec.threads, spec.device).encode
    return StoredEncoder(spec.dimension, spec.folder, compute, spec.fingerprint, spec.store, progress)


def lsa_fingerprint(section: track.Lsa, training_texts: Sequence[str], threads: int) -> str:
    """SHA-256 in hex of all that determines an LSA encoding's bits."""
    texts, libraries = hash_json(list(training_texts)), ["numpy", "scipy", "scikit-learn"]
    return _fingerprint("text.lsa", libraries, threads, [section.dimension, texts])


def sentence_fingerprint(model: Pretrained, threads: int, device: str) -> str:
    """SHA-256 in hex of all that determines a sentence model's bits: wherever its files lie."""
    libraries = ["numpy", "torch", "transformers", "tokenizers", "sentence-transformers"]
    return _fingerprint("text.sentence_model", libraries, threads, [dict(model.files), device])


def _fingerprint(module: str, libraries: list[str], threads: int, rest: list[Any]) -> str:
    """This module counts, and the stored encoder: it decides which texts are encoded together."""
    code = [core_code(module), module_code("text.encoder", "text.stored_encoder")]
    return hash_json([code, library_versions(libraries), threads, rest])
