"""The text methods: the contract, and that training does what it should."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from semidbench_biencoder.embedders import Content, MultiTask, Search
from semidbench_biencoder.losses import in_batch_loss, item_pair_loss
from semidbench_biencoder.pairs import co_occurring, item_stream_seed, shuffled
from semidbench_biencoder.ranker import Dense, DenseMultiTask
from semidbench_biencoder.ratio import parse_ratio

from semidbench.api import Context, Embedder, Interactions, Queries, Ranker, TrainData

MakeContext = Callable[..., Context]
HEAD: dict[str, Any] = {"tune": "head", "epochs": 30, "batch": 64, "lr": 1e-2}
NO_TRAINER = not (find_spec("datasets") and find_spec("accelerate"))


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
    """Queries share no word with their items, so that only training can match them."""
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
    with pytest.raises(ValueError, match="mini_batch is an option of tune=full"):
        MultiTask(tune="head", mini_batch=8)
    with pytest.raises(ValueError, match=r"mini_batch \(-1\) not negative"):
        Search(mini_batch=-1)


@pytest.mark.parametrize(
    ("text", "weights"),
    [("1:1", (1, 1)), ("1:0", (1, 0)), ("0:1", (0, 1)), ("1:2", (0.5, 1)), ("3:1.5", (1, 0.5)), ("7:7", (1, 1))],
)
def test_ratio(text: str, weights: tuple[float, float]) -> None:
    assert parse_ratio(text) == weights


@pytest.mark.parametrize("text", ["0:0", "a", "1", "", "1:", "-1:2", "1:2:3", "nan:1", "inf:1", "1e3:1", "1: 2", "²:1"])
def test_ratio_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="ratio must be search:rec"):
        MultiTask(ratio=text)


def test_ratio_refuses_what_floats_do_not_hold() -> None:
    with pytest.raises(ValueError, match="ratio must be search:rec"):
        parse_ratio("9" * 400 + ":1")


@given(st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=7), max_size=5), st.integers(1, 9))
def test_pairs_equal_a_loop(histories: list[list[int]], window: int) -> None:
    expected = sorted(
        (first, second)
        for history in histories
        for at, first in enumerate(history)
        for second in history[at + 1 : at + 1 + window]
        if first != second
    )
    users = np.repeat(np.arange(len(histories)), [len(history) for history in histories]).astype(np.int64)
    items = np.array([item for history in histories for item in history], np.int64)
    interactions = Interactions(users, items, np.zeros_like(items))
    if expected:
        pairs = co_occurring(interactions, window)
        assert sorted(zip(pairs.earlier.tolist(), pairs.later.tolist(), strict=True)) == expected
    else:
        with pytest.raises(ValueError, match="no user's training history holds two different ones"):
            co_occurring(interactions, window)


def test_each_pass_is_a_permutation() -> None:
    batches = shuffled(10, 4, seed=3)
    passes = [torch.cat([next(batches) for _ in range(3)]).tolist() for _ in range(3)]
    assert [sorted(each) for each in passes] == [list(range(10))] * 3
    assert passes[0] != passes[1] != passes[2]


def test_item_pair_loss_equals_a_loop() -> None:
    generator = torch.Generator().manual_seed(1)
    earlier, later = (torch.nn.functional.normalize(torch.randn(7, 4, generator=generator)) for _ in range(2))
    before, after = [1, 2, 1, 4, 5, 3, 6], [2, 3, 7, 2, 1, 8, 9]
    expected, left_out = 0.0, 0
    for row in range(7):
        others = [
            column
            for column in range(7)
            if column == row or not (after[column] in (before[row], after[row]) or before[column] == before[row])
        ]
        left_out += 7 - len(others)
        weights = [float(torch.exp(20 * earlier[row] @ later[column])) for column in others]
        expected -= float(np.log(weights[others.index(row)] / sum(weights))) / 7
    assert left_out == 9
    loss = item_pair_loss(earlier, later, (torch.tensor(before), torch.tensor(after)), 20.0)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("item_lr", [0.0, 0.01])
def test_ratio_1_to_0_is_search(train: TrainData, context: MakeContext, item_lr: float) -> None:
    search = Search(**HEAD, item_lr=item_lr).embed(train, context(seed=5))["item"]
    alone = MultiTask(**HEAD, item_lr=item_lr, ratio="1:0").embed(train, context(seed=5))["item"]
    both = MultiTask(**HEAD, item_lr=item_lr).embed(train, context(seed=5))["item"]
    np.testing.assert_array_equal(alone, search)
    assert not np.allclose(both, search, atol=1e-3)


def item_batches(train: TrainData, batch: int, steps: int, seed: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The first `steps` batches of consecutive items."""
    pairs = co_occurring(train.interactions, 1)
    order = torch.Generator().manual_seed(item_stream_seed(seed))
    rows: list[torch.Tensor] = []
    while len(rows) < steps:
        rows += torch.randperm(len(pairs), generator=order).split(batch)
    return [(torch.from_numpy(pairs.earlier[row]), torch.from_numpy(pairs.later[row])) for row in rows[:steps]]


def test_ratio_0_to_1_is_a_loop_over_item_pairs(train: TrainData, context: MakeContext) -> None:
    """Written out: a residual matrix and free vectors, AdamW, warm-up over a tenth, then linear decay."""
    batch, epochs, lr, item_lr = 50, 5, 0.01, 0.003
    texts = torch.from_numpy(context().text_encoder.encode(train.catalogue.texts))
    matrix, bias, free = (torch.zeros(shape, requires_grad=True) for shape in ((32, 32), (32,), texts.shape))
    fitted = [{"params": [matrix, bias], "lr": lr}, {"params": [free], "lr": item_lr, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(fitted, weight_decay=0.01)
    steps = epochs * 4  # 180 queries

    def items(numbers: torch.Tensor) -> torch.Tensor:
        start = texts[numbers] + free[numbers]
        return torch.nn.functional.normalize(start + start @ matrix.T + bias)

    for step, (before, after) in enumerate(item_batches(train, batch, steps, seed=6)):
        for group, peak in zip(optimizer.param_groups, (lr, item_lr), strict=True):
            group["lr"] = peak * min((step + 1) / (0.1 * steps), 1.0, (steps - step) / steps)
        loss = item_pair_loss(items(before), items(after), (before, after), 20.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    embedder = MultiTask(tune="head", epochs=epochs, batch=batch, lr=lr, item_lr=item_lr, ratio="0:1")
    trained = embedder.embed(train, context(seed=6))["item"]
    np.testing.assert_allclose(trained, items(torch.arange(train.n_items)).detach().numpy(), atol=1e-4)
    assert not np.allclose(trained, texts.numpy(), atol=0.1)


def test_ratio_weighs_the_two_losses(train: TrainData, context: MakeContext) -> None:
    """From 1:0 to 0:1 the embeddings move away from the one's and towards the other's."""
    ratios = ["1:0", "20:1", "1:1", "1:20", "0:1"]
    views = [MultiTask(**HEAD, ratio=ratio).embed(train, context())["item"] for ratio in ratios]
    for end in (views[0], views[-1]):
        distances = [float(np.linalg.norm(view - end)) for view in views]
        assert distances == sorted(distances, reverse=end is views[-1])
        assert len(set(distances)) == len(ratios)


def test_multi_task_serves_both_tasks(train: TrainData, context: MakeContext) -> None:
    ranker, embedder = DenseMultiTask(**HEAD, window=2), MultiTask(**HEAD, window=2)
    ranker.fit(train, context(seed=4))
    items = embedder.embed(train, context(seed=4))["item"]
    assert isinstance(ranker, Ranker)
    assert isinstance(embedder, Embedder)
    np.testing.assert_array_equal(ranker.towers.items, items)
    np.testing.assert_array_equal(embedder.embed(train, context(seed=4))["item"], items)
    held_out = [f"asks{item} want{item % 6} way{3 + item % 4}" for item in range(train.n_items)]
    assert topic_share(ranker.search(held_out)) > 0.6
    assert topic_share(ranker.recommend([np.array([item]) for item in range(train.n_items)])) > 0.9


def lonely(train: TrainData) -> TrainData:
    """Nobody consumed two items."""
    return replace(train, interactions=Interactions(np.arange(5), np.arange(5), np.arange(5)))


def with_longer_queries(train: TrainData) -> TrainData:
    """As many, for the same items."""
    return replace(train, queries=Queries(train.queries.items, tuple(f"{text} {text}" for text in train.queries.texts)))


def test_a_weight_of_0_leaves_the_pairs_alone(train: TrainData, context: MakeContext) -> None:
    encode, encoded = context().text_encoder.encode, []

    class Recording:
        dimension, folder = 32, None

        def encode(self, texts: Sequence[str]) -> np.ndarray:
            encoded.append(tuple(texts))
            return encode(texts)

    MultiTask(**HEAD, ratio="0:1").embed(train, context(encoder=Recording()))
    assert encoded == [train.catalogue.texts]
    MultiTask(**HEAD, ratio="1:0").embed(lonely(train), context(encoder=Recording()))
    assert encoded[1:] == [train.catalogue.texts, train.queries.texts]


def test_multi_task_needs_pairs(train: TrainData, context: MakeContext) -> None:
    with pytest.raises(ValueError, match="multi-task training needs co-occurring items"):
        MultiTask(**HEAD).embed(lonely(train), context())
    with pytest.raises(ValueError, match="window must be positive"):
        MultiTask(window=0)
    with pytest.raises(ValueError, match="item_lr is an option of tune=head"):
        DenseMultiTask(item_lr=0.1)


def tiny_sentence_model(folder: Path, train: TrainData, dropout: float = 0.1) -> Path:
    """A random one-layer BERT of width 32 with a tokenizer of the training words, saved as a model folder."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    words = sorted({word for text in (*train.catalogue.texts, *train.queries.texts) for word in text.split()})
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]), "utf-8")
    torch.manual_seed(0)
    tokenizer = BertTokenizerFast(vocab=str(folder / "vocab.txt"))
    config = BertConfig(
        vocab_size=len(words) + 5,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
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


@pytest.mark.skipif(NO_TRAINER, reason="semidbench-biencoder[full] is not installed")
def test_full_fine_tunes_the_model(train: TrainData, context: MakeContext, tmp_path: Path) -> None:
    encoder = FolderEncoder(tiny_sentence_model(tmp_path, train))
    reported: list[tuple[int, int]] = []
    ranker = Dense(epochs=6, batch=32, lr=5e-3)
    ranker.fit(train, replace(context(seed=1, encoder=encoder), progress=lambda what, *at: reported.append(at)))  # type: ignore[arg-type]
    items = Search(epochs=6, batch=32, lr=5e-3).embed(train, context(seed=1, encoder=encoder))["item"]
    np.testing.assert_array_equal(ranker.towers.items, items)
    np.testing.assert_allclose(np.linalg.norm(items, axis=1), 1, atol=1e-5)
    assert reported[-1][0] == reported[-1][1] > 0
    assert topic_share(ranker.search([f"asks{item} want{item % 6} way{item % 3}" for item in range(60)])) > 0.8


@pytest.mark.skipif(NO_TRAINER, reason="semidbench-biencoder[full] is not installed")
def test_full_ratio_1_to_0_is_search(train: TrainData, context: MakeContext, tmp_path: Path) -> None:
    encoder = FolderEncoder(tiny_sentence_model(tmp_path, train))
    options: dict[str, Any] = {"epochs": 1, "batch": 64, "lr": 5e-3}
    search = Search(**options).embed(train, context(seed=1, encoder=encoder))["item"]
    alone, both = (
        MultiTask(**options, ratio=ratio).embed(data, context(seed=1, encoder=encoder))["item"]
        for ratio, data in (("1:0", lonely(train)), ("1:1", train))
    )
    np.testing.assert_array_equal(alone, search)
    assert not np.allclose(both, search, atol=1e-3)


@pytest.mark.skipif(NO_TRAINER, reason="semidbench-biencoder[full] is not installed")
def test_full_ratio_0_to_1_reads_no_query(train: TrainData, context: MakeContext, tmp_path: Path) -> None:
    """Nor do queries draw from the generator of dropout."""
    encoder = FolderEncoder(tiny_sentence_model(tmp_path, with_longer_queries(train)))
    embedder = MultiTask(epochs=1, batch=64, lr=5e-3, ratio="0:1")
    first, second = (
        embedder.embed(data, context(seed=1, encoder=encoder))["item"] for data in (train, with_longer_queries(train))
    )
    np.testing.assert_array_equal(first, second)


@pytest.mark.skipif(NO_TRAINER, reason="semidbench-biencoder[full] is not installed")
@pytest.mark.parametrize(("ratio", "weights"), [("1:4", (0.25, 1)), ("4:1", (1, 0.25)), ("0:1", (0, 1))])
def test_full_sums_both_losses(
    train: TrainData, context: MakeContext, tmp_path: Path, ratio: str, weights: tuple[float, float]
) -> None:
    """Against a loop of torch and the model alone; all queries of one batch are for different items."""
    from sentence_transformers import SentenceTransformer

    train = replace(train, queries=Queries(train.queries.items[::3], train.queries.texts[::3]))
    encoder = FolderEncoder(tiny_sentence_model(tmp_path, train, dropout=0.0))
    model = SentenceTransformer(str(encoder.folder), device="cpu")

    def encode(texts: Sequence[str]) -> torch.Tensor:
        return torch.nn.functional.normalize(model(model.preprocess(list(texts)))["sentence_embedding"])

    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)
    texts = train.catalogue.texts
    for step, (before, after) in enumerate(item_batches(train, 60, 4, seed=1)):
        optimizer.param_groups[0]["lr"] = 1e-3 * (4 - step) / 4
        queries = in_batch_loss(encode(train.queries.texts), encode(texts), torch.arange(60), 20.0)
        sides = [encode([texts[item] for item in side]) for side in (before, after)]
        loss = weights[0] * queries + weights[1] * item_pair_loss(sides[0], sides[1], (before, after), 20.0)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    with torch.no_grad():
        expected = encode(texts).numpy()
    embedder = MultiTask(ratio=ratio, epochs=4, batch=60, lr=1e-3)
    np.testing.assert_allclose(embedder.embed(train, context(seed=1, encoder=encoder))["item"], expected, atol=1e-4)
    frozen = SentenceTransformer(str(encoder.folder), device="cpu").encode(list(texts), normalize_embeddings=True)
    assert np.abs(expected - frozen).max() > 0.05


@pytest.mark.skipif(NO_TRAINER, reason="semidbench-biencoder[full] is not installed")
def test_full_refuses_several_gpus(
    train: TrainData, context: MakeContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    made = replace(context(encoder=FolderEncoder(tmp_path)), device="cuda")
    with pytest.raises(ValueError, match=r"sees 2: .* multiply the batch by 2\. Set CUDA_VISIBLE_DEVICES to one"):
        Search().embed(train, made)


@pytest.mark.skipif(NO_TRAINER, reason="semidbench-biencoder[full] is not installed")
@pytest.mark.parametrize("ratio", ["1:0", "1:4", "4:1"])
def test_mini_batches_change_nothing_but_the_memory(
    train: TrainData, context: MakeContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ratio: str
) -> None:
    from sentence_transformers import SentenceTransformer

    encoder = FolderEncoder(tiny_sentence_model(tmp_path, train, dropout=0.0))
    forward, sizes = SentenceTransformer.forward, set()

    def recording(self: Any, features: dict[str, Any], **rest: Any) -> Any:
        if self.training:
            sizes.add(len(features["input_ids"]))
        return forward(self, features, **rest)

    monkeypatch.setattr(SentenceTransformer, "forward", recording)
    items = {}
    for mini_batch, lr in ((0, 1e-3), (7, 1e-3), (7, 1e-30)):
        sizes.clear()
        embedder = MultiTask(ratio=ratio, epochs=3, batch=45, lr=lr, mini_batch=mini_batch)
        items[mini_batch, lr] = embedder.embed(train, context(seed=1, encoder=encoder))["item"]
        assert max(sizes) == (mini_batch or 45)
    np.testing.assert_allclose(items[7, 1e-3], items[0, 1e-3], atol=1e-4)
    assert np.abs(items[7, 1e-30] - items[0, 1e-3]).max() > 0.05  # that is, training moved them


@pytest.mark.skipif(NO_TRAINER, reason="semidbench-biencoder[full] is not installed")
def test_mini_batches_repeat_under_dropout(train: TrainData, context: MakeContext, tmp_path: Path) -> None:
    encoder = FolderEncoder(tiny_sentence_model(tmp_path, train))
    ranker, embedder = (kind(epochs=1, batch=64, lr=5e-3, mini_batch=16) for kind in (DenseMultiTask, MultiTask))
    ranker.fit(train, context(seed=1, encoder=encoder))
    items = embedder.embed(train, context(seed=1, encoder=encoder))["item"]
    np.testing.assert_array_equal(ranker.towers.items, items)


@pytest.mark.skipif(not NO_TRAINER, reason="semidbench-biencoder[full] is installed")
def test_full_says_what_to_install(train: TrainData, context: MakeContext, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="pip install 'semidbench-biencoder\\[full\\]'"):
        Search().embed(train, context(encoder=FolderEncoder(tmp_path)))
