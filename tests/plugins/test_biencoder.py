"""Content, search and dense: the contract, and that training does what it says."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from semidbench_biencoder.embedders import Content, Search
from semidbench_biencoder.head import in_batch_loss
from semidbench_biencoder.ranker import Dense

from semidbench.api import Context, Embedder, Queries, Ranker, TrainData

MakeContext = Callable[..., Context]
HEAD: dict[str, Any] = {"tune": "head", "epochs": 30, "batch": 64, "lr": 1e-2}


def test_content_is_the_encoder(train: TrainData, context: MakeContext) -> None:
    made = context()
    views = Content().embed(train, made)
    assert isinstance(Content(), Embedder)
    assert list(views) == ["item"]
    np.testing.assert_array_equal(views["item"], made.text_encoder.encode(train.catalogue.texts))


@pytest.mark.parametrize("item_lr", [0.0, 0.01])
def test_search_view(train: TrainData, context: MakeContext, item_lr: float) -> None:
    embedder = Search(**HEAD, item_lr=item_lr)
    first, again = (embedder.embed(train, context(seed=2))["item"] for _ in range(2))
    other = embedder.embed(train, context(seed=3))["item"]
    assert isinstance(embedder, Embedder)
    assert first.shape == (train.n_items, 32)
    assert first.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_dense_has_the_search_embeddings(train: TrainData, context: MakeContext) -> None:
    ranker = Dense(**HEAD, item_lr=0.01)
    ranker.fit(train, context(seed=4))
    items = Search(**HEAD, item_lr=0.01).embed(train, context(seed=4))["item"]
    np.testing.assert_array_equal(ranker.towers.items, items)
    histories = [np.array([3, 5, 5]), np.array([7]), np.array([], np.int64)]
    scores = ranker.recommend(histories)
    profile = items[[3, 5, 5]].astype(np.float64).mean(0)
    np.testing.assert_allclose(scores[0], items @ profile / np.linalg.norm(profile), atol=1e-5)
    np.testing.assert_allclose(scores[1], items @ items[7], atol=1e-5)
    assert not scores[2].any()


def test_training_finds_the_topic(train: TrainData, context: MakeContext) -> None:
    """Queries share no word with their items, so that only training can tell."""
    ranker = Dense(**HEAD)
    ranker.fit(train, context())
    held_out = [f"asks{item} want{item % 6} way{3 + item % 4}" for item in range(train.n_items)]
    scores = ranker.search(held_out)
    assert isinstance(ranker, Ranker)
    assert scores.shape == (60, train.n_items)
    assert scores.dtype == np.float32
    untrained = context().text_encoder
    chance = untrained.encode(held_out) @ untrained.encode(train.catalogue.texts).T
    assert topic_share(scores) > 0.6 > 0.3 > topic_share(chance)


def topic_share(scores: np.ndarray) -> float:
    """How many of the best 5 items are about the topic that the query asks for; query i is item i's."""
    best = np.argsort(-scores, axis=1)[:, :5]
    return float((best % 6 == np.arange(len(scores))[:, None] % 6).mean())


def test_loss_equals_a_loop_without_the_same_items() -> None:
    generator = torch.Generator().manual_seed(0)
    queries, items = (torch.nn.functional.normalize(torch.randn(5, 4, generator=generator)) for _ in range(2))
    targets = [8, 2, 8, 3, 2]
    expected = 0.0
    for row in range(5):
        others = [column for column in range(5) if column == row or targets[column] != targets[row]]
        weights = [float(torch.exp(20 * queries[row] @ items[column])) for column in others]
        expected -= float(np.log(weights[others.index(row)] / sum(weights))) / 5
    assert float(in_batch_loss(queries, items, torch.tensor(targets), 20.0)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("epochs", [1, 2, 10])
def test_few_steps_will_do(train: TrainData, context: MakeContext, epochs: int) -> None:
    """All queries in one batch: as many steps as epochs."""
    items = Search(tune="head", epochs=epochs, batch=512, lr=1e-3, item_lr=1e-3).embed(train, context())["item"]
    assert np.isfinite(items).all()
    assert not np.allclose(items, context().text_encoder.encode(train.catalogue.texts), atol=1e-4)


def test_leaves_global_state_alone(train: TrainData, context: MakeContext) -> None:
    plain, numpy, torched = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
    threads = torch.get_num_threads()
    Search(**HEAD).embed(train, context(seed=9))
    assert random.getstate() == plain
    assert np.random.get_state()[1].tolist() == numpy  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torched)
    assert torch.get_num_threads() == threads


def test_refuses_what_it_cannot_do(train: TrainData, context: MakeContext) -> None:
    with pytest.raises(ValueError, match="Use tune=head"):
        Search().embed(train, context())
    with pytest.raises(ValueError, match="there are none"):
        Search(**HEAD).embed(replace(train, queries=Queries(np.zeros(0, np.int64), ())), context())
    with pytest.raises(ValueError, match="must be positive"):
        Search(epochs=0)
    with pytest.raises(ValueError, match="item_lr is an option of tune=head"):
        Search(item_lr=0.1)


def tiny_sentence_model(folder: Path, train: TrainData) -> Path:
    """A random one-layer BERT of width 32 with a tokenizer of the training words, saved as a model folder."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    words = sorted({word for text in (*train.catalogue.texts, *train.queries.texts) for word in text.split()})
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]), "utf-8")
    torch.manual_seed(0)
    tokenizer = BertTokenizerFast(vocab=str(folder / "vocab.txt"))
    config = BertConfig(
        vocab_size=len(words) + 5, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64
    )
    BertModel(config).save_pretrained(folder / "bert")
    tokenizer.save_pretrained(folder / "bert")
    transformer = Transformer(str(folder / "bert"), max_seq_length=16)
    SentenceTransformer(modules=[transformer, Pooling(32)], device="cpu").save(str(folder / "model"))
    return folder / "model"


class FolderEncoder:
    """What `full` needs of a text encoder: its folder."""

    dimension = 32

    def __init__(self, folder: Path) -> None:
        self.folder = folder


@pytest.mark.skipif(
    not (find_spec("datasets") and find_spec("accelerate")), reason="semidbench-biencoder[full] is not installed"
)
def test_full_fine_tunes_the_model(train: TrainData, context: MakeContext, tmp_path: Path) -> None:
    encoder = FolderEncoder(tiny_sentence_model(tmp_path, train))
    told: list[tuple[int, int]] = []
    ranker = Dense(epochs=6, batch=32, lr=5e-3)
    ranker.fit(train, replace(context(seed=1, encoder=encoder), progress=lambda what, *at: told.append(at)))  # type: ignore[arg-type]
    items = Search(epochs=6, batch=32, lr=5e-3).embed(train, context(seed=1, encoder=encoder))["item"]
    np.testing.assert_array_equal(ranker.towers.items, items)
    np.testing.assert_allclose(np.linalg.norm(items, axis=1), 1, atol=1e-5)
    assert told[-1][0] == told[-1][1] > 0
    assert topic_share(ranker.search([f"asks{item} want{item % 6} way{item % 3}" for item in range(60)])) > 0.8


@pytest.mark.skipif(
    bool(find_spec("datasets") and find_spec("accelerate")), reason="semidbench-biencoder[full] is installed"
)
def test_full_says_what_to_install(train: TrainData, context: MakeContext, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="pip install 'semidbench-biencoder\\[full\\]'"):
        Search().embed(train, context(encoder=FolderEncoder(tmp_path)))
