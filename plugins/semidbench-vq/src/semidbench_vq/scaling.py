"""Vectors as both quantizers see them: centred, with an average variance of 1 per dimension."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from semidbench.api import Floats


@dataclass(frozen=True)
class Scaling:
    """A shift and one factor for all dimensions: learning rates fit any embedder, and distances keep their ratios."""

    mean: Floats
    scale: float
    device: str

    def forward(self, x: Floats) -> Tensor:
        """Scaled float32 (M, d) on the device, of float32 (M, d)."""
        return torch.from_numpy((x - self.mean) / np.float32(self.scale)).to(self.device)

    def back(self, scaled: Tensor) -> Floats:
        """The vectors float32 (M, d) that scaled ones stand for."""
        vectors: Floats = scaled.detach().cpu().numpy() * np.float32(self.scale) + self.mean
        return vectors


def fit_scaling(x: Floats, device: str, who: str) -> Scaling:
    """The scaling of float32 (N, d).

    Raises:
        ValueError: all vectors are equal.
    """
    mean = x.mean(axis=0)
    scale = float(np.sqrt(np.mean(np.square(x - mean))))
    if not scale:
        raise ValueError(f"{who} has nothing to learn: all vectors are equal. Use another embedder")
    return Scaling(mean, scale, device)
