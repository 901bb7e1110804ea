"""Residual lookup-free quantization: a code is the signs of a few linear projections (the paper's Table 3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from vector_quantize_pytorch import ResidualLFQ

from semidbench.api import Context, Floats, Ints, torch_scope
from semidbench_vq.scaling import fit_scaling
from semidbench_vq.training import train


class ResidualLfq:
    """Quantizer: a linear map to log2(size) dimensions; each level takes the signs of what the last one left.

    There is no codebook to learn: the codes of level l are the corners of a cube of half-width 2^-l. The library
    brings the maps in and out of these few dimensions but nothing that trains them. Ours: Adam on the error of the
    reconstruction and the library's own losses, entropy and commitment. The paper gives no settings.
    """

    def __init__(
        self,
        *,
        steps: int = 1000,
        batch: int = 1024,
        lr: float = 0.01,
        entropy: float = 0.3,
        commitment: float = 0.25,
    ) -> None:
        """Set the options.

        Args:
            steps: of Adam; the learning rate falls linearly to 0.
            batch: vectors per step, fewer where there are fewer.
            lr: the first learning rate.
            entropy: weight of the loss that makes codes sure for a vector and evenly used in a batch.
            commitment: weight of the distance between projections and their corners.

        Raises:
            ValueError: an option is out of its range.
        """
        for name, value in (("steps", steps), ("batch", batch), ("lr", lr)):
            if value <= 0:
                raise ValueError(f"{name} must be positive, not {value}")
        for name, value in (("entropy", entropy), ("commitment", commitment)):
            if value < 0:
                raise ValueError(f"{name} must not be negative, not {value}")
        self.steps = steps
        self.batch = batch
        self.lr = lr
        self.entropy = entropy
        self.commitment = commitment
        self.codebook_sizes: tuple[int, ...] = ()

    def fit(self, x: Floats, context: Context) -> None:
        """Train the maps on float32 (N, d), on `context.device`.

        Raises:
            ValueError: the levels differ in size, a size is no power of two, all vectors are equal, or training
                diverges.
        """
        sizes = context.codebook_sizes
        if len(set(sizes)) > 1:
            raise ValueError(f"residual-lfq needs codebooks of one size, not {list(sizes)}: its levels share one map")
        if sizes[0] < 2 or sizes[0] & (sizes[0] - 1):
            raise ValueError(f"residual-lfq needs codebook sizes that are powers of two, not {sizes[0]}")
        self._context = context
        self._scaling = fit_scaling(x, context.device, "residual-lfq")
        with torch_scope(context):
            self._module: nn.Module = ResidualLFQ(
                dim=x.shape[1],
                num_quantizers=len(sizes),
                codebook_size=sizes[0],
                entropy_loss_weight=self.entropy,
                commitment_loss_weight=self.commitment,
            )
            self._module.to(context.device)
            train(self._module, self._loss, self._scaling.forward(x), self.steps, self.batch, self.lr, context)
        self.codebook_sizes = sizes

    def encode(self, x: Floats) -> Ints:
        """Codes int64 (M, L) of float32 (M, d)."""
        with torch_scope(self._context), torch.no_grad():
            indices: Tensor = self._module(self._scaling.forward(x)[None])[1]
        codes: Ints = indices[0].long().cpu().numpy()
        return codes

    def decode(self, codes: Ints) -> Floats:
        """The vectors that codes int64 (M, L) stand for, float32 (M, d)."""
        with torch_scope(self._context), torch.no_grad():
            indices = torch.from_numpy(codes).to(self._scaling.device)[None]
            return self._scaling.back(self._module.get_output_from_indices(indices)[0])  # type: ignore[operator]

    def _loss(self, x: Tensor) -> Tensor:
        """Mean squared error of the reconstruction, and the levels' own losses."""
        rebuilt, _, losses = self._module(x[None])
        value: Tensor = functional.mse_loss(rebuilt[0], x) + losses.sum()
        return value
