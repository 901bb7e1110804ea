"""Parts of a T5's training step with their gradients written out: fewer passes over memory than autograd's own chains.

Each equals what autograd derives from the plain operations (tests/generator/test_t5_gradients.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from semidbench.generator.packing import Block, Way
from semidbench.generator.t5_layers import inverse_length

Parts = tuple[torch.Tensor, ...]


def unit_norm(hidden: torch.Tensor, epsilon: float) -> torch.Tensor:
    """hidden / sqrt(mean(hidden^2) + epsilon) over the last axis: T5's layer norm without its weights."""
    normed: torch.Tensor = _UnitNorm.apply(hidden, epsilon)  # type: ignore[no-untyped-call]
    return normed


def relu_(values: torch.Tensor) -> torch.Tensor:
    """ReLU in place, and so is its gradient: both are made by the layers around it and read by nobody else."""
    outcome: torch.Tensor = _Relu.apply(values)  # type: ignore[no-untyped-call]
    return outcome


def laid_out(rows: torch.Tensor, way: Way) -> torch.Tensor:
    """Rows (N, d) at their places (P, d)."""
    places: torch.Tensor = _LaidOut.apply(rows, way)  # type: ignore[no-untyped-call]
    return places


def self_attention(
    projected: torch.Tensor,
    bias: torch.Tensor,
    blocks: Sequence[Block],
    ways: tuple[Way, Way],
    heads: int,
    dropout: float,
) -> torch.Tensor:
    """Attention within each prompt.

    Args:
        projected: (N, 3 * heads * w), queries, keys and values of the rows.
        bias: float32 (1, heads, T, T), T as long as the longest block.
        ways: of the rows' three parts, and of one.
        dropout: share of the attention weights that are dropped.

    Returns:
        (N, heads * w).
    """
    mixed: torch.Tensor = _SelfAttention.apply(projected, bias, blocks, ways, heads, dropout)  # type: ignore[no-untyped-call]
    return mixed


class _UnitNorm(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, hidden: torch.Tensor, epsilon: float) -> torch.Tensor:
        inverse = inverse_length(hidden, epsilon)
        normed = hidden * inverse
        context.save_for_backward(normed, inverse)
        return normed

    @staticmethod
    @once_differentiable
    def backward(context: Any, above: torch.Tensor) -> tuple[torch.Tensor, None]:
        normed, inverse = context.saved_tensors
        pull = (above * normed).mean(-1, keepdim=True).neg_()
        return torch.addcmul(above, normed, pull).mul_(inverse), None


class _Relu(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, values: torch.Tensor) -> torch.Tensor:
        context.mark_dirty(values)
        context.save_for_backward(values.relu_())
        return values

    @staticmethod
    @once_differentiable
    def backward(context: Any, above: torch.Tensor) -> torch.Tensor:
        (values,) = context.saved_tensors
        gradient: torch.Tensor = torch.ops.aten.threshold_backward.grad_input(above, values, 0, grad_input=above)
        return gradient


class _LaidOut(torch.autograd.Function):
    """A look-up whose gradient is the look-up back: nothing is summed up, for a row stands at one place at most."""

    @staticmethod
    def forward(context: Any, rows: torch.Tensor, way: Way) -> torch.Tensor:
        context.way = way
        return rows.index_select(0, way.there)

    @staticmethod
    @once_differentiable
    def backward(context: Any, above: torch.Tensor) -> tuple[torch.Tensor, None]:
        and_nothing = torch.cat([above, above.new_zeros(1, above.shape[1])])
        return and_nothing.index_select(0, context.way.back), None


class _SelfAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        context: Any,
        projected: torch.Tensor,
        bias: torch.Tensor,
        blocks: Sequence[Block],
        ways: tuple[Way, Way],
        heads: int,
        dropout: float,
    ) -> torch.Tensor:
        three, one = ways
        width = projected.shape[1] // (3 * heads)
        pieces = projected.view(-1, width).index_select(0, three.there)
        mixed = _with_nothing(len(pieces) // 3, pieces)
        weights, noises = [], []
        for block, (queries, keys, values), out in _cut(blocks, heads, pieces, mixed):
            scores = torch.bmm(queries, keys.transpose(1, 2)).float().view(block.count, heads, *keys.shape[1:2] * 2)
            scores.add_(bias[:, :, : block.length, : block.length])
            if block.mask is not None:
                scores.add_(block.mask)
            weight = scores.softmax(-1).view(-1, block.length, block.length)
            noise = _noise(weight, dropout)
            torch.bmm(_times(weight, noise).to(values.dtype), values, out=out)
            weights.append(weight)
            noises.append(noise)
        context.save_for_backward(pieces, *weights, *noises)
        context.rest = blocks, ways, heads, bias.shape
        return mixed.index_select(0, one.back).view(len(projected), -1)

    @staticmethod
    @once_differentiable
    def backward(context: Any, above: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        blocks, (three, one), heads, bias_shape = context.rest
        pieces, *saved = context.saved_tensors
        weights, noises = saved[: len(blocks)], saved[len(blocks) :]
        above = above.reshape(-1, pieces.shape[1]).index_select(0, one.there)
        of_pieces = _with_nothing(len(pieces), pieces)
        of_bias = torch.zeros(bias_shape, device=above.device)
        cut = zip(_cut(blocks, heads, pieces, above), _cut(blocks, heads, of_pieces, above), strict=True)
        for weight, noise, ((block, parts, out), (_, of_parts, _)) in zip(weights, noises, cut, strict=True):
            (queries, keys, values), (of_queries, of_keys, of_values) = parts, of_parts
            torch.bmm(_times(weight, noise).to(values.dtype).transpose(1, 2), out, out=of_values)
            of_weight = _times(torch.bmm(out, values.transpose(1, 2)).float(), noise)
            of_scores = torch._softmax_backward_data(of_weight, weight, -1, weight.dtype)
            square = of_scores.view(block.count, heads, block.length, block.length)
            of_bias[:, :, : block.length, : block.length] += square.sum(0)
            torch.bmm(of_scores.to(keys.dtype), keys, out=of_queries)
            torch.bmm(of_scores.to(keys.dtype).transpose(1, 2), queries, out=of_keys)
        of_projected = of_pieces.index_select(0, three.back).view(-1, 3 * heads * pieces.shape[1])
        return of_projected, of_bias, None, None, None, None


def _with_nothing(count: int, like: torch.Tensor) -> torch.Tensor:
    """Room for so many pieces, and one of zeros for rows that have no place."""
    room = like.new_empty(count + 1, like.shape[1])
    room[-1] = 0
    return room


def _cut(
    blocks: Sequence[Block], heads: int, pieces: torch.Tensor, mixed: torch.Tensor
) -> Iterator[tuple[Block, Parts, torch.Tensor]]:
    """Of each block its three parts and its one, (B * heads, T, w) each: views."""
    start, width = 0, pieces.shape[1]
    for block in blocks:
        end = start + heads * block.count * block.length
        three = pieces[3 * start : 3 * end].view(3, -1, block.length, width)
        yield block, three.unbind(), mixed[start:end].view(-1, block.length, width)
        start = end


def _noise(weights: torch.Tensor, dropout: float) -> torch.Tensor | None:
    """What dropout multiplies by: 0, or 1 / (1 - dropout)."""
    return torch.empty_like(weights).bernoulli_(1 - dropout).div_(1 - dropout) if dropout else None


def _times(values: torch.Tensor, noise: torch.Tensor | None) -> torch.Tensor:
    return values if noise is None else values * noise
