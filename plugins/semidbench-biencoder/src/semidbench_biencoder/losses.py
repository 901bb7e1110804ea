"""The two contrastive losses: multiple negatives ranking, a softmax of scaled cosines over the batch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def in_batch_loss(queries: Tensor, items: Tensor, targets: Tensor, scale: float) -> Tensor:
    """Cross-entropy of each query's own item among the batch's, B pairs of unit vectors (B, d).

    Args:
        targets: item numbers (B,): another pair with the same item is left out of the softmax.
    """
    return _contrastive(queries, items, targets[:, None] == targets[None, :], scale)


def item_pair_loss(earlier: Tensor, later: Tensor, numbers: tuple[Tensor, Tensor], scale: float) -> Tensor:
    """Cross-entropy of each earlier item's later one among the batch's, B pairs of unit vectors (B, d).

    Args:
        numbers: the item numbers (B,) of `earlier` and `later`, different within a pair. Left out of a row's softmax
            are other pairs' later items that are one of its own two, or that follow its earlier item too.
    """
    before, after = numbers
    no_negative = (
        (after[:, None] == after[None, :]) | (before[:, None] == after[None, :]) | (before[:, None] == before[None, :])
    )
    return _contrastive(earlier, later, no_negative, scale)


def _contrastive(anchors: Tensor, others: Tensor, no_negative: Tensor, scale: float) -> Tensor:
    own = torch.eye(len(anchors), dtype=torch.bool, device=anchors.device)
    logits = (scale * anchors @ others.T).masked_fill(no_negative & ~own, -torch.inf)
    return functional.cross_entropy(logits, torch.arange(len(anchors), device=anchors.device))
