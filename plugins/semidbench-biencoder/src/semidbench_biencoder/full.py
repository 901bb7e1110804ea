"""Fine-tune the whole sentence model on (query, item text) pairs with sentence-transformers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from semidbench.api import Context, Floats, TrainData
from semidbench_biencoder.scope import torch_scope
from semidbench_biencoder.towers import Options

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
    """Multiple negatives ranking loss (cosine x 20), no item or query twice in a batch, AdamW, linear decay.

    Raises:
        ValueError: the track's text encoder has nothing pretrained, or the training extra is missing.
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
    import datasets
    from sentence_transformers import SentenceTransformer

    with torch_scope(context):
        model = SentenceTransformer(str(folder), device=context.device, local_files_only=True)
        pairs = datasets.Dataset.from_dict(
            {
                "query": list(train.queries.texts),
                "item": [train.catalogue.texts[item] for item in train.queries.items],
            }
        )
        _fit(model, pairs, context, options)
        return FullTowers(model, _encode(model, train.catalogue.texts), context)


def _fit(model: Any, pairs: Any, context: Context, options: Options) -> None:
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
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
    loss = MultipleNegativesRankingLoss(model, scale=options.scale)
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
