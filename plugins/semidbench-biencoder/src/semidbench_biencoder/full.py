"""Fine-tune the whole sentence model with sentence-transformers: on query-item pairs, item pairs, or both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from semidbench.api import Context, Floats, TrainData, torch_scope
from semidbench_biencoder.losses import item_pair_loss
from semidbench_biencoder.options import Options
from semidbench_biencoder.pairs import ItemPairs, co_occurring, item_stream_seed, shuffled
from semidbench_biencoder.ratio import Weights

_ENCODE_BATCH = 256


@dataclass(frozen=True)
class FullTowers:
    """A fine-tuned model: one encoder for queries and item texts."""

    model: Any
    items: Floats
    context: Context

    def encode_queries(self, texts: Sequence[str]) -> Floats:
        """Unit-length encodings float32 (len(texts), d)."""
        with torch_scope(self.context):
            return _encode(self.model, texts)


def train_full(train: TrainData, context: Context, options: Options) -> FullTowers:
    """Weighted sum of the multiple negatives ranking losses (cosine x 20) of both kinds of pairs, AdamW, linear decay.

    No item or query stands twice in a batch of query-item pairs. A weight of 0 leaves that loss out.

    Raises:
        ValueError: the track's text encoder has nothing pretrained, the training extra is missing, there are
            several GPUs, or item pairs are asked for and there are none.
    """
    folder = context.text_encoder.folder
    if folder is None:
        raise ValueError("tune=full needs a pretrained text encoder and this track's has none. Use tune=head")
    missing = [name for name in ("accelerate", "datasets") if find_spec(name) is None]
    if missing:  # the trainer would report it after the model is loaded
        raise ValueError(
            f"tune=full needs sentence-transformers' training extra: {' and '.join(missing)} not installed. "
            "Run `pip install 'semidbench-biencoder[full]'`, or use tune=head"
        )
    if context.device != "cpu" and (gpus := torch.cuda.device_count()) > 1:
        raise ValueError(
            f"tune=full trains on one GPU and sees {gpus}: its trainer would multiply the batch by {gpus}. "
            "Set CUDA_VISIBLE_DEVICES to one of them"
        )
    import datasets
    from sentence_transformers import SentenceTransformer

    with torch_scope(context):
        model = SentenceTransformer(str(folder), device=context.device, local_files_only=True)
        loss = _loss(model, train, context, options)
        pairs = datasets.Dataset.from_dict(
            {
                "query": list(train.queries.texts),
                "item": [train.catalogue.texts[item] for item in train.queries.items],
            }
        )
        _fit(model, pairs, loss, context, options)
        return FullTowers(model, _encode(model, train.catalogue.texts), context)


class _ItemPairLoss(nn.Module):
    """The loss of the next batch of item pairs; an item's text is encoded alike on both sides."""

    def __init__(
        self, model: Any, texts: Sequence[str], pairs: ItemPairs, batches: Iterator[Tensor], options: Options
    ) -> None:
        super().__init__()
        self.model, self.texts, self.pairs, self.batches, self.options = model, texts, pairs, batches, options

    def forward(self) -> Tensor:
        rows = next(self.batches).numpy()
        before, after = (torch.from_numpy(side[rows]) for side in (self.pairs.earlier, self.pairs.later))
        earlier, later = self._encode(before), self._encode(after)
        return item_pair_loss(earlier, later, (before.to(earlier.device), after.to(later.device)), self.options.scale)

    def _encode(self, items: Tensor) -> Tensor:
        if not self.options.mini_batch:
            return self._forward(self._features(items))
        # kept until the backward pass: the texts' tokens, not what each layer makes of them
        parts = [
            checkpoint(self._forward, self._features(part), use_reentrant=False)
            for part in items.split(self.options.mini_batch)  # type: ignore[no-untyped-call]
        ]
        return torch.cat(parts)

    def _features(self, items: Tensor) -> dict[str, Any]:
        features = self.model.preprocess([self.texts[item] for item in items.tolist()])
        device = next(self.model.parameters()).device
        return {name: part.to(device) if isinstance(part, Tensor) else part for name, part in features.items()}

    def _forward(self, features: dict[str, Any]) -> Tensor:
        # a copy: the model writes every token's output into what it is given, which a checkpoint keeps
        return functional.normalize(self.model(dict(features))["sentence_embedding"], dim=1)


class _WeightedSum(nn.Module):
    """The loss of the trainer's batch of query-item pairs plus that of a batch of item pairs."""

    def __init__(self, search: nn.Module, items: _ItemPairLoss, weights: Weights):
        super().__init__()
        self.search, self.items, self.weights = search, items, weights

    def forward(self, features: Any, labels: Any) -> Tensor:
        loss: Tensor = self.weights.rec * self.items()
        return loss + self.weights.search * self.search(features, labels) if self.weights.search else loss


def _loss(model: Any, train: TrainData, context: Context, options: Options) -> nn.Module:
    search = _search_loss(model, options)
    if not options.weights.rec:
        return search
    pairs = co_occurring(train.interactions, options.window)
    batches = shuffled(len(pairs), options.batch, item_stream_seed(context.seed))
    items = _ItemPairLoss(model, train.catalogue.texts, pairs, batches, options)
    return _WeightedSum(search, items, options.weights)


def _search_loss(model: Any, options: Options) -> nn.Module:
    from sentence_transformers.sentence_transformer import losses

    if not options.mini_batch:
        whole: nn.Module = losses.MultipleNegativesRankingLoss(model, scale=options.scale)
        return whole
    cached: nn.Module = losses.CachedMultipleNegativesRankingLoss(
        model, scale=options.scale, mini_batch_size=options.mini_batch
    )
    return cached


def _fit(model: Any, pairs: Any, loss: nn.Module, context: Context, options: Options) -> None:
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from transformers import PrinterCallback, TrainerCallback

    class Report(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
            context.progress("fine-tuning steps", state.global_step, state.max_steps)

    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(context.scratch / "trainer"),
        num_train_epochs=options.epochs,
        per_device_train_batch_size=options.batch,
        learning_rate=options.lr,
        batch_sampler="no_duplicates",  # an item or query twice in a batch would be its own negative
        seed=context.seed,
        use_cpu=context.device == "cpu",
        bf16=context.device != "cpu",
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    trainer = SentenceTransformerTrainer(
        model=model, args=arguments, train_dataset=pairs, loss=loss, callbacks=[Report()]
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    model.eval()


def _encode(model: Any, texts: Sequence[str]) -> Floats:
    encodings: Floats = model.encode(
        list(texts), batch_size=_ENCODE_BATCH, normalize_embeddings=True, show_progress_bar=False
    )
    return encodings.astype(np.float32)
