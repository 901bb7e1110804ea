"""ENMF through RecBole: the contract, equality with RecBole's own ENMF, and a process left as it was."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from semidbench.api import Context, Embedder, Interactions, TrainData

pytest.importorskip("recbole", reason="RecBole installs on Python 3.11 only")
from semidbench_recbole.embedder import DATASET, Enmf, recbole_config, write_atomic_files
from semidbench_recbole.scope import recbole_scope

MakeContext = Callable[..., Context]
SMALL = {"epochs": 4, "batch": 8, "dim": 8, "lr": 0.01}


def small(**options: float) -> Enmf:
    return Enmf(**{**SMALL, **options})  # type: ignore[arg-type]


def test_one_view_of_all_items(train: TrainData, context: MakeContext) -> None:
    embedder = small()
    views = embedder.embed(train, context())
    assert isinstance(embedder, Embedder)
    assert list(views) == ["item"]
    assert views["item"].shape == (train.n_items, 8)
    assert views["item"].dtype == np.float32
    assert np.isfinite(views["item"]).all()


def test_same_seed_same_bits(train: TrainData, context: MakeContext) -> None:
    first, again, other = (small().embed(train, context(seed=seed))["item"] for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_equals_a_direct_recbole_run(train: TrainData, context: MakeContext) -> None:
    """In float64: Adam divides by the gradients' size, and so makes rounding errors of float32 large."""
    direct = context(seed=5)
    write_atomic_files(train, direct.scratch)
    torch.set_default_dtype(torch.float64)
    try:
        ours = small().embed(train, context(seed=5))["item"]
        untrained = small(lr=1e-30).embed(train, context(seed=5))["item"]
        with recbole_scope(direct.scratch, 1):
            expected = recbole_items(small().settings, direct, train.n_items)
    finally:
        torch.set_default_dtype(torch.float32)
    np.testing.assert_allclose(ours, expected, atol=1e-6)
    assert np.abs(ours - untrained).max() > 0.05  # that is, training moved the vectors far more than the tolerance


def recbole_items(settings: dict[str, object], context: Context, n_items: int) -> np.ndarray:
    """RecBole's own model and trainer, as its quick start puts them together."""
    from recbole.config import Config
    from recbole.data import create_dataset
    from recbole.data.utils import get_dataloader
    from recbole.utils import get_model, get_trainer, init_seed

    config = Config(model="ENMF", dataset=DATASET, config_dict=recbole_config(settings, context))
    init_seed(config["seed"], config["reproducibility"])
    (dataset,) = create_dataset(config).build()
    loader = get_dataloader(config, "train")(config, dataset, None, shuffle=True)
    model = get_model("ENMF")(config, dataset)
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    trainer.fit(loader, saved=False, verbose=False)
    trainer.tensorboard.close()
    rows = dataset.token2id("item_id", np.arange(n_items).astype(str))
    return model.item_embedding.weight.detach().numpy()[rows]


def test_row_i_is_item_i(train: TrainData, context: MakeContext) -> None:
    """Items of one topic share their users, and so come out alike; a permuted mapping would not show that."""
    x = small(epochs=200, lr=0.05).embed(train, context())["item"][:-1]
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    topics = np.arange(len(x)) % 6
    same = topics[:, None] == topics[None, :]
    cosines = x @ x.T
    assert cosines[same & ~np.eye(len(x), dtype=bool)].mean() > cosines[~same].mean() + 0.3


def test_an_item_without_interactions_scores_near_zero(train: TrainData, context: MakeContext) -> None:
    users, items, weights = small(epochs=200, lr=0.05).factors(train, context())
    scores = np.abs((users * weights) @ items.T)
    seen = np.zeros(scores.shape, bool)
    seen[train.interactions.users, train.interactions.items] = True
    assert train.n_items - 1 not in train.interactions.items
    assert scores[:, -1].mean() < 0.2 * scores[seen].mean()


def test_leaves_the_process_as_it_was(
    train: TrainData, context: MakeContext, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    # RecBole would read these as its own, above everything else
    monkeypatch.setattr(sys, "argv", ["semidbench", "run", "--seed=99", "--epochs=1", "--data_path=nowhere"])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    expected = small().embed(train, context())["item"]
    torch.manual_seed(1), np.random.seed(1), random.seed(1)  # type: ignore[func-returns-value]  # noqa: NPY002
    plain, numpy, torched = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
    names, threads, before = set(vars(np)), torch.get_num_threads(), vars(np)["bool"]
    files = set(tmp_path.iterdir())
    made = context()
    np.testing.assert_array_equal(small().embed(train, made)["item"], expected)
    assert random.getstate() == plain
    assert np.random.get_state()[1].tolist() == numpy  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torched)
    assert set(vars(np)) == names
    assert vars(np)["bool"] is before
    assert torch.get_num_threads() == threads
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    assert set(tmp_path.iterdir()) - files == {made.scratch}
    assert "ray" not in sys.modules


def test_reports_its_epochs(train: TrainData, context: MakeContext) -> None:
    told: list[tuple[int, int]] = []
    made = replace(context(), progress=lambda what, done, total: told.append((done, total)))
    small().embed(train, made)
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_refuses_what_it_cannot_do(train: TrainData, context: MakeContext) -> None:
    nothing = np.zeros(0, np.int64)
    with pytest.raises(ValueError, match="needs training interactions"):
        small().embed(replace(train, interactions=Interactions(nothing, nothing, nothing)), context())
    with pytest.raises(ValueError, match="must be positive"):
        small(epochs=0)
    with pytest.raises(ValueError, match=r"dropout_prob \(1\.0\) < 1"):
        small(dropout_prob=1.0)
