"""The RecBole models that can stand behind the `rec` embedder, and their options in RecBole's words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Model:
    """A model of recbole.model.general_recommender.

    Attributes:
        options: what it reads beside epochs, batch, dim and lr, by RecBole's names.
        sampled: it is trained on sampled negatives (RecBole's default: one per interaction, uniform).
        propagated: its item embeddings are what `forward()` returns after propagation over the graph of
            interactions; else they are the table `item_embedding`.
    """

    options: tuple[str, ...]
    sampled: bool = True
    propagated: bool = False


MODELS: Mapping[str, Model] = {
    "BPR": Model(()),
    "ENMF": Model(("dropout_prob", "negative_weight", "reg_weight"), sampled=False),
    "LightGCN": Model(("n_layers", "reg_weight"), propagated=True),
    "NGCF": Model(("reg_weight",), propagated=True),
    "SpectralCF": Model(("n_layers", "reg_weight"), propagated=True),
}


def recbole_settings(
    model: str, *, epochs: int, batch: int, dim: int, lr: float, **own: int | float | None
) -> dict[str, Any]:
    """RecBole's settings for a model's options.

    Args:
        own: options of some of the models; None leaves RecBole's default.

    Raises:
        ValueError: the model is not in MODELS, it does not read one of the options, or one is out of range.
    """
    if model not in MODELS:
        raise ValueError(f"model={model} is unknown; choose one of {', '.join(MODELS)}")
    if min(epochs, batch, dim) < 1 or not lr > 0:
        raise ValueError(f"epochs ({epochs}), batch ({batch}), dim ({dim}) and lr ({lr}) must be positive")
    given = {name: value for name, value in own.items() if value is not None}
    for name, value in given.items():
        if name not in MODELS[model].options:
            readers = [other for other, spec in MODELS.items() if name in spec.options]
            raise ValueError(f"{model} reads no {name}, leave it out; it is an option of {', '.join(readers)}")
        _check_range(name, value)
    common = {"epochs": epochs, "train_batch_size": batch, "embedding_size": dim, "learning_rate": lr}
    return {**common, **given}


def _check_range(name: str, value: int | float) -> None:
    wanted, fits = {
        "dropout_prob": ("0 <= dropout_prob < 1", 0 <= value < 1),
        "negative_weight": ("0 <= negative_weight <= 1", 0 <= value <= 1),
        "reg_weight": ("reg_weight >= 0", value >= 0),
        "n_layers": ("n_layers >= 1", value >= 1),
    }[name]
    if not fits:
        raise ValueError(f"needs {wanted}, not {value}")
