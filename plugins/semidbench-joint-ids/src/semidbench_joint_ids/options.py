"""The options of the joint quantizer, the same for both layouts."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the model and its training, checked.

    Attributes:
        hidden: widths of an encoder's hidden layers; a decoder has them in reverse.
        dim: latent dimensions per view.
        epochs: passes over the items.
        batch: items per step, at most.
        lr: Adam's learning rate.
        commitment: weight of the commitment loss.
        kmeans_init: whether codebooks start as k-means of what they first see.
        threshold_ema_dead_code: a code chosen by fewer items of a batch, in the moving average, is replaced by one of
            the batch's vectors; 0 never replaces.

    Raises:
        ValueError: one is out of range.
    """

    hidden: tuple[int, ...]
    dim: int
    epochs: int
    batch: int
    lr: float
    commitment: float
    kmeans_init: bool
    threshold_ema_dead_code: int

    def __post_init__(self) -> None:
        if min(self.dim, self.epochs, self.batch, *self.hidden) < 1 or not self.lr > 0:
            raise ValueError(
                f"hidden ({self.hidden}), dim ({self.dim}), epochs ({self.epochs}), batch ({self.batch}) and "
                f"lr ({self.lr}) must be positive"
            )
        if not (self.commitment >= 0 and self.threshold_ema_dead_code >= 0):
            raise ValueError(
                f"commitment ({self.commitment}) and threshold_ema_dead_code ({self.threshold_ema_dead_code}) "
                "must not be negative"
            )


def hidden_widths(text: str) -> tuple[int, ...]:
    """Widths such as `512-256` (a scheme's options are separated by commas).

    Raises:
        ValueError: anything else.
    """
    if not re.fullmatch(r"[0-9]+(-[0-9]+)*", text):
        raise ValueError(f"hidden must be widths joined by '-', such as 512-256, not {text!r}")
    return tuple(map(int, text.split("-")))
