"""A T5 decoder over a tree of prefixes per prompt, with the weights of transformers' modules.

Beams of a prompt share prefixes, and all share the prompt. So a prompt's prefixes are the positions of
one sequence: cross-attention keys and values are computed once per prompt, each prefix once however
many beams hold it, and a position sees its ancestors only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import T5ForConditionalGeneration

_MAX_LOGITS = 2**25  # per slice of the full-vocabulary normaliser: 128 MiB of float32


@dataclass(slots=True)
class TreeState:
    """The decoder's memory for B prompts: S nodes so far, H heads of width w, T prompt tokens.

    Attributes:
        cross: per layer, keys and values (B, H, T, w) of the prompt.
        cross_mask: additive (B, 1, 1, T).
        cache: per layer, keys and values (B, H, S, w) of the nodes.
        paths: int64 (B, U, depth), for each node of the last step its ancestors and itself, as
            positions among the S nodes.
    """

    cross: list[tuple[torch.Tensor, torch.Tensor]]
    cross_mask: torch.Tensor
    cache: list[tuple[torch.Tensor, torch.Tensor]] = field(default_factory=list)
    paths: torch.Tensor | None = None


def begin(model: T5ForConditionalGeneration, tokens: torch.Tensor, mask: torch.Tensor) -> TreeState:
    """Run the encoder once over int64 tokens (B, T) with a 0/1 mask (B, T)."""
    encoded = model.encoder(input_ids=tokens, attention_mask=mask).last_hidden_state
    cross = []
    for block in model.decoder.block:
        attention = block.layer[1].EncDecAttention
        cross.append((_heads(attention, attention.k(encoded)), _heads(attention, attention.v(encoded))))
    hidden = torch.zeros(mask.shape, dtype=encoded.dtype, device=mask.device)
    return TreeState(cross, hidden.masked_fill(mask == 0, -torch.inf)[:, None, None, :])


def step(
    model: T5ForConditionalGeneration, state: TreeState, tokens: torch.Tensor, parents: torch.Tensor | None
) -> torch.Tensor:
    """Add one level of nodes.

    Args:
        tokens: int64 (B, U), each new node's token.
        parents: int64 (B, U), each new node's parent among the nodes of the last step; None at the root.

    Returns:
        The decoder's final hidden states (B, U, d_model), scaled as the output layer wants them.
    """
    paths = _grow_paths(state, tokens, parents)
    hidden = model.decoder.embed_tokens(tokens)
    bias = _ancestor_bias(model, state, paths, hidden.dtype)
    for layer, block in enumerate(model.decoder.block):
        attention, cross = block.layer[0].SelfAttention, block.layer[1].EncDecAttention
        normed = block.layer[0].layer_norm(hidden)
        keys, values = _heads(attention, attention.k(normed)), _heads(attention, attention.v(normed))
        if parents is not None:
            keys, values = (torch.cat(pair, dim=2) for pair in zip(state.cache[layer], (keys, values), strict=True))
            state.cache[layer] = (keys, values)
        else:
            state.cache.append((keys, values))
        hidden = hidden + _attend(attention, normed, keys, values, bias)
        normed = block.layer[1].layer_norm(hidden)
        hidden = hidden + _attend(cross, normed, *state.cross[layer], state.cross_mask)
        hidden = block.layer[2](hidden)
    state.paths = paths
    hidden = model.decoder.final_layer_norm(hidden)
    scale: float = model.config.d_model**-0.5 if model.config.scale_decoder_outputs else 1.0
    scaled: torch.Tensor = hidden * scale
    return scaled


def log_probabilities(model: T5ForConditionalGeneration, hidden: torch.Tensor, first: int, count: int) -> torch.Tensor:
    """Log-probabilities, over the whole vocabulary, of tokens first .. first + count - 1.

    Args:
        hidden: (B, U, d_model).

    Returns:
        float32 (B, U, count). The full logits exist for a slice of the rows at a time only.
    """
    rows = hidden.reshape(-1, hidden.shape[-1])
    parts = []
    for part in torch.split(rows, max(1, _MAX_LOGITS // model.lm_head.weight.shape[0])):
        logits = model.lm_head(part).float()
        parts.append(logits[:, first : first + count] - logits.logsumexp(dim=-1, keepdim=True))
    return torch.cat(parts).view(*hidden.shape[:-1], count)


def _grow_paths(state: TreeState, tokens: torch.Tensor, parents: torch.Tensor | None) -> torch.Tensor:
    batch, width = tokens.shape
    known = state.cache[0][0].shape[2] if state.cache else 0
    own = torch.arange(known, known + width, device=tokens.device).expand(batch, width)[..., None]
    if parents is None or state.paths is None:
        return own
    above = state.paths.gather(1, parents[..., None].expand(-1, -1, state.paths.shape[2]))
    return torch.cat([above, own], dim=2)


def _ancestor_bias(
    model: T5ForConditionalGeneration, state: TreeState, paths: torch.Tensor, dtype: torch.dtype
) -> torch.Tensor:
    """T5's relative position bias on ancestors, -inf elsewhere: (B, H, U, S)."""
    attention = model.decoder.block[0].layer[0].SelfAttention
    batch, width, depth = paths.shape
    known = state.cache[0][0].shape[2] if state.cache else 0
    buckets = attention._relative_position_bucket(
        torch.arange(depth, device=paths.device) - (depth - 1),  # memory position - query position
        bidirectional=False,
        num_buckets=attention.relative_attention_num_buckets,
        max_distance=attention.relative_attention_max_distance,
    )
    by_depth = attention.relative_attention_bias(buckets).T.to(dtype)  # (H, depth)
    heads = by_depth.shape[0]
    bias = torch.full((batch, heads, width, known + width), -torch.inf, dtype=dtype, device=paths.device)
    return bias.scatter(
        3, paths[:, None].expand(-1, heads, -1, -1), by_depth[None, :, None, :].expand(batch, -1, width, -1)
    )


def _heads(attention: Any, projected: torch.Tensor) -> torch.Tensor:
    """(B, S, H * w) to (B, H, S, w)."""
    return projected.view(*projected.shape[:2], int(attention.n_heads), -1).transpose(1, 2)


def _attend(
    attention: Any, hidden: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, bias: torch.Tensor
) -> torch.Tensor:
    queries = _heads(attention, attention.q(hidden))
    mixed = scaled_dot_product_attention(queries, keys, values, attn_mask=bias, scale=1.0)  # T5 does not scale
    output: torch.Tensor = attention.o(mixed.transpose(1, 2).reshape(*hidden.shape[:2], -1))
    return output
