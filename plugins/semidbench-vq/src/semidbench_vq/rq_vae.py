"""RQ-VAE: an autoencoder with residual vector quantization between encoder and decoder (the paper's Table 3)."""

from __future__ import annotations

import re
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from vector_quantize_pytorch import ResidualVQ

from semidbench.api import Context, Floats, Ints, torch_scope
from semidbench_vq.scaling import fit_scaling
from semidbench_vq.training import train


class RqVae:
    """Quantizer: an MLP encodes a vector, ResidualVQ quantizes the encoding, a mirrored MLP decodes it.

    The paper gives no settings. Widths are TIGER's (arXiv 2305.05065), the rest is ours or the library's default.
    Codebooks move by exponential averages of what falls on them, with the library's decay. The gradient reaches the
    encoder as the library's defaults have it: by the rotation trick, and once for each level.
    """

    def __init__(
        self,
        *,
        hidden: str = "512-256-128",
        dim: int = 32,
        steps: int = 1000,
        batch: int = 1024,
        lr: float = 0.001,
        commitment: float = 0.25,
        kmeans_init: bool = True,
        threshold_ema_dead_code: int = 2,
    ) -> None:
        """Set the options.

        Args:
            hidden: widths of the encoder's hidden layers, outermost first, joined by `-`; "" for none.
            dim: width of the encodings that are quantized.
            steps: of Adam; the learning rate falls linearly to 0.
            batch: vectors per step, fewer where there are fewer.
            lr: the first learning rate.
            commitment: weight of the distance between encodings and their codes in the loss, beside the reconstruction
                error.
            kmeans_init: begin with k-means over all encodings, not with the library's random codebooks.
            threshold_ema_dead_code: a code that fewer vectors of a batch fall on, in the exponential average, is
                replaced by a random encoding of the batch; 0: never.

        Raises:
            ValueError: an option is out of its range.
        """
        self.widths = _widths(hidden)
        for name, value in (("dim", dim), ("steps", steps), ("batch", batch), ("lr", lr)):
            if value <= 0:
                raise ValueError(f"{name} must be positive, not {value}")
        for name, value in (("commitment", commitment), ("threshold_ema_dead_code", threshold_ema_dead_code)):
            if value < 0:
                raise ValueError(f"{name} must not be negative, not {value}")
        self.dim = dim
        self.steps = steps
        self.batch = batch
        self.lr = lr
        self.commitment = commitment
        self.kmeans_init = kmeans_init
        self.threshold = threshold_ema_dead_code
        self.codebook_sizes: tuple[int, ...] = ()

    def fit(self, x: Floats, context: Context) -> None:
        """Train on float32 (N, d), on `context.device`.

        Raises:
            ValueError: there are fewer vectors than codes in a level, a batch is too small to separate dead codes from
                rare ones, all vectors are equal, or training diverges.
        """
        sizes = context.codebook_sizes
        self._check(len(x), max(sizes))
        self._context = context
        self._scaling = fit_scaling(x, context.device, "rq-vae")
        scaled = self._scaling.forward(x)
        with torch_scope(context):
            self._module = _Autoencoder([x.shape[1], *self.widths, self.dim], self._residual_vq(sizes))
            self._module.to(context.device)
            if self.kmeans_init:
                self._module.start_codebooks(scaled)
            train(self._module, self._module.loss, scaled, self.steps, self.batch, self.lr, context)
        self.codebook_sizes = sizes

    def encode(self, x: Floats) -> Ints:
        """Codes int64 (M, L) of float32 (M, d)."""
        with torch_scope(self._context), torch.no_grad():
            codes: Ints = self._module.codes(self._scaling.forward(x)).cpu().numpy()
        return codes

    def decode(self, codes: Ints) -> Floats:
        """The vectors that codes int64 (M, L) stand for, float32 (M, d)."""
        with torch_scope(self._context), torch.no_grad():
            return self._scaling.back(self._module.rebuild(torch.from_numpy(codes).to(self._scaling.device)))

    def _check(self, count: int, largest: int) -> None:
        if count < largest:
            raise ValueError(f"rq-vae cannot learn {largest} codes from {count} vectors. Ask for smaller codebooks")
        batch = min(self.batch, count)
        if batch <= self.threshold * largest:
            raise ValueError(
                f"rq-vae: {batch} vectors in a batch are too few for {largest} codes with threshold_ema_dead_code="
                f"{self.threshold}: most codes would be replaced at every step. Set a larger batch, smaller codebooks "
                f"or a lower threshold"
            )

    def _residual_vq(self, sizes: tuple[int, ...]) -> nn.Module:
        module: nn.Module = ResidualVQ(
            dim=self.dim,
            codebook_size=sizes,
            commitment_weight=self.commitment,
            kmeans_init=self.kmeans_init,
            threshold_ema_dead_code=self.threshold,
        )
        return module


class _Autoencoder(nn.Module):
    """Encoder of the given widths, residual VQ, and the encoder's mirror image."""

    def __init__(self, widths: list[int], vq: nn.Module) -> None:
        super().__init__()
        self.encoder, self.vq, self.decoder = _mlp(widths), vq, _mlp(widths[::-1])

    def loss(self, x: Tensor) -> Tensor:
        """Mean squared error of the reconstruction, and the levels' commitment losses."""
        quantized, _, losses = self.vq(self.encoder(x))
        value: Tensor = functional.mse_loss(self.decoder(quantized), x) + losses.sum()
        return value

    def start_codebooks(self, x: Tensor) -> None:
        """k-means over the encodings of all x (N, d): the library would take the first batch."""
        self.eval()  # so that nothing but the start happens
        with torch.no_grad():
            self.vq(self.encoder(x))

    def codes(self, x: Tensor) -> Tensor:
        indices: Tensor = self.vq(self.encoder(x))[1]
        return indices

    def rebuild(self, codes: Tensor) -> Tensor:
        vectors: Tensor = self.decoder(self.vq.get_output_from_indices(codes))  # type: ignore[operator]
        return vectors


def _mlp(widths: list[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inner, outer in pairwise(widths):
        layers += [nn.Linear(inner, outer), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _widths(hidden: str) -> list[int]:
    if not hidden:
        return []
    if not re.fullmatch(r"[0-9]+(-[0-9]+)*", hidden):  # a scheme's options are separated by commas
        raise ValueError(f"hidden must be widths joined by '-', such as 512-256, not {hidden!r}")
    widths = [int(width) for width in hidden.split("-")]
    if min(widths) < 1:
        raise ValueError(f"hidden must be positive widths, not {hidden!r}")
    return widths
