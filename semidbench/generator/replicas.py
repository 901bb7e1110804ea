"""Data-parallel training: the processes that share each batch, as the training loop sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch
from torch import nn

if TYPE_CHECKING:
    from accelerate import Accelerator


class Replicas(Protocol):
    """One of `count` processes that hold the same model and train it on the same batches, each on its share."""

    @property
    def count(self) -> int: ...

    @property
    def rank(self) -> int: ...

    def prepared(self, module: nn.Module) -> nn.Module:
        """The module, with gradients that are the mean over the processes."""

    def summed(self, value: torch.Tensor) -> torch.Tensor:
        """The sum over the processes of a value each."""


class Alone:
    """The only process."""

    count, rank = 1, 0

    def prepared(self, module: nn.Module) -> nn.Module:
        return module

    def summed(self, value: torch.Tensor) -> torch.Tensor:
        return value


class Accelerated:
    """Processes that accelerate has brought together."""

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator
        self.count, self.rank = accelerator.num_processes, accelerator.process_index

    def prepared(self, module: nn.Module) -> nn.Module:
        prepared: nn.Module = self._accelerator.prepare(module)
        return prepared

    def summed(self, value: torch.Tensor) -> torch.Tensor:
        total: torch.Tensor = self._accelerator.reduce(value, reduction="sum")
        return total
