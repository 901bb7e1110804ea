"""Adam over shuffled batches, for a number of steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from semidbench.api import Context


def train(
    module: nn.Module, loss: Callable[[Tensor], Tensor], x: Tensor, steps: int, batch: int, lr: float, context: Context
) -> None:
    """Minimise `loss` of batches (at most `batch`, d) of x (N, d); the learning rate falls linearly to 0.

    Leaves the module in evaluation mode.

    Raises:
        ValueError: a loss that is not finite, looked at some 20 times.
    """
    module.train()
    optimizer = torch.optim.Adam(module.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    every = max(1, steps // 20)
    for step, rows in enumerate(_batches(len(x), steps, batch, context.seed), start=1):
        value = loss(x[rows.to(x.device)])
        optimizer.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        if step % every == 0 or step == steps:
            if not torch.isfinite(value):
                raise ValueError(f"training diverged by step {step}: the loss is {value.item()}. Lower lr")
            context.progress("training steps of the quantizer", step, steps)
    module.eval()


def _batches(count: int, steps: int, batch: int, seed: int) -> Iterator[Tensor]:
    """Row numbers of each step's batch: all rows in a random order, then all again; equal sizes, a rest is left out."""
    size = min(batch, count)
    generator = torch.Generator().manual_seed(seed)  # on the CPU, so that a GPU sees the same batches
    done = 0
    while done < steps:
        order = torch.randperm(count, generator=generator)
        whole = order[: count - count % size].split(size)  # type: ignore[no-untyped-call]
        yield from whole[: steps - done]
        done += len(whole)
