"""One quantizer over two views: codebooks that both share, then codebooks of each view's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from semidbench_joint_ids.options import Options
from semidbench_joint_ids.residual import ResidualCodebooks, straight_through


@dataclass(frozen=True, slots=True)
class Shape:
    """How the codes are laid out.

    Attributes:
        one_encoder: one encoder over both views joined, else one for each.
        shared, specific: levels of codes that both IDs begin with, and levels of each ID's own.
        shared_size, specific_size: codes per level.
    """

    one_encoder: bool
    shared: int
    specific: int
    shared_size: int
    specific_size: int


@dataclass(frozen=True, slots=True)
class Encoded:
    """A batch of B items through the model.

    Attributes:
        rebuilt: the two views, (B, d) each, from the decoders.
        shared: codes int64 (B, shared levels).
        specific: codes int64 (B, specific levels) of the first view and of the second.
        loss: mean over the three quantizers of their losses, a scalar.
    """

    rebuilt: tuple[Tensor, Tensor]
    shared: Tensor
    specific: tuple[Tensor, Tensor]
    loss: Tensor


class JointQuantizer(nn.Module):
    """Two views to a latent of two halves; its shared codes, then each half's own codes of what those leave over.

    A view is rebuilt from its half of the shared vectors' sum plus the sum of its own vectors.
    """

    def __init__(self, widths: tuple[int, int], shape: Shape, options: Options) -> None:
        """Make the layers; torch's global generator decides their weights.

        Args:
            widths: dimensions of the two views.
        """
        super().__init__()
        inputs = [sum(widths)] if shape.one_encoder else list(widths)
        latent = 2 * options.dim // len(inputs)
        self.encoders = nn.ModuleList(_mlp([width, *options.hidden, latent]) for width in inputs)
        self.decoders = nn.ModuleList(_mlp([options.dim, *reversed(options.hidden), width]) for width in widths)
        self.shared = ResidualCodebooks(2 * options.dim, shape.shared_size, shape.shared, options)
        self.specific = nn.ModuleList(
            ResidualCodebooks(options.dim, shape.specific_size, shape.specific, options) for _ in range(2)
        )

    def encode(self, views: tuple[Tensor, Tensor]) -> Tensor:
        """Latent (B, 2 * dim) of the views (B, d) each: the first half is the first view's."""
        inputs = [torch.cat(views, dim=1)] if len(self.encoders) == 1 else views
        return torch.cat([encoder(x) for encoder, x in zip(self.encoders, inputs, strict=True)], dim=1)

    def forward(self, views: tuple[Tensor, Tensor]) -> Encoded:
        """Codes and reconstructions of the views (B, d) each."""
        latent = self.encode(views)
        coarse, shared_codes, shared_loss = self.shared(latent)
        fine = [quantizer(half) for quantizer, half in zip(self.specific, (latent - coarse).chunk(2, 1), strict=True)]
        quantized = straight_through(latent, coarse + torch.cat([vectors for vectors, _, _ in fine], dim=1))
        first, second = (decode(half) for decode, half in zip(self.decoders, quantized.chunk(2, 1), strict=True))
        loss = torch.stack([shared_loss, *(loss for _, _, loss in fine)]).mean()
        return Encoded((first, second), shared_codes, (fine[0][1], fine[1][1]), loss)


def total_loss(encoded: Encoded, views: tuple[Tensor, Tensor]) -> Tensor:
    """Both views' mean squared errors plus the quantizers' loss."""
    errors = [functional.mse_loss(rebuilt, view) for rebuilt, view in zip(encoded.rebuilt, views, strict=True)]
    return errors[0] + errors[1] + encoded.loss


def _mlp(widths: Sequence[int]) -> nn.Sequential:
    """Linear layers with ReLU between them."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
