"""The options of the fine-tuned bi-encoders: embedders and rankers that share them share their training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from semidbench_biencoder.ratio import SEARCH_ONLY, Weights, parse_ratio

Tune = Literal["head", "full"]


@dataclass(frozen=True)
class Options:
    """What `Tuned` and `TunedForBoth` are given, with the same names; `weights` is the parsed ratio."""

    tune: Tune
    epochs: int
    batch: int
    lr: float
    scale: float
    item_lr: float
    weights: Weights = SEARCH_ONLY
    window: int = 1
    mini_batch: int = 0


class Tuned:
    """The options of a fine-tuned bi-encoder. The defaults are the paper's (section 4.1) where it gives a number."""

    def __init__(
        self,
        *,
        tune: Tune = "full",
        epochs: int = 5,
        batch: int = 512,
        lr: float = 2e-5,
        scale: float = 20.0,
        item_lr: float = 0.0,
        mini_batch: int = 0,
    ) -> None:
        """Set the options.

        Args:
            tune: "full" fine-tunes the sentence model, "head" trains a residual head on frozen encodings.
            epochs: passes over the training queries.
            batch: pairs per step, and so one more than the negatives of each.
            lr: learning rate at its peak.
            scale: cosines are multiplied by it in the loss.
            item_lr: head only: learning rate of a free vector per item that is added to its text's encoding;
                0 leaves it out.
            mini_batch: full only: texts encoded at a time. The loss is that of the whole batch and memory that of so
                many texts, for a second forward pass; 0 encodes a batch at once.

        Raises:
            ValueError: an option is out of range, or only the other way to train has it.
        """
        if min(epochs, batch) < 1 or min(lr, scale) <= 0 or min(item_lr, mini_batch) < 0:
            raise ValueError(
                f"epochs ({epochs}), batch ({batch}), lr ({lr}) and scale ({scale}) must be positive, "
                f"item_lr ({item_lr}) and mini_batch ({mini_batch}) not negative"
            )
        if item_lr and tune == "full":
            raise ValueError("item_lr is an option of tune=head. Leave it out with tune=full")
        if mini_batch and tune == "head":
            raise ValueError("mini_batch is an option of tune=full. Leave it out with tune=head")
        self.options = Options(tune, epochs, batch, lr, scale, item_lr, mini_batch=mini_batch)

    @property
    def fine_tunes_text_encoder(self) -> bool:
        """For `semidbench plan`."""
        return self.options.tune == "full"


class TunedForBoth(Tuned):
    """The options of a bi-encoder that is fine-tuned for both tasks (the paper's section 3.2)."""

    def __init__(
        self,
        *,
        ratio: str = "1:1",
        window: int = 1,
        tune: Tune = "full",
        epochs: int = 5,
        batch: int = 512,
        lr: float = 2e-5,
        scale: float = 20.0,
        item_lr: float = 0.0,
        mini_batch: int = 0,
    ) -> None:
        """Set the options.

        Args:
            ratio: weights of the two losses, "search:rec", divided by the larger: 1:1 is their sum, 1:0 the search
                bi-encoder.
            window: items at most so many places apart in a user's training history are a pair.
            tune: as in Tuned.
            epochs: passes over the training queries, whatever the ratio. Item pairs come beside them as an endless
                stream of shuffled passes, one batch a step.
            batch: pairs of each kind per step.
            lr: as in Tuned.
            scale: as in Tuned, for both losses.
            item_lr: as in Tuned.
            mini_batch: as in Tuned, for both kinds of pairs.

        Raises:
            ValueError: an option is out of range, or only the other way to train has it.
        """
        super().__init__(
            tune=tune, epochs=epochs, batch=batch, lr=lr, scale=scale, item_lr=item_lr, mini_batch=mini_batch
        )
        if window < 1:
            raise ValueError(f"window must be positive, not {window}")
        self.options = replace(self.options, weights=parse_ratio(ratio), window=window)
