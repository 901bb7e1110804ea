"""A T5 decoder over one tree of prefixes per prompt, with the weights of transformers' modules.

Beams of a prompt share prefixes, and all share the prompt. So cross-attention keys and values are computed once per
prompt, and each prefix once however many beams hold it. The nodes of all prompts lie in one list without padding,
ordered by prompt, so that every matrix product is over real nodes only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import T5ForConditionalGeneration

from semidbench.generator.t5_layers import attend, encode, feed_forward, heads, norm, padding_mask

_ENCODED_TOKENS = 2048  # at a time on a CPU: activations of more leave its cache
_LOGITS = {"cpu": 2**20, "cuda": 2**26}  # at a time in the full-vocabulary normaliser


@dataclass(slots=True)
class TreeState:
    """The decoder's memory for B prompts of T tokens and S nodes so far, H heads of width w.

    Attributes:
        cross: per layer, keys and values (B, H, T, w) of the prompts.
        cross_mask: additive (B, 1, 1, T).
        nodes: per layer, keys and values (S, H, w) of the nodes.
        ancestors: int64 (N, depth), for each node of the last level its ancestors and itself among the S.
    """

    cross: list[tuple[torch.Tensor, torch.Tensor]]
    cross_mask: torch.Tensor
    nodes: list[tuple[torch.Tensor, torch.Tensor]] = field(default_factory=list)
    ancestors: torch.Tensor | None = None


def begin(model: T5ForConditionalGeneration, tokens: torch.Tensor, mask: torch.Tensor) -> TreeState:
    """Run the encoder once over int64 tokens (B, T) with a 0/1 mask (B, T)."""
    cross_mask = padding_mask(mask)
    at_once = max(1, _ENCODED_TOKENS // tokens.shape[1]) if tokens.device.type == "cpu" else len(tokens)
    slices = zip(torch.split(tokens, at_once), torch.split(cross_mask, at_once), strict=True)
    parts = [_cross(model, *part) for part in slices]
    cross = [
        (torch.cat([keys for keys, _ in layer]), torch.cat([values for _, values in layer]))
        for layer in zip(*parts, strict=True)
    ]
    return TreeState(cross, cross_mask)


def step(
    model: T5ForConditionalGeneration,
    state: TreeState,
    tokens: torch.Tensor,
    prompts: torch.Tensor,
    parents: torch.Tensor | None,
) -> torch.Tensor:
    """Add one level of N nodes.

    Args:
        tokens: int64 (N,), each new node's token.
        prompts: int64 (N,), each new node's prompt, ascending.
        parents: int64 (N,), each new node's parent among the nodes of the last level; None at the root.

    Returns:
        The decoder's final hidden states (N, d_model), scaled as the output layer wants them.
    """
    _grow_ancestors(state, tokens, parents)
    hidden = model.decoder.embed_tokens(tokens)
    bias = _depth_bias(model, state)
    padded = _Padded.of(prompts, len(state.cross_mask))
    for number, block in enumerate(model.decoder.block):
        own, cross = block.layer[0].SelfAttention, block.layer[1].EncDecAttention
        hidden = hidden + own.o(_over_ancestors(own, state, number, norm(block.layer[0].layer_norm, hidden), bias))
        queries = heads(cross, padded.spread(cross.q(norm(block.layer[1].layer_norm, hidden))))
        hidden = hidden + cross.o(padded.gathered(attend(queries, *state.cross[number], state.cross_mask)))
        hidden = feed_forward(block.layer[2], hidden)
    scale: float = model.config.d_model**-0.5 if model.config.scale_decoder_outputs else 1.0
    return norm(model.decoder.final_layer_norm, hidden) * scale


def log_probabilities(model: T5ForConditionalGeneration, hidden: torch.Tensor, first: int, count: int) -> torch.Tensor:
    """Log-probabilities, over the whole vocabulary, of tokens first .. first + count - 1.

    Args:
        hidden: (N, d_model).

    Returns:
        float32 (N, count). The full logits exist for a slice of the nodes at a time only.
    """
    parts = []
    for part in torch.split(hidden, max(32, _LOGITS[hidden.device.type] // model.config.vocab_size)):
        with torch.autocast(hidden.device.type, enabled=False):  # bfloat16 would tie scores by the dozen
            logits = model.lm_head(part.float())
        chosen, highest = logits[:, first : first + count].clone(), logits.amax(dim=1, keepdim=True)
        parts.append(chosen - highest - logits.sub_(highest).exp_().sum(dim=1, keepdim=True).log_())
    return torch.cat(parts)


def _cross(
    model: T5ForConditionalGeneration, tokens: torch.Tensor, mask: torch.Tensor
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Per decoder layer, keys and values (B, H, T, w) of the encoded prompts."""
    encoded = encode(model, tokens, mask)
    attentions = [block.layer[1].EncDecAttention for block in model.decoder.block]
    return [(heads(each, each.k(encoded)), heads(each, each.v(encoded))) for each in attentions]


def _grow_ancestors(state: TreeState, tokens: torch.Tensor, parents: torch.Tensor | None) -> None:
    known = len(state.nodes[0][0]) if state.nodes else 0
    own = torch.arange(known, known + len(tokens), device=tokens.device)[:, None]
    if parents is None or state.ancestors is None:
        state.ancestors = own
    else:
        state.ancestors = torch.cat([state.ancestors[parents], own], dim=1)


def _depth_bias(model: T5ForConditionalGeneration, state: TreeState) -> torch.Tensor:
    """T5's relative position bias of a node towards its ancestors and itself: (depth, H)."""
    assert state.ancestors is not None
    attention, depth = model.decoder.block[0].layer[0].SelfAttention, state.ancestors.shape[1]
    buckets = attention._relative_position_bucket(
        torch.arange(depth, device=state.ancestors.device) - (depth - 1),  # memory position - query position
        bidirectional=False,
        num_buckets=attention.relative_attention_num_buckets,
        max_distance=attention.relative_attention_max_distance,
    )
    bias: torch.Tensor = attention.relative_attention_bias(buckets)
    return bias


def _over_ancestors(
    attention: Any, state: TreeState, layer: int, normed: torch.Tensor, bias: torch.Tensor
) -> torch.Tensor:
    """Self-attention of the new nodes, whose keys and values are kept: (N, d_model) to (N, H * w)."""
    assert state.ancestors is not None
    split = (len(normed), int(attention.n_heads), -1)
    keys, values = attention.k(normed).view(split), attention.v(normed).view(split)
    if layer == len(state.nodes):
        state.nodes.append((keys, values))
        alone: torch.Tensor = values.flatten(1)  # the root sees itself only
        return alone
    above_keys, above_values = state.nodes[layer]
    keys, values = torch.cat([above_keys, keys]), torch.cat([above_values, values])
    state.nodes[layer] = (keys, values)
    queries = attention.q(normed).view(split)
    scores = (queries[:, None] * keys[state.ancestors]).sum(-1).float() + bias
    weights = scores.softmax(dim=1).to(values.dtype)
    mixed: torch.Tensor = (weights[..., None] * values[state.ancestors]).sum(1).flatten(1)
    return mixed


@dataclass(frozen=True, slots=True)
class _Padded:
    """Where the nodes of a level stand when each prompt has as many.

    Attributes:
        nodes: int64 (B, U), the node in each place; any node where a prompt has fewer.
        places: int64 (N,), each node's place among the B * U.
    """

    nodes: torch.Tensor
    places: torch.Tensor

    @classmethod
    def of(cls, prompts: torch.Tensor, count: int) -> _Padded:
        """For nodes (N,) of `count` prompts, ascending."""
        counts = torch.bincount(prompts, minlength=count)
        starts = counts.cumsum(0) - counts
        width = int(counts.max())
        numbers = torch.arange(len(prompts), device=prompts.device)
        nodes = (starts[:, None] + torch.arange(width, device=prompts.device)).clamp(max=len(prompts) - 1)
        return cls(nodes, prompts * width + numbers - starts[prompts])

    def spread(self, rows: torch.Tensor) -> torch.Tensor:
        """(N, d) to (B, U, d)."""
        return rows[self.nodes]

    def gathered(self, rows: torch.Tensor) -> torch.Tensor:
        """(B, U, d) to (N, d)."""
        return rows.flatten(0, 1)[self.places]
