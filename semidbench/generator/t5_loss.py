"""A T5's training loss on the weights of transformers' modules, without what is no arithmetic.

Equal to transformers' own forward in loss and gradients, dropout included. Four things are done otherwise:

- the encoder's layers work on the prompts' tokens without padding; only attention lays them out prompt by prompt;
- the decoder's few queries go through cross-attention's key and value matrices, and not the prompt's many tokens;
- the layer norm's gradient is written out, and GELU is one operation;
- no caches, masks or biases are made that nothing reads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional
from transformers import T5ForConditionalGeneration

from semidbench.generator.examples import IGNORED
from semidbench.generator.t5_layers import activated, inverse_length, norm, padding_mask
from semidbench.machine.onednn import product

Dropout = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Block:
    """Sequences of like length, which attention lays out together: B of T places for N rows.

    Attributes:
        mask: 0/1 (B, T), which places are real; None where all are.
        places: int64 (N,), each row's place among the B * T, rising; None where the rows are all places.
    """

    count: int
    length: int
    mask: torch.Tensor | None = None
    places: torch.Tensor | None = None

    @property
    def rows(self) -> int:
        return self.count * self.length if self.places is None else len(self.places)

    def spread(self, rows: torch.Tensor) -> torch.Tensor:
        """(N, d) to (B, T, d), zero where no row stands."""
        if self.places is not None:
            rows = _Spread.apply(rows, self.places, self.count * self.length)  # type: ignore[no-untyped-call]
        return rows.view(self.count, self.length, -1)

    def gathered(self, rows: torch.Tensor) -> torch.Tensor:
        """(B, T, d) to (N, d)."""
        rows = rows.flatten(0, 1)
        if self.places is None:
            return rows
        gathered: torch.Tensor = _Gathered.apply(rows, self.places)  # type: ignore[no-untyped-call]
        return gathered


@dataclass(frozen=True, slots=True)
class PromptBatch:
    """Prompts on a device, without their padding.

    Attributes:
        tokens: int64 (rows of all blocks), block after block.
        blocks: they hold the prompts in order.
    """

    tokens: torch.Tensor
    blocks: tuple[Block, ...]


class SummedLoss(nn.Module):
    """The loss as a module around the model, which data-parallel training wraps."""

    def __init__(self, model: T5ForConditionalGeneration) -> None:
        super().__init__()
        self.model = model

    def forward(self, prompts: PromptBatch, labels: torch.Tensor) -> torch.Tensor:
        """Cross-entropy over the vocabulary, summed over the labels that are not IGNORED.

        Args:
            labels: int64 (B, L).

        Returns:
            float32 (), nats.
        """
        masks = [None if block.mask is None else padding_mask(block.mask) for block in prompts.blocks]
        encoded = _encode(self.model, prompts, masks)
        logits = self.model.lm_head(_decode(self.model, labels, encoded, masks)).float()
        return functional.cross_entropy(logits, labels.flatten(), ignore_index=IGNORED, reduction="sum")


def _encode(
    model: T5ForConditionalGeneration, prompts: PromptBatch, masks: Sequence[torch.Tensor | None]
) -> list[torch.Tensor]:
    """Per block, final hidden states (B, T, d), zero at padding."""
    stack, dropout, blocks = model.encoder, _dropout(model), prompts.blocks
    hidden = dropout(stack.embed_tokens(prompts.tokens))
    longest = max(block.length for block in blocks)
    position = stack.block[0].layer[0].SelfAttention.compute_bias(longest, longest)  # it depends on differences only
    cut = [position[:, :, : block.length, : block.length] for block in blocks]
    biases = [bias if mask is None else bias + mask for bias, mask in zip(cut, masks, strict=True)]
    for layers in stack.block:
        hidden = hidden + dropout(_self_attention(layers.layer[0], hidden, blocks, biases, dropout))
        hidden = hidden + dropout(_feed_forward(layers.layer[1], hidden, dropout))
    return _laid_out(dropout(_norm(stack.final_layer_norm, hidden)), blocks)


def _decode(
    model: T5ForConditionalGeneration,
    labels: torch.Tensor,
    encoded: Sequence[torch.Tensor],
    masks: Sequence[torch.Tensor | None],
) -> torch.Tensor:
    """Final hidden states (B * L, d) for the output layer."""
    stack, dropout, length = model.decoder, _dropout(model), labels.shape[1]
    hidden = dropout(stack.embed_tokens(model._shift_right(labels).flatten()))
    later = torch.full((length, length), -torch.inf, device=labels.device).triu(1)
    bias = stack.block[0].layer[0].SelfAttention.compute_bias(length, length) + later
    own = [Block(len(labels), length)]
    for layers in stack.block:
        hidden = hidden + dropout(_self_attention(layers.layer[0], hidden, own, [bias], dropout))
        hidden = hidden + dropout(_cross_attention(layers.layer[1], hidden, length, encoded, masks, dropout))
        hidden = hidden + dropout(_feed_forward(layers.layer[2], hidden, dropout))
    hidden = dropout(_norm(stack.final_layer_norm, hidden))
    return hidden * model.config.d_model**-0.5 if model.config.scale_decoder_outputs else hidden


def _laid_out(rows: torch.Tensor, blocks: Sequence[Block]) -> list[torch.Tensor]:
    """Rows (N, d) as (B, T, d) of each block."""
    parts = torch.split(rows, [block.rows for block in blocks])
    return [block.spread(part) for block, part in zip(blocks, parts, strict=True)]


def _dropout(model: T5ForConditionalGeneration) -> Dropout:
    rate = model.config.dropout_rate if model.training else 0.0
    return (lambda values: functional.dropout(values, rate)) if rate else (lambda values: values)


def _self_attention(
    layer: Any, hidden: torch.Tensor, blocks: Sequence[Block], biases: Sequence[torch.Tensor], dropout: Dropout
) -> torch.Tensor:
    """Of rows (N, d), in each sequence of the blocks."""
    attention, normed = layer.SelfAttention, _norm(layer.layer_norm, hidden)
    weights = torch.cat([attention.q.weight, attention.k.weight, attention.v.weight])
    mixed = []
    for block, bias, laid_out in zip(blocks, biases, _laid_out(product(normed, weights), blocks), strict=True):
        split = laid_out.view(block.count, block.length, 3, attention.n_heads, -1)
        queries, keys, values = split.permute(2, 0, 3, 1, 4).unbind()
        shares = dropout((queries @ keys.transpose(2, 3) + bias).softmax(-1))
        mixed.append(block.gathered((shares.to(values.dtype) @ values).transpose(1, 2).flatten(2)))
    output: torch.Tensor = attention.o(torch.cat(mixed))
    return output


def _cross_attention(
    layer: Any,
    hidden: torch.Tensor,
    length: int,
    encoded: Sequence[torch.Tensor],
    masks: Sequence[torch.Tensor | None],
    dropout: Dropout,
) -> torch.Tensor:
    """Of rows (B * L, d) over (B, T, d) of each block.

    A head's scores q (K e) are computed as (q K) e, and its output (w e) V after the tokens are mixed.
    """
    attention, normed = layer.EncDecAttention, _norm(layer.layer_norm, hidden)
    shape = (attention.n_heads, -1, normed.shape[1])
    into_keys, into_values = attention.k.weight.view(shape), attention.v.weight.view(shape)
    queries = attention.q(normed).view(-1, length, *into_keys.shape[:2])
    into_queries = torch.einsum("blhw,hwd->bhld", queries, into_keys)
    mixed = []
    parts = torch.split(into_queries, [len(tokens) for tokens in encoded])
    for part, tokens, mask in zip(parts, encoded, masks, strict=True):
        scores = (part.reshape(len(part), -1, shape[2]) @ tokens.transpose(1, 2)).view(*part.shape[:3], -1)
        weights = dropout((scores if mask is None else scores + mask).softmax(-1))
        mixed.append((weights.flatten(1, 2).to(tokens.dtype) @ tokens).view(part.shape))
    values = torch.einsum("bhld,hwd->blhw", torch.cat(mixed), into_values)
    output: torch.Tensor = attention.o(values.reshape(len(hidden), -1))
    return output


def _feed_forward(layer: Any, hidden: torch.Tensor, dropout: Dropout) -> torch.Tensor:
    dense, normed = layer.DenseReluDense, _norm(layer.layer_norm, hidden)
    if hasattr(dense, "wi_0"):
        inner = activated(dense.act, dense.wi_0(normed)) * dense.wi_1(normed)
    else:
        wide = dense.wi(normed)
        inner = _Relu.apply(wide) if isinstance(dense.act, nn.ReLU) else activated(dense.act, wide)  # type: ignore[no-untyped-call]
    output: torch.Tensor = dense.wo(dropout(inner))
    return output


def _norm(layer: Any, hidden: torch.Tensor) -> torch.Tensor:
    """On CUDA torch has the norm and its gradient in a kernel each; on a CPU they are chains of operations."""
    if hidden.device.type != "cpu":
        return norm(layer, hidden)
    normed: torch.Tensor = _Norm.apply(hidden, layer.weight, layer.variance_epsilon)  # type: ignore[no-untyped-call]
    return normed


class _Relu(torch.autograd.Function):
    """In place, and so is its gradient: both are made by the layers around it and read by nobody else."""

    @staticmethod
    def forward(context: Any, values: torch.Tensor) -> torch.Tensor:
        context.mark_dirty(values)
        context.save_for_backward(values.relu_())
        return values

    @staticmethod
    @once_differentiable
    def backward(context: Any, above: torch.Tensor) -> torch.Tensor:
        (values,) = context.saved_tensors
        return above.masked_fill_(values == 0, 0)


class _Spread(torch.autograd.Function):
    """Rows to their places among zeros. Places differ, so that nothing is summed up in the gradient."""

    @staticmethod
    def forward(context: Any, rows: torch.Tensor, places: torch.Tensor, count: int) -> torch.Tensor:
        context.save_for_backward(places)
        return rows.new_zeros(count, rows.shape[1]).index_copy_(0, places, rows)

    @staticmethod
    @once_differentiable
    def backward(context: Any, above: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return above.index_select(0, *context.saved_tensors), None, None


class _Gathered(torch.autograd.Function):
    """Rows from their places: the way back from `_Spread`."""

    @staticmethod
    def forward(context: Any, rows: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        context.save_for_backward(places)
        context.count = len(rows)
        return rows.index_select(0, places)

    @staticmethod
    @once_differentiable
    def backward(context: Any, above: torch.Tensor) -> tuple[torch.Tensor, None]:
        (places,) = context.saved_tensors
        return above.new_zeros(context.count, above.shape[1]).index_copy_(0, places, above), None


class _Norm(torch.autograd.Function):
    """hidden / sqrt(mean(hidden^2) + epsilon) * weight over the last axis."""

    @staticmethod
    def forward(context: Any, hidden: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
        inverse = inverse_length(hidden, epsilon)
        context.save_for_backward(hidden, weight, inverse)
        normed: torch.Tensor = (hidden * inverse).mul_(weight)
        return normed

    @staticmethod
    @once_differentiable
    def backward(context: Any, above: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        hidden, weight, inverse = context.saved_tensors
        both = above * hidden
        pull = (both @ weight).unsqueeze(-1).mul_(inverse.pow(3)).div_(-hidden.shape[-1])
        of_hidden = (above * weight).mul_(inverse).addcmul_(hidden, pull)
        return of_hidden, inverse.flatten() @ both.flatten(0, -2), None
