"""RecBole's models: the contract, equality with RecBole run directly, and a process left as it was."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch

from semidbench.api import Context, Embedder, Floats, Interactions, Ranker, TrainData

pytest.importorskip("recbole", reason="RecBole installs on Python 3.11 only")
from semidbench_recbole.embedder import Rec
from semidbench_recbole.models import MODELS
from semidbench_recbole.ranker import Enmf
from semidbench_recbole.scope import recbole_scope
from semidbench_recbole.training import DATASET, recbole_config, write_atomic_files

MakeContext = Callable[..., Context]
SMALL = {"epochs": 4, "batch": 8, "dim": 8, "lr": 0.01}
UNTOUCHED_MATRIX = dict(vars(scipy.sparse.dok_matrix))
SAMPLED = [name for name, model in MODELS.items() if model.sampled]


def small(**options: float | str) -> Rec:
    return Rec(**{**SMALL, **options})  # type: ignore[arg-type]


def ranker(**options: float) -> Enmf:
    return Enmf(**{**SMALL, **options})  # type: ignore[arg-type]


def test_one_view_of_all_items(train: TrainData, context: MakeContext) -> None:
    embedder = small()
    views = embedder.embed(train, context())
    assert isinstance(embedder, Embedder)
    assert list(views) == ["item"]
    assert views["item"].shape == (train.n_items, 8)
    assert views["item"].dtype == np.float32
    assert np.isfinite(views["item"]).all()


@pytest.mark.parametrize("model", MODELS)
def test_same_seed_same_bits(model: str, train: TrainData, context: MakeContext) -> None:
    first, again, other = (small(model=model).embed(train, context(seed=seed))["item"] for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


@pytest.mark.parametrize("dim", [8, 16])  # with histories of 6 items, less and more than the 60 items a user
def test_enmf_equals_a_direct_recbole_run(dim: int, train: TrainData, context: MakeContext) -> None:
    """In float64: Adam divides by the gradients' size, and so makes rounding errors of float32 large."""
    direct = context(seed=5)
    torch.set_default_dtype(torch.float64)
    try:
        ours = ranker(dim=dim)
        ours.fit(train, context(seed=5))
        embedded = small(dim=dim).embed(train, context(seed=5))["item"]
        untrained = small(dim=dim, lr=1e-30).embed(train, context(seed=5))["item"]
        model, dataset = direct_run("ENMF", small(dim=dim).settings, train, direct)
    finally:
        torch.set_default_dtype(torch.float32)
    users = dataset.token2id("user_id", np.arange(train.interactions.n_users).astype(str))
    items = dataset.token2id("item_id", np.arange(train.n_items).astype(str))
    np.testing.assert_allclose(embedded, model.item_embedding.weight.detach().numpy()[items], atol=1e-6)
    assert np.abs(embedded - untrained).max() > 0.05  # that is, training moved them far more than the tolerance
    expected = model.full_sort_predict({"user_id": torch.tensor(users)}).detach().numpy()
    expected = expected.reshape(len(users), -1)[:, items]
    np.testing.assert_allclose(ours.recommend(train.interactions.histories()), expected, atol=1e-6)


@pytest.mark.parametrize("model", SAMPLED)
def test_the_others_equal_a_direct_recbole_run_to_the_bit(model: str, train: TrainData, context: MakeContext) -> None:
    embedder = small(model=model)
    ours = embedder.embed(train, context(seed=5))["item"]
    trained, dataset = direct_run(model, embedder.settings, train, context(seed=5))
    items = dataset.token2id("item_id", np.arange(train.n_items).astype(str))
    with torch.no_grad():
        trained.eval()
        table = trained.item_embedding.weight if model == "BPR" else trained.forward()[1]
        scores = trained.full_sort_predict({"user_id": torch.arange(dataset.user_num)}).reshape(dataset.user_num, -1)
        users = trained.user_embedding.weight if model == "BPR" else trained.forward()[0]
    np.testing.assert_array_equal(ours, table.detach().numpy()[items])
    np.testing.assert_allclose(users.detach().numpy() @ ours.T, scores.numpy()[:, items], rtol=1e-4, atol=1e-6)
    assert np.abs(ours - small(model=model, lr=1e-30).embed(train, context(seed=5))["item"]).max() > 0.02


def direct_run(name: str, settings: dict[str, object], train: TrainData, context: Context) -> tuple[Any, Any]:
    """RecBole's own model, sampler and trainer, as its quick start puts them together."""
    write_atomic_files(train, context.scratch)
    with recbole_scope(context):
        from recbole.config import Config
        from recbole.data import create_dataset
        from recbole.data.utils import create_samplers, get_dataloader
        from recbole.utils import get_model, get_trainer, init_seed

        config = Config(model=name, dataset=DATASET, config_dict=recbole_config(name, settings, context))
        init_seed(config["seed"], config["reproducibility"])
        (dataset,) = create_dataset(config).build()
        sampler = None if name == "ENMF" else create_samplers(config, dataset, [dataset] * 3)[0]
        loader = get_dataloader(config, "train")(config, dataset, sampler, shuffle=True)
        model = get_model(name)(config, dataset)
        trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
        trainer.fit(loader, saved=False, verbose=False)
        trainer.tensorboard.close()
    return model, dataset


@pytest.mark.parametrize(("model", "epochs"), [("ENMF", 200), ("BPR", 60), ("LightGCN", 30)])
def test_row_i_is_item_i(model: str, epochs: int, train: TrainData, context: MakeContext) -> None:
    """Items of one topic share their users, and so come out alike; a permuted mapping would not show that."""
    x = small(model=model, epochs=epochs, lr=0.05).embed(train, context())["item"][:-1]
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    topics = np.arange(len(x)) % 6
    same = topics[:, None] == topics[None, :]
    cosines = x @ x.T
    assert cosines[same & ~np.eye(len(x), dtype=bool)].mean() > cosines[~same].mean() + 0.3


def test_options_reach_the_model(train: TrainData, context: MakeContext) -> None:
    def light(**options: int | float) -> Floats:
        return small(model="LightGCN", **options).embed(train, context())["item"]

    np.testing.assert_array_equal(light(), light(n_layers=2, reg_weight=1e-5))  # RecBole's defaults
    assert not np.allclose(light(), light(n_layers=3))
    assert not np.allclose(light(), light(reg_weight=1.0))


def test_the_ranker_scores_by_its_factors(train: TrainData, context: MakeContext) -> None:
    enmf = ranker()
    enmf.fit(train, context(seed=2))
    assert isinstance(enmf, Ranker)
    factors = enmf.factors
    histories = train.interactions.histories()
    asked = [7, 0, 7, 29]
    scores = enmf.recommend([histories[user] for user in asked])
    expected = [[np.sum(factors.users[user] * item * factors.weights) for item in factors.items] for user in asked]
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected, atol=1e-6)
    np.testing.assert_array_equal(factors.items, small().embed(train, context(seed=2))["item"])
    assert enmf.recommend([]).shape == (0, train.n_items)


def test_the_ranker_averages_users_of_one_history(train: TrainData, context: MakeContext) -> None:
    histories = train.interactions.histories()
    histories[4] = histories[11]
    twins = replace(train.interactions, items=np.concatenate(histories))
    enmf = ranker()
    enmf.fit(replace(train, interactions=twins), context())
    four, eleven, both = (
        (enmf.factors.users[users].mean(axis=0) * enmf.factors.weights) @ enmf.factors.items.T
        for users in ([4], [11], [4, 11])
    )
    assert not np.allclose(four, eleven)
    np.testing.assert_allclose(enmf.recommend([histories[4]])[0], (four + eleven) / 2, atol=1e-6)
    np.testing.assert_allclose(enmf.recommend([histories[4]])[0], both, atol=1e-6)


def test_the_ranker_reads_no_text_and_knows_no_strangers(train: TrainData, context: MakeContext) -> None:
    enmf = ranker()
    enmf.fit(train, context())
    scores = enmf.search(["topic1", "item2"])
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(scores, np.zeros((2, train.n_items)))
    history = train.interactions.histories()[0]
    for stranger in (history[:-1], history[::-1], history[:0]):
        with pytest.raises(ValueError, match=rf"history 1 \({len(stranger)} items\) is no user's training history"):
            enmf.recommend([history, stranger])


def test_an_item_without_interactions_scores_near_zero(train: TrainData, context: MakeContext) -> None:
    enmf = ranker(epochs=200, lr=0.05)
    enmf.fit(train, context())
    scores = np.abs(enmf.recommend(train.interactions.histories()))
    seen = np.zeros(scores.shape, bool)
    seen[train.interactions.users, train.interactions.items] = True
    assert train.n_items - 1 not in train.interactions.items
    assert scores[:, -1].mean() < 0.2 * scores[seen].mean()


@pytest.mark.parametrize("model", ["ENMF", "LightGCN"])
def test_leaves_the_process_as_it_was(
    model: str, train: TrainData, context: MakeContext, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    # RecBole would read these as its own, above everything else
    monkeypatch.setattr(sys, "argv", ["semidbench", "run", "--seed=99", "--epochs=1", "--data_path=nowhere"])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    expected = small(model=model).embed(train, context())["item"]
    torch.manual_seed(1), np.random.seed(1), random.seed(1)  # type: ignore[func-returns-value]  # noqa: NPY002
    plain, numpy, torched = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
    names, threads, before = set(vars(np)), torch.get_num_threads(), vars(np)["bool"]
    files = set(tmp_path.iterdir())
    made = context()
    np.testing.assert_array_equal(small(model=model).embed(train, made)["item"], expected)
    assert random.getstate() == plain
    assert np.random.get_state()[1].tolist() == numpy  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torched)
    assert set(vars(np)) == names
    assert vars(np)["bool"] is before
    assert vars(scipy.sparse.dok_matrix) == UNTOUCHED_MATRIX
    assert torch.get_num_threads() == threads
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    assert set(tmp_path.iterdir()) - files == {made.scratch}
    assert "ray" not in sys.modules


@pytest.mark.parametrize(
    ("visible", "asked", "expected"),
    [
        (None, "cpu", ("cpu", "")),
        ("1", "cpu", ("cpu", "")),
        (None, "cuda", ("cuda", "0")),
        ("1", "cuda", ("cuda", "1")),
        ("2,0", "cuda", ("cuda", "2,0")),
        ("GPU-8932f937-d72c", "cuda", ("cuda", "GPU-8932f937-d72c")),
    ],
)
def test_recbole_takes_the_device_of_the_run(
    context: MakeContext,
    train: TrainData,
    monkeypatch: pytest.MonkeyPatch,
    visible: str | None,
    asked: str,
    expected: tuple[str, str],
) -> None:
    from recbole.config import Config

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    made = replace(context(), device=asked)
    write_atomic_files(train, made.scratch)
    with recbole_scope(made):
        config = Config(model="BPR", dataset=DATASET, config_dict=recbole_config("BPR", small().settings, made))
        assert (config["device"].type, os.environ["CUDA_VISIBLE_DEVICES"]) == expected
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == visible


def test_reports_its_epochs(train: TrainData, context: MakeContext) -> None:
    reported: list[tuple[int, int]] = []
    made = replace(context(), progress=lambda what, done, total: reported.append((done, total)))
    small().embed(train, made)
    assert reported == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_refuses_what_it_cannot_do(train: TrainData, context: MakeContext) -> None:
    nothing = np.zeros(0, np.int64)
    with pytest.raises(ValueError, match="needs interactions"):
        small().embed(replace(train, interactions=Interactions(nothing, nothing, nothing)), context())
    everything = Interactions(np.zeros(60, np.int64), np.arange(60), np.arange(60))
    with pytest.raises(ValueError, match="a user has interacted with all 60 items"):
        small(model="BPR").embed(replace(train, interactions=everything), context())
    assert small().embed(replace(train, interactions=everything), context())["item"].shape == (60, 8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "must be positive"),
        ({"lr": float("nan")}, "must be positive"),
        ({"dropout_prob": 1.0}, r"0 <= dropout_prob < 1, not 1\.0"),
        ({"negative_weight": 1.5}, "negative_weight <= 1, not 1.5"),
        ({"reg_weight": -1.0}, "reg_weight >= 0"),
        ({"model": "LightGCN", "n_layers": 0}, "n_layers >= 1"),
        ({"model": "EASE"}, "model=EASE is unknown; choose one of BPR, ENMF, LightGCN"),
        ({"model": "LightGNC"}, "choose one of BPR, ENMF, LightGCN"),
        ({"model": "BPR", "reg_weight": 0.1}, "BPR reads no reg_weight.*option of ENMF, LightGCN"),
        ({"n_layers": 2}, "ENMF reads no n_layers.*option of LightGCN, SpectralCF"),
        ({"model": "LightGCN", "dropout_prob": 0.5}, "LightGCN reads no dropout_prob.*option of ENMF"),
    ],
)
def test_refuses_options(options: dict[str, float | str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(**options)


def test_every_item_is_in_every_model(train: TrainData, context: MakeContext) -> None:
    widths = {"NGCF": 8 + 3 * 64, "SpectralCF": 8 * 5}  # the layers' embeddings side by side
    for model in MODELS:
        x = small(model=model, epochs=1).embed(train, context())["item"]
        assert x.shape == (train.n_items, widths.get(model, 8))
        assert x.dtype == np.float32
        assert np.isfinite(x).all()
