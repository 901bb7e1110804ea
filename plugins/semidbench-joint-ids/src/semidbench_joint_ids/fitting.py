"""Train the joint quantizer on a catalogue and read off its codes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from semidbench.api import Context, Floats, Ints, torch_scope
from semidbench_joint_ids.model import JointQuantizer, Shape, total_loss
from semidbench_joint_ids.options import Options

_INIT_ROWS = 16_384  # that k-means starts the codebooks from
_ENCODE_ROWS = 4_096  # at a time


@dataclass(frozen=True, slots=True)
class JointCodes:
    """The codes of N items, and how well they rebuild the views.

    Attributes:
        shared: int64 (N, shared levels).
        specific: int64 (N, specific levels), of the first view and of the second.
        unexplained: share of each view's variance that its decoder leaves unexplained.
    """

    shared: Ints
    specific: tuple[Ints, Ints]
    unexplained: tuple[float, float]


def fit_codes(views: tuple[Floats, Floats], shape: Shape, options: Options, context: Context) -> JointCodes:
    """Train on all items and encode them; bit-identical for the same seed and threads on a CPU.

    Each view is centred and divided by one number, the root of its mean variance per dimension: angles and distances
    keep their proportions, and 1 is the error of predicting the mean, in both views.

    Raises:
        ValueError: fewer items than codes, a view without variance, or a loss that is not finite.
    """
    if len(views[0]) < (size := max(shape.shared_size, shape.specific_size)):
        raise ValueError(f"cannot learn {size} codes from {len(views[0])} items. Ask for smaller codebooks")
    scaled = _scaled(views[0], "first", context.device), _scaled(views[1], "second", context.device)
    with torch_scope(context):
        model = JointQuantizer((views[0].shape[1], views[1].shape[1]), shape, options).to(context.device)
        _train(model, scaled, options, context)
        return _read_codes(model.eval(), scaled)


def _scaled(view: Floats, place: str, device: str) -> Tensor:
    centred = view.astype(np.float64) - view.mean(axis=0, dtype=np.float64)
    spread = np.sqrt(np.mean(centred**2))
    if spread <= 1e-7 * np.abs(view).max():  # what rounding leaves of float32
        raise ValueError(f"the {place} view is the same for all items: there is nothing to learn from it")
    return torch.from_numpy((centred / spread).astype(np.float32)).to(device)


def _train(model: JointQuantizer, views: tuple[Tensor, Tensor], options: Options, context: Context) -> None:
    items, device = len(views[0]), views[0].device
    # drawn on the CPU, so that a GPU sees the same batches
    shuffles = torch.Generator().manual_seed(context.seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=options.lr)
    model.train()
    if options.kmeans_init:
        with torch.no_grad():  # the codebooks start from many items, not from one batch
            rows = torch.randperm(items, generator=shuffles)[:_INIT_ROWS].to(device)
            model((views[0][rows], views[1][rows]))
    for epoch in range(options.epochs):
        order = torch.randperm(items, generator=shuffles)
        for chunk in order.tensor_split(-(-items // options.batch)):  # nearly equal: no small batch at the end
            rows = chunk.to(device)
            batch = views[0][rows], views[1][rows]
            loss = total_loss(model(batch), batch)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        if not torch.isfinite(loss):
            raise ValueError(f"training diverged in epoch {epoch + 1}: the loss is {loss.item()}. Lower lr")
        context.progress("epochs of the joint quantizer", epoch + 1, options.epochs)


@torch.no_grad()
def _read_codes(model: JointQuantizer, views: tuple[Tensor, Tensor]) -> JointCodes:
    shared, first, second = [], [], []
    errors = [0.0, 0.0]
    for start in range(0, len(views[0]), _ENCODE_ROWS):
        parts = views[0][start : start + _ENCODE_ROWS], views[1][start : start + _ENCODE_ROWS]
        encoded = model(parts)
        shared.append(encoded.shared)
        first.append(encoded.specific[0])
        second.append(encoded.specific[1])
        for at in range(2):
            errors[at] += float((encoded.rebuilt[at] - parts[at]).double().square().sum())
    return JointCodes(
        _ints(shared),
        (_ints(first), _ints(second)),
        (errors[0] / views[0].numel(), errors[1] / views[1].numel()),
    )


def _ints(parts: list[Tensor]) -> Ints:
    codes: Ints = torch.cat(parts).cpu().numpy().astype(np.int64)
    return codes
