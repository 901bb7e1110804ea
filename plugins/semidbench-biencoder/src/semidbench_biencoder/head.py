"""Train a small residual head on frozen encodings: the cheap way to fine-tune a bi-encoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from semidbench.api import Context, Floats, TextEncoder, TrainData, torch_scope
from semidbench_biencoder.losses import in_batch_loss, item_pair_loss
from semidbench_biencoder.options import Options
from semidbench_biencoder.pairs import ItemPairs, co_occurring, item_stream_seed, shuffled

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
    """Train on (query, item) pairs, on pairs of co-occurring items, or on the weighted sum of both losses.

    Items are encoded by the item side wherever they stand. A step takes a batch of each kind whose weight is not 0.

    Raises:
        ValueError: item pairs are asked for and there are none.
    """
    losses = []
    encoder = context.text_encoder
    with torch_scope(context):
        head = _Head(torch.from_numpy(encoder.encode(train.catalogue.texts))).to(context.device)
        if options.weights.search:
            losses.append((options.weights.search, _search_losses(head, train, context, options)))
        if options.weights.rec:
            pairs = co_occurring(train.interactions, options.window)
            losses.append((options.weights.rec, _item_losses(head, pairs, context, options)))
        _fit(head, losses, -(-len(train.queries) // options.batch), context, options)
        with torch.no_grad():
            embeddings = _floats(head.items(torch.arange(train.n_items, device=context.device)))
    return HeadTowers(head, encoder, embeddings, context)


def _search_losses(head: _Head, train: TrainData, context: Context, options: Options) -> Iterator[Tensor]:
    """One loss per batch of query-item pairs, without end."""
    queries = torch.from_numpy(context.text_encoder.encode(train.queries.texts)).to(context.device)
    targets = torch.from_numpy(np.array(train.queries.items)).to(context.device)
    for batch in shuffled(len(queries), options.batch, context.seed):
        rows = batch.to(context.device)
        yield in_batch_loss(head.queries(queries[rows]), head.items(targets[rows]), targets[rows], options.scale)


def _item_losses(head: _Head, pairs: ItemPairs, context: Context, options: Options) -> Iterator[Tensor]:
    """One loss per batch of item pairs, without end."""
    earlier, later = (torch.from_numpy(side).to(context.device) for side in (pairs.earlier, pairs.later))
    for batch in shuffled(len(pairs), options.batch, item_stream_seed(context.seed)):
        rows = batch.to(context.device)
        numbers = earlier[rows], later[rows]
        yield item_pair_loss(head.items(numbers[0]), head.items(numbers[1]), numbers, options.scale)


def _fit(
    head: _Head, losses: Sequence[tuple[float, Iterator[Tensor]]], per_epoch: int, context: Context, options: Options
) -> None:
    sides = [*head.query_side.parameters(), *head.item_side.parameters()]
    groups = [
        {"params": sides, "lr": options.lr, "weight_decay": _WEIGHT_DECAY},
        {"params": [head.free], "lr": options.item_lr, "weight_decay": 0.0},
    ]
    if not options.item_lr:
        head.free.requires_grad_(False)
        del groups[1]
    optimizer = torch.optim.AdamW(groups)
    steps = options.epochs * per_epoch
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, partial(_share_of_peak, steps=steps))
    for done in range(1, steps + 1):
        loss = torch.stack([weight * next(each) for weight, each in losses]).sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        if done % per_epoch == 0:
            context.progress("training steps of the head", done, steps)


def _share_of_peak(step: int, steps: int) -> float:
    """Linear warm-up, then linear decay towards 0 after the last step."""
    return min((step + 1) / max(1.0, _WARMUP * steps), 1.0, (steps - step) / steps)


def _floats(tensor: Tensor) -> Floats:
    array: Floats = tensor.detach().cpu().numpy().astype(np.float32)
    return array
