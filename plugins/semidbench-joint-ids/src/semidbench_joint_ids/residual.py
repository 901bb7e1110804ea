"""Residual vector quantization with one straight-through step over all levels."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from vector_quantize_pytorch import VectorQuantize

from semidbench_joint_ids.options import Options


class ResidualCodebooks(nn.Module):
    """Levels of vector-quantize-pytorch's `VectorQuantize`, each on what the one before left over.

    The library's own `ResidualVQ` passes the decoder's gradient to the encoder once for each level, and so as many
    times as there are levels. Here it is passed once: see `straight_through`.
    """

    def __init__(self, width: int, size: int, levels: int, options: Options) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            VectorQuantize(
                dim=width,
                codebook_size=size,
                commitment_weight=options.commitment,
                kmeans_init=options.kmeans_init,
                threshold_ema_dead_code=options.threshold_ema_dead_code,
                rotation_trick=False,
                route_gradients_to_input=False,
            )
            for _ in range(levels)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Quantize float (B, width): the chosen vectors' sum, without gradient; codes int64 (B, levels); the mean loss.

        In training mode it also moves the codebooks, by exponential moving averages.
        """
        left, codes, losses = x, [], []
        for level in self.levels:
            chosen, indices, loss = level(left)
            left = left - chosen.detach()
            codes.append(indices)
            losses.append(loss.sum())  # the library gives a scalar or one entry
        return (x - left).detach(), torch.stack(codes, dim=1), torch.stack(losses).mean()


def straight_through(x: Tensor, quantized: Tensor) -> Tensor:
    """`quantized` forwards, the gradient of x backwards."""
    return x + (quantized - x).detach()
