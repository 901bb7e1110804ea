"""The inside of a T5 without its bookkeeping, for decoding: the same modules and weights as transformers' own forward.

transformers' layer norm and its GELU are chains of elementwise operations, each a pass over memory; here the norm
takes three passes and GELU one. Equal to transformers' forward to rounding (tests/test_t5_layers.py). No dropout.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional
from transformers import T5ForConditionalGeneration
from transformers.activations import NewGELUActivation


def encode(model: T5ForConditionalGeneration, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The encoder's final hidden states.

    Args:
        tokens: int64 (B, T).
        mask: additive (B, 1, 1, T), from `padding_mask`.

    Returns:
        (B, T, d_model).
    """
    stack = model.encoder
    hidden = stack.embed_tokens(tokens)
    bias = stack.block[0].layer[0].SelfAttention.compute_bias(tokens.shape[1], tokens.shape[1]) + mask
    for block in stack.block:
        layer, attention = block.layer[0], block.layer[0].SelfAttention
        normed = norm(layer.layer_norm, hidden)
        queries, keys, values = (heads(attention, of(normed)) for of in (attention.q, attention.k, attention.v))
        hidden = hidden + attention.o(attend(queries, keys, values, bias))
        hidden = feed_forward(block.layer[1], hidden)
    return norm(stack.final_layer_norm, hidden)


def padding_mask(mask: torch.Tensor) -> torch.Tensor:
    """Additive float32 (B, 1, 1, T) of a 0/1 mask (B, T)."""
    return torch.zeros(mask.shape, device=mask.device).masked_fill(mask == 0, -torch.inf)[:, None, None, :]


def norm(layer: Any, hidden: torch.Tensor) -> torch.Tensor:
    """T5's layer norm: no mean is taken away, no bias. torch has it in one kernel on CUDA only."""
    if hidden.device.type == "cpu":
        normed: torch.Tensor = (hidden * inverse_length(hidden, layer.variance_epsilon)).mul_(layer.weight)
        return normed
    return functional.rms_norm(hidden, layer.weight.shape, layer.weight, layer.variance_epsilon)


def inverse_length(hidden: torch.Tensor, epsilon: float) -> torch.Tensor:
    """1 / sqrt(mean(hidden^2) + epsilon) over the last axis, which is kept."""
    length = torch.linalg.vector_norm(hidden, dim=-1, keepdim=True)
    inverse: torch.Tensor = length.square_().div_(hidden.shape[-1]).add_(epsilon).rsqrt_()
    return inverse


def feed_forward(layer: Any, hidden: torch.Tensor) -> torch.Tensor:
    """A feed-forward block with its norm and residual."""
    dense, normed = layer.DenseReluDense, norm(layer.layer_norm, hidden)
    if hasattr(dense, "wi_0"):
        inner = activated(dense.act, dense.wi_0(normed)) * dense.wi_1(normed)
    else:
        inner = activated(dense.act, dense.wi(normed))
    outcome: torch.Tensor = hidden + dense.wo(inner)
    return outcome


def heads(attention: Any, projected: torch.Tensor) -> torch.Tensor:
    """(B, S, H * w) to (B, H, S, w)."""
    return projected.view(*projected.shape[:2], int(attention.n_heads), -1).transpose(1, 2)


def attend(queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Attention of (B, H, U, w) over (B, H, S, w) as (B, U, H * w). T5 does not scale."""
    mixed = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=bias.to(queries.dtype), scale=1.0)
    return mixed.transpose(1, 2).flatten(2)


def activated(of: Any, values: torch.Tensor) -> torch.Tensor:
    if isinstance(of, NewGELUActivation):
        return functional.gelu(values, approximate="tanh")
    outcome: torch.Tensor = of(values)
    return outcome
