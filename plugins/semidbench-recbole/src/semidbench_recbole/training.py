"""A run of RecBole on all training interactions, put together from its own parts."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from semidbench.api import Context, Ints, TrainData
from semidbench_recbole.models import MODELS

DATASET = "train"


@dataclass(frozen=True, slots=True)
class Prepared:
    """What RecBole trains: its configuration, the batches and a model not yet trained.

    Attributes:
        users: int64 (U,), RecBole's number of each user.
        items: int64 (N,), RecBole's number of each item.
    """

    config: Any
    loader: Any
    model: Any
    users: Ints
    items: Ints


def write_atomic_files(train: TrainData, folder: Path) -> None:
    """RecBole's files: all interactions and all items, under the numbers that the catalogue gives them."""
    place = folder / DATASET
    place.mkdir()
    rows = {"user_id:token": train.interactions.users, "item_id:token": train.interactions.items}
    pd.DataFrame(rows).to_csv(place / f"{DATASET}.inter", sep="\t", index=False)
    items = pd.DataFrame({"item_id:token": np.arange(train.n_items)})
    items.to_csv(place / f"{DATASET}.item", sep="\t", index=False)


def recbole_config(name: str, settings: dict[str, Any], context: Context) -> dict[str, Any]:
    """RecBole's settings for a run on all interactions, with no evaluation."""
    return {
        **settings,
        **({} if MODELS[name].sampled else {"train_neg_sample_args": None}),
        "data_path": str(context.scratch),
        "checkpoint_dir": str(context.scratch / "saved"),
        "load_col": {"inter": ["user_id", "item_id"], "item": ["item_id"]},
        "seed": context.seed,
        "reproducibility": True,
        "use_gpu": context.device != "cpu",
        # RecBole chooses its device by this alone, and makes it CUDA_VISIBLE_DEVICES.
        "gpu_id": "" if context.device == "cpu" else os.environ.get("CUDA_VISIBLE_DEVICES", "0"),
        "show_progress": False,
        "eval_args": {"split": {"RS": [1.0]}, "group_by": None, "order": "RO", "mode": "full"},
    }


def train_model(name: str, settings: dict[str, Any], train: TrainData, context: Context) -> Prepared:
    """Train a model; to be called in `recbole_scope`.

    Args:
        name: of MODELS.
        settings: RecBole's, as `recbole_settings` makes them.

    Raises:
        ValueError: there are no interactions, or no item is left to be a user's negative.
    """
    prepared = prepare(name, settings, train, context)
    trainer = _reporting_trainer(prepared, partial(context.progress, f"{name} epochs"))
    try:
        trainer.fit(prepared.loader, saved=False, verbose=False)
    finally:
        trainer.tensorboard.close()
    return prepared


def prepare(name: str, settings: dict[str, Any], train: TrainData, context: Context) -> Prepared:
    """A model that is initialised and not trained; like `train_model` in all else."""
    # Never recbole.quick_start: it imports ray.
    from recbole.config import Config
    from recbole.data import create_dataset
    from recbole.data.utils import get_dataloader
    from recbole.sampler import Sampler
    from recbole.utils import get_model, init_seed

    from semidbench_recbole.enmf import FastEnmf

    _check(train, MODELS[name].sampled)
    write_atomic_files(train, context.scratch)
    config = Config(model=name, dataset=DATASET, config_dict=recbole_config(name, settings, context))
    init_seed(config["seed"], config["reproducibility"])
    (dataset,) = create_dataset(config).build()
    sampler = Sampler(["train"], [dataset]).set_phase("train") if MODELS[name].sampled else None
    loader = get_dataloader(config, "train")(config, dataset, sampler, shuffle=True)
    model = (FastEnmf if name == "ENMF" else get_model(name))(config, dataset).to(config["device"])
    users = dataset.token2id(dataset.uid_field, np.arange(train.interactions.n_users).astype(str))
    items = dataset.token2id(dataset.iid_field, np.arange(train.n_items).astype(str))
    return Prepared(config, loader, model, users, items)


def _check(train: TrainData, sampled: bool) -> None:
    if not len(train.interactions):
        raise ValueError("training needs interactions and there are none")
    seen = np.unique(train.interactions.users * train.n_items + train.interactions.items)
    most = int(np.bincount(seen // train.n_items).max())
    if sampled and most == train.n_items:
        raise ValueError(
            f"a user has interacted with all {most} items, so that none can be sampled as a negative; use model=ENMF"
        )


def _reporting_trainer(prepared: Prepared, report: Callable[[int, int], None]) -> Any:
    """RecBole's trainer, which calls `report` with the number of finished epochs and of all."""
    from recbole.trainer import Trainer

    class Reporting(Trainer):  # type: ignore[misc]
        def _train_epoch(self, train_data: Any, epoch_idx: int, *rest: Any, **named: Any) -> Any:
            loss = super()._train_epoch(train_data, epoch_idx, *rest, **named)
            report(epoch_idx + 1, prepared.config["epochs"])
            return loss

    return Reporting(prepared.config, prepared.model)
