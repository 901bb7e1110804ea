"""Train a small residual head on frozen encodings: the cheap way to fine-tune a bi-encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from semidbench.api import Context, Floats, TextEncoder, TrainData
from semidbench_biencoder.scope import torch_scope
from semidbench_biencoder.towers import Options

_WARMUP = 0.1  # of the steps
_WEIGHT_DECAY = 0.01


class _Head(nn.Module):
    """Each side x -> normalise(x + A x + b), starting at the identity; the item side first adds its free vectors."""

    def __init__(self, items: Tensor) -> None:
        super().__init__()
        width = items.shape[1]
        self.query_side, self.item_side = nn.Linear(width, width), nn.Linear(width, width)
        self.free = nn.Parameter(torch.zeros_like(items))
        for side in (self.query_side, self.item_side):
            nn.init.zeros_(side.weight)
            nn.init.zeros_(side.bias)
        self.register_buffer("texts", items)

    def queries(self, encodings: Tensor) -> Tensor:
        return functional.normalize(encodings + self.query_side(encodings), dim=1)

    def items(self, rows: Tensor) -> Tensor:
        start = self.get_buffer("texts")[rows] + self.free[rows]
        return functional.normalize(start + self.item_side(start), dim=1)


@dataclass(frozen=True)
class HeadTowers:
    """A trained head over the track's text encoder."""

    head: _Head
    encoder: TextEncoder
    items: Floats
    context: Context

    def encode_queries(self, texts: Sequence[str]) -> Floats:
        """Unit-length encodings float32 (len(texts), d)."""
        with torch_scope(self.context), torch.no_grad():
            encodings = torch.from_numpy(self.encoder.encode(texts)).to(self.context.device)
            return _floats(self.head.queries(encodings))


def train_head(train: TrainData, context: Context, options: Options) -> HeadTowers:
    """Multiple negatives ranking loss over batches of (query, item) pairs: softmax of scaled cosines.

    A batch's other queries for the same item are masked: they are no negatives.
    """
    encoder = context.text_encoder
    queries = torch.from_numpy(encoder.encode(train.queries.texts)).to(context.device)
    items = torch.from_numpy(encoder.encode(train.catalogue.texts)).to(context.device)
    targets = torch.from_numpy(np.array(train.queries.items)).to(context.device)
    with torch_scope(context):
        head = _Head(items).to(context.device)
        _fit(head, queries, targets, context, options)
        with torch.no_grad():
            embeddings = _floats(head.items(torch.arange(len(items), device=context.device)))
    return HeadTowers(head, encoder, embeddings, context)


def _fit(head: _Head, queries: Tensor, targets: Tensor, context: Context, options: Options) -> None:
    sides = [*head.query_side.parameters(), *head.item_side.parameters()]
    groups = [
        {"params": sides, "lr": options.lr, "weight_decay": _WEIGHT_DECAY},
        {"params": [head.free], "lr": options.item_lr, "weight_decay": 0.0},
    ]
    if not options.item_lr:
        head.free.requires_grad_(False)
        del groups[1]
    optimizer = torch.optim.AdamW(groups)
    steps = options.epochs * -(-len(queries) // options.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, partial(_share_of_peak, steps=steps))
    # drawn on the CPU, so that a GPU sees the same batches
    shuffles = torch.Generator().manual_seed(context.seed)
    done = 0
    for _ in range(options.epochs):
        for batch in torch.randperm(len(queries), generator=shuffles).split(options.batch):  # type: ignore[no-untyped-call]
            rows = batch.to(queries.device)
            loss = in_batch_loss(head.queries(queries[rows]), head.items(targets[rows]), targets[rows], options.scale)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            done += 1
        context.progress("training steps of the head", done, steps)


def _share_of_peak(step: int, steps: int) -> float:
    """Linear warm-up, then linear decay towards 0 after the last step."""
    return min((step + 1) / max(1.0, _WARMUP * steps), 1.0, (steps - step) / steps)


def in_batch_loss(queries: Tensor, items: Tensor, targets: Tensor, scale: float) -> Tensor:
    """Cross-entropy of each query's own item among the batch's, B pairs of unit vectors (B, d).

    Args:
        targets: item numbers (B,): another pair with the same item is left out of the softmax.
    """
    logits = scale * queries @ items.T
    same = targets[:, None] == targets[None, :]
    same.fill_diagonal_(False)
    return functional.cross_entropy(
        logits.masked_fill(same, -torch.inf), torch.arange(len(targets), device=targets.device)
    )


def _floats(tensor: Tensor) -> Floats:
    array: Floats = tensor.detach().cpu().numpy().astype(np.float32)
    return array
