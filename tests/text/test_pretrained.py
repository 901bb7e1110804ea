"""Where pretrained models come from, and a pretrained T5 as the generator: its tokens, its weights, its added rows."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, T5ForConditionalGeneration

from semidbench.errors import UserError
from semidbench.generator.examples import rec_prompts, search_prompts
from semidbench.generator.model import add_tokens, is_tied, load_generator, save_generator
from semidbench.text import pretrained
from semidbench.text.pretrained import Pretrained, find_pretrained
from semidbench.text.tokenizer import load_text_tokens, pretrained_text_tokens, save_text_tokens
from semidbench.tracks import track
from tests.tiny_models import T5_ROWS_WITHOUT_TOKEN, write_tiny_t5

WEIGHTS = b"not really weights"
PINNED = track.SentenceModel(
    kind="sentence-transformer",
    name="someone/small-model",
    revision="abc",
    weights_sha256=hashlib.sha256(WEIGHTS).hexdigest(),
    package="small-model-package",
)
QUERIES = [
    "a funny film about dogs",
    "Émile’s café by the ﬁrst   harbour",
    "search: recommend: </s> <pad> what?",
    "",
    "unseen 漢字 and a ship in a storm with captains " * 9,
]


# where a model comes from


def model_at(folder: Path, weights: bytes = WEIGHTS) -> Path:
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "config.json").write_text("{}")
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
    monkeypatch.setattr(pretrained, "distribution", no_distribution)
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
    assert find_pretrained(PINNED).folder == hub
    package = model_at(tmp_path / "package")
    monkeypatch.setattr(pretrained, "distribution", package_of(package))
    assert find_pretrained(PINNED).folder == package
    local = model_at(tmp_path / "models" / "small-model")
    monkeypatch.setenv("SEMIDBENCH_MODELS", str(tmp_path / "models"))
    assert find_pretrained(PINNED).folder == local


def test_a_hub_cache_will_do(tmp_path: Path, nowhere: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = model_at(tmp_path / "models--someone--small-model" / "snapshots" / "abc")
    monkeypatch.setenv("SEMIDBENCH_MODELS", str(tmp_path))
    assert find_pretrained(PINNED).folder == snapshot


def test_the_files_that_are_read_are_hashed(
    tmp_path: Path, nowhere: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = model_at(tmp_path / "small-model")
    (folder / "onnx.bin").write_bytes(b"not read")
    monkeypatch.setenv("SEMIDBENCH_MODELS", str(tmp_path))
    for pin in (PINNED, PINNED.model_copy(update={"weights_sha256": None})):  # unpinned weights are hashed too
        files = find_pretrained(pin).files
        assert set(files) == {"model.safetensors", "config.json", "1_Pooling/config.json"}
        assert files["model.safetensors"] == PINNED.weights_sha256


@pytest.mark.parametrize("source", ["local", "package", "hub"])
def test_a_wrong_hash_is_an_error_wherever_it_is(
    tmp_path: Path, nowhere: list[Any], monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    """And the sources after it, which have the right model, are not asked."""
    import huggingface_hub

    order = ["local", "package", "hub"]
    asked = order[order.index(source) :]
    place = {
        name: model_at(tmp_path / name / "small-model", b"other weights" if name == source else WEIGHTS)
        for name in asked
    }
    if "local" in place:
        monkeypatch.setenv("SEMIDBENCH_MODELS", str(tmp_path / "local"))
    if "package" in place:
        monkeypatch.setattr(pretrained, "distribution", package_of(place["package"]))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, **named: str(place["hub"]))
    with pytest.raises(UserError, match=r"has sha256 .* and the track pins .* Replace it with revision abc") as error:
        find_pretrained(PINNED)
    assert str(place[source]) in str(error.value)
    assert "\n" not in str(error.value)


def test_nothing_found_says_what_to_do(nowhere: list[dict[str, Any]]) -> None:
    with pytest.raises(UserError) as error:
        find_pretrained(PINNED)
    message = str(error.value)
    for part in ("someone/small-model", "no route to host", "pip install small-model-package", "SEMIDBENCH_MODELS"):
        assert part in message
    assert "\n" not in message
    assert nowhere[0]["name"] == "someone/small-model"
    assert nowhere[0]["revision"] == "abc"
    assert "model.safetensors" in nowhere[0]["allow_patterns"]
    assert not any("bin" in pattern for pattern in nowhere[0]["allow_patterns"])


def test_a_models_folder_that_is_none_is_an_error(
    tmp_path: Path, nowhere: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other sources are not asked: somebody who names a folder means it."""
    monkeypatch.setenv("SEMIDBENCH_MODELS", str(tmp_path / "mistyped"))
    with pytest.raises(UserError, match=r"SEMIDBENCH_MODELS names .*mistyped, which is no folder"):
        find_pretrained(PINNED)
    assert not nowhere


def test_a_pickle_is_not_read(tmp_path: Path, nowhere: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = model_at(tmp_path / "small-model")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    monkeypatch.setenv("SEMIDBENCH_MODELS", str(tmp_path))
    with pytest.raises(UserError, match=r"holds pytorch_model\.bin and no model\.safetensors"):
        find_pretrained(PINNED)
    assert not nowhere


# a pretrained T5


@pytest.fixture(scope="module")
def t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "flan-t5-base"
    write_tiny_t5(folder, ["search: a funny film about dogs", "recommend: a ship in a storm with captains"] * 9, 120)
    return folder


def prompts(max_tokens: int = 48) -> track.Prompts:
    return track.Prompts(search="search: {query}", rec="recommend: {history}", history=3, max_tokens=max_tokens)


@pytest.mark.parametrize("max_tokens", [12, 512])
def test_search_prompts_are_the_tokens_of_transformers(t5: Path, max_tokens: int) -> None:
    """With the end token, and cut where transformers cuts."""
    text = pretrained_text_tokens(Pretrained(t5, {}))
    rows = search_prompts(QUERIES, text.tokenizer, prompts(max_tokens))
    theirs = AutoTokenizer.from_pretrained(t5)
    expected = theirs([f"search: {query}" for query in QUERIES], truncation=True, max_length=max_tokens).input_ids
    assert [row.tolist() for row in np.split(rows.flat, rows.offsets[1:-1])] == expected
    assert all(row[-1] == theirs.eos_token_id for row in expected)


def test_rec_prompts_are_words_then_ids_then_one_end(t5: Path) -> None:
    text = pretrained_text_tokens(Pretrained(t5, {}))
    ids = np.arange(text.size, text.size + 8).reshape(4, 2)
    rows = rec_prompts([np.array([0, 1, 2, 3])], ids, text.tokenizer, prompts())
    words = AutoTokenizer.from_pretrained(t5)("recommend:").input_ids[:-1]
    assert rows.flat.tolist() == [*words, *ids[1:].ravel().tolist(), 1]


def test_id_tokens_stand_behind_all_rows_of_the_model(t5: Path, tmp_path: Path) -> None:
    text = pretrained_text_tokens(Pretrained(t5, {}))
    assert text.size == text.tokenizer.get_vocab_size() + T5_ROWS_WITHOUT_TOKEN
    assert text.size == len(load_generator(t5).shared.weight)
    save_text_tokens(text, tmp_path)
    again = load_text_tokens(tmp_path)
    assert (again.size, again.tokenizer.to_str()) == (text.size, text.tokenizer.to_str())


def logits(model: Any) -> torch.Tensor:
    tokens, start = torch.tensor([[4, 5, 6, 1], [9, 1, 0, 0]]), torch.zeros((2, 1), dtype=torch.long)
    with torch.inference_mode():
        found: torch.Tensor = model.eval()(
            input_ids=tokens, attention_mask=(tokens > 0).long(), decoder_input_ids=start
        ).logits
    return found


def test_the_hub_s_weights_are_read_as_transformers_reads_them(t5: Path) -> None:
    ours = load_generator(t5)
    assert not is_tied(ours)
    torch.testing.assert_close(logits(ours), logits(T5ForConditionalGeneration.from_pretrained(t5)))


def test_old_logits_stay_when_id_tokens_are_added_and_the_model_is_saved(t5: Path, tmp_path: Path) -> None:
    model = load_generator(t5)
    old = logits(model)
    add_tokens(model, 8, seed=1)
    save_generator(model, tmp_path)
    again = load_generator(tmp_path)
    for now in (model, again):
        assert logits(now).shape[-1] == old.shape[-1] + 8
        torch.testing.assert_close(logits(now)[..., : old.shape[-1]], old, atol=1e-5, rtol=0)
    assert torch.equal(logits(again), logits(model))


def test_a_t5_that_transformers_saved_again_is_the_same_model(t5: Path, tmp_path: Path) -> None:
    """transformers 5 then writes tie_word_embeddings: true, although both matrices are in the file."""
    T5ForConditionalGeneration.from_pretrained(t5).save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["tie_word_embeddings"]
    torch.testing.assert_close(logits(load_generator(tmp_path)), logits(load_generator(t5)))


def test_input_embeddings_are_found_under_any_of_their_names(t5: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(t5 / "model.safetensors")
    state["decoder.embed_tokens.weight"] = state.pop("shared.weight")
    save_file(state, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text((t5 / "config.json").read_text())
    torch.testing.assert_close(logits(load_generator(tmp_path)), logits(load_generator(t5)))
    del state["decoder.embed_tokens.weight"]
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match=r"holds no shared\.weight"):
        load_generator(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"), [("config.json", "{}"), ("tokenizer.json", "{}"), ("tokenizer.json", None)]
)
def test_a_damaged_t5_folder(name: str, content: str | None, t5: Path, tmp_path: Path) -> None:
    for file in ("config.json", "tokenizer.json"):
        (tmp_path / file).write_text((t5 / file).read_text())
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match="can be read"):
        pretrained_text_tokens(Pretrained(tmp_path, {}))


def test_a_model_that_is_no_t5_is_refused(t5: Path, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text((t5 / "tokenizer.json").read_text().replace("</s>", "[end]"))
    (tmp_path / "config.json").write_text((t5 / "config.json").read_text())
    with pytest.raises(UserError, match="not laid out as T5"):
        pretrained_text_tokens(Pretrained(tmp_path, {}))
    (tmp_path / "tokenizer.json").write_text((t5 / "tokenizer.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({"vocab_size": 10}))
    with pytest.raises(UserError, match="a row for each token"):
        pretrained_text_tokens(Pretrained(tmp_path, {}))
