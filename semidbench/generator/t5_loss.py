"""A T5's training loss on the weights of transformers' modules, without what is no arithmetic.

Equal to transformers' own forward in loss and gradients, dropout included. These things are done otherwise:

- the encoder's layers work on the prompts' tokens without padding; only attention lays them out prompt by prompt;
- without dropout, the encoder's first queries, keys and values depend on the token alone: equal tokens are one row;
- the decoder's few queries go through cross-attention's key and value matrices, and not the prompt's many tokens;
- a layer norm's weights are multiplied into the matrix behind it;
- gradients of norms, ReLU and attention are written out (`t5_gradients`), and GELU is one operation;
- no caches, masks or biases are made that nothing reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import T5ForConditionalGeneration

from semidbench.generator.examples import IGNORED
from semidbench.generator.packing import Block, PromptBatch, Way, way
from semidbench.generator.t5_gradients import laid_out, relu_, self_attention, unit_norm
from semidbench.generator.t5_layers import activated
from semidbench.machine.products import added_product, product


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
        dropout = self.model.config.dropout_rate if self.model.training else 0.0
        encoded = _encode(self.model, prompts, dropout)
        logits = self.model.lm_head(_decode(self.model, labels, encoded, prompts.blocks, dropout)).float()
        return functional.cross_entropy(logits, labels.flatten(), ignore_index=IGNORED, reduction="sum")


@dataclass(frozen=True, slots=True)
class _Sequences:
    """Where rows stand in attention, and the position bias float32 (1, H, T, T)."""

    blocks: Sequence[Block]
    ways: tuple[Way, Way]
    bias: torch.Tensor

    @classmethod
    def of(cls, prompts: PromptBatch, attention: Any, later: torch.Tensor | None = None) -> _Sequences:
        heads, longest = int(attention.n_heads), max(block.length for block in prompts.blocks)
        bias = attention.compute_bias(longest, longest)  # it depends on differences of places only
        ways = way(prompts, 3, heads), way(prompts, 1, heads)
        return cls(prompts.blocks, ways, bias if later is None else bias + later)


def _encode(model: T5ForConditionalGeneration, prompts: PromptBatch, dropout: float) -> list[torch.Tensor]:
    """Per block, final hidden states (B, T, d)."""
    stack = model.encoder
    embedded = stack.embed_tokens(prompts.distinct)
    hidden = _dropped(functional.embedding(prompts.tokens, embedded), dropout)
    sequences = _Sequences.of(prompts, stack.block[0].layer[0].SelfAttention)
    for number, layers in enumerate(stack.block):
        layer = layers.layer[0]
        if number == 0 and not dropout:
            projected = functional.embedding(prompts.tokens, _projected(layer, embedded))
        else:
            projected = _projected(layer, hidden)
        hidden = _self_attention(layer, hidden, projected, sequences, dropout)
        hidden = _feed_forward(layers.layer[1], hidden, dropout)
    places = laid_out(_final(stack, hidden, dropout), way(prompts, 1, 1))
    parts = torch.split(places, [block.count * block.length for block in prompts.blocks])
    return [part.view(block.count, block.length, -1) for part, block in zip(parts, prompts.blocks, strict=True)]


def _decode(
    model: T5ForConditionalGeneration,
    labels: torch.Tensor,
    encoded: Sequence[torch.Tensor],
    blocks: Sequence[Block],
    dropout: float,
) -> torch.Tensor:
    """Final hidden states (B * L, d) for the output layer."""
    stack, (count, length) = model.decoder, labels.shape
    tokens = model._shift_right(labels).flatten()
    hidden = _dropped(stack.embed_tokens(tokens), dropout)
    later = torch.full((length, length), -torch.inf, device=labels.device).triu(1)
    rows = torch.arange(count * length, device=labels.device)
    own = PromptBatch(tokens, rows, (Block(count, length),), rows, rows)
    sequences = _Sequences.of(own, stack.block[0].layer[0].SelfAttention, later)
    for layers in stack.block:
        hidden = _self_attention(layers.layer[0], hidden, _projected(layers.layer[0], hidden), sequences, dropout)
        hidden = _cross_attention(layers.layer[1], hidden, length, encoded, blocks, dropout)
        hidden = _feed_forward(layers.layer[2], hidden, dropout)
    hidden = _final(stack, hidden, dropout)
    return hidden * model.config.d_model**-0.5 if model.config.scale_decoder_outputs else hidden


def _dropped(values: torch.Tensor, dropout: float) -> torch.Tensor:
    return functional.dropout(values, dropout) if dropout else values


def _added(hidden: torch.Tensor, rows: torch.Tensor, weight: torch.Tensor, dropout: float) -> torch.Tensor:
    """A residual: hidden + dropout(rows @ weight.T)."""
    if not dropout:
        return added_product(hidden, rows, weight)
    return hidden + functional.dropout(product(rows, weight), dropout)


def _normed_product(layer: Any, hidden: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The layer's norm of hidden, times a matrix."""
    return product(unit_norm(hidden, layer.layer_norm.variance_epsilon), weight * layer.layer_norm.weight)


def _final(stack: Any, hidden: torch.Tensor, dropout: float) -> torch.Tensor:
    norm = stack.final_layer_norm
    return _dropped(unit_norm(hidden, norm.variance_epsilon) * norm.weight, dropout)


def _projected(layer: Any, hidden: torch.Tensor) -> torch.Tensor:
    """Queries, keys and values (N, 3 * H * w)."""
    attention = layer.SelfAttention
    return _normed_product(layer, hidden, torch.cat([attention.q.weight, attention.k.weight, attention.v.weight]))


def _self_attention(
    layer: Any, hidden: torch.Tensor, projected: torch.Tensor, sequences: _Sequences, dropout: float
) -> torch.Tensor:
    """Of rows (N, d)."""
    attention = layer.SelfAttention
    mixed = self_attention(projected, sequences.bias, sequences.blocks, sequences.ways, int(attention.n_heads), dropout)
    return _added(hidden, mixed, attention.o.weight, dropout)


def _cross_attention(
    layer: Any,
    hidden: torch.Tensor,
    length: int,
    encoded: Sequence[torch.Tensor],
    blocks: Sequence[Block],
    dropout: float,
) -> torch.Tensor:
    """Of rows (B * L, d) over (B, T, d) of each block.

    A head's scores q (K e) are computed as (q K) e, and its output (w e) V after the tokens are mixed.
    """
    attention = layer.EncDecAttention
    shape = (attention.n_heads, -1, hidden.shape[1])
    into_keys, into_values = attention.k.weight.view(shape), attention.v.weight.view(shape)
    queries = _normed_product(layer, hidden, attention.q.weight).view(-1, length, *into_keys.shape[:2])
    into_queries = torch.einsum("blhw,hwd->bhld", queries, into_keys)
    mixed = []
    parts = torch.split(into_queries, [block.count for block in blocks])
    for part, tokens, block in zip(parts, encoded, blocks, strict=True):
        scores = (part.reshape(len(part), -1, shape[2]) @ tokens.transpose(1, 2)).view(*part.shape[:3], -1)
        weights = _dropped((scores if block.mask is None else scores + block.mask).softmax(-1), dropout)
        mixed.append((weights.flatten(1, 2).to(tokens.dtype) @ tokens).view(part.shape))
    values = torch.einsum("bhld,hwd->blhw", torch.cat(mixed), into_values)
    return _added(hidden, values.reshape(len(hidden), -1), attention.o.weight, dropout)


def _feed_forward(layer: Any, hidden: torch.Tensor, dropout: float) -> torch.Tensor:
    dense = layer.DenseReluDense
    if hasattr(dense, "wi_0"):
        into = torch.cat([dense.wi_0.weight, dense.wi_1.weight])
        gate, wide = _normed_product(layer, hidden, into).chunk(2, dim=-1)
        inner = activated(dense.act, gate) * wide
    else:
        wide = _normed_product(layer, hidden, dense.wi.weight)
        inner = relu_(wide) if isinstance(dense.act, nn.ReLU) else activated(dense.act, wide)
    return _added(hidden, _dropped(inner, dropout), dense.wo.weight, dropout)
