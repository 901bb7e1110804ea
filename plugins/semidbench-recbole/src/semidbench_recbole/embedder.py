"""ENMF item embeddings, trained by RecBole on all training interactions.

Efficient Neural Matrix Factorization (Chen et al., TOIS 2020) as RecBole 1.2.1 has it. The defaults are
the paper's (section 4.1: 30 epochs, batches of 512 users, 256 dimensions, Adam, learning rate 0.001) and,
where it is silent, RecBole's.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from semidbench.api import Context, Floats, TrainData, Views
from semidbench_recbole.scope import recbole_scope

DATASET = "train"


class Enmf:
    """Embedder: one view `item`, float32 (N, dim).

    Every item of the catalogue is in the model. One without interactions is trained like ENMF's other
    unobserved entries: every user's score for it is pulled to zero.
    """

    def __init__(
        self,
        *,
        epochs: int = 30,
        batch: int = 512,
        dim: int = 256,
        lr: float = 0.001,
        dropout_prob: float = 0.7,
        negative_weight: float = 0.5,
        reg_weight: float = 0.0,
    ) -> None:
        """Set the options.

        Args:
            epochs: passes over the users.
            batch: users per step.
            dim: width of the embeddings.
            lr: Adam's learning rate.
            dropout_prob: of the user embeddings, in training.
            negative_weight: weight of the unobserved entries.
            reg_weight: of the L2 penalty.

        Raises:
            ValueError: an option is out of range.
        """
        if min(epochs, batch, dim) < 1 or lr <= 0:
            raise ValueError(f"epochs ({epochs}), batch ({batch}), dim ({dim}) and lr ({lr}) must be positive")
        if not (0 <= dropout_prob < 1 and 0 <= negative_weight <= 1 and reg_weight >= 0):
            raise ValueError(
                f"needs 0 <= dropout_prob ({dropout_prob}) < 1, 0 <= negative_weight ({negative_weight}) <= 1 "
                f"and reg_weight ({reg_weight}) >= 0"
            )
        self.settings: dict[str, Any] = {
            "epochs": epochs,
            "train_batch_size": batch,
            "embedding_size": dim,
            "learning_rate": lr,
            "dropout_prob": dropout_prob,
            "negative_weight": negative_weight,
            "reg_weight": reg_weight,
        }

    def embed(self, train: TrainData, context: Context) -> Views:
        """Train ENMF; bit-identical for the same seed and threads on a CPU.

        Raises:
            ValueError: there are no interactions.
        """
        return {"item": self.factors(train, context)[1]}

    def factors(self, train: TrainData, context: Context) -> tuple[Floats, Floats, Floats]:
        """ENMF's users (U, dim), items (N, dim) and output weights (dim,): score = (user * item) @ weights."""
        if not len(train.interactions):
            raise ValueError("the rec embedder needs training interactions and there are none")
        write_atomic_files(train, context.scratch)
        with recbole_scope(context.scratch, context.threads):
            model, dataset = _train(self.settings, context)
            users = dataset.token2id(dataset.uid_field, np.arange(train.interactions.n_users).astype(str))
            items = dataset.token2id(dataset.iid_field, np.arange(train.n_items).astype(str))
            state = {name: value.cpu().numpy().astype(np.float32) for name, value in model.state_dict().items()}
            return (
                state["user_embedding.weight"][users],
                state["item_embedding.weight"][items],
                state["H_i.weight"][0].copy(),
            )


def write_atomic_files(train: TrainData, folder: Path) -> None:
    """RecBole's files: all interactions and all items, under the numbers that the catalogue gives them."""
    place = folder / DATASET
    place.mkdir()
    rows = {"user_id:token": train.interactions.users, "item_id:token": train.interactions.items}
    pd.DataFrame(rows).to_csv(place / f"{DATASET}.inter", sep="\t", index=False)
    items = pd.DataFrame({"item_id:token": np.arange(train.n_items)})
    items.to_csv(place / f"{DATASET}.item", sep="\t", index=False)


def recbole_config(settings: dict[str, Any], context: Context) -> dict[str, Any]:
    """RecBole's settings for a run on all interactions, with no evaluation."""
    return {
        **settings,
        "data_path": str(context.scratch),
        "checkpoint_dir": str(context.scratch / "saved"),
        "load_col": {"inter": ["user_id", "item_id"], "item": ["item_id"]},
        "seed": context.seed,
        "reproducibility": True,
        "use_gpu": context.device != "cpu",
        "show_progress": False,
        "train_neg_sample_args": None,
        "eval_args": {"split": {"RS": [1.0]}, "group_by": None, "order": "RO", "mode": "full"},
    }


def _train(settings: dict[str, Any], context: Context) -> tuple[Any, Any]:
    # Never recbole.quick_start: it imports ray.
    from recbole.config import Config
    from recbole.data import create_dataset
    from recbole.data.utils import get_dataloader
    from recbole.utils import init_seed

    from semidbench_recbole.model import FastEnmf, reporting_trainer

    config = Config(model="ENMF", dataset=DATASET, config_dict=recbole_config(settings, context))
    init_seed(config["seed"], config["reproducibility"])
    (dataset,) = create_dataset(config).build()
    loader = get_dataloader(config, "train")(config, dataset, None, shuffle=True)
    model = FastEnmf(config, dataset).to(config["device"])
    trainer = reporting_trainer(config, model, partial(_report, context, settings["epochs"]))
    try:
        trainer.fit(loader, saved=False, verbose=False)
    finally:
        trainer.tensorboard.close()
    return model, dataset


def _report(context: Context, epochs: int, done: int) -> None:
    context.progress("ENMF epochs", done, epochs)
