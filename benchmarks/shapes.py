"""What the decoders are timed on: T5s with random weights, a made-up catalogue of IDs, prompts of random tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import T5ForConditionalGeneration

from semidbench.api import Floats, Ints
from semidbench.generator import model as generator
from semidbench.generator.examples import TokenRows
from semidbench.text.tokenizer import END_ID, PAD_ID


@dataclass(frozen=True, slots=True)
class Shape:
    """A T5 and the catalogue it names.

    Attributes:
        text_tokens: rows of the vocabulary before the ID tokens.
        sizes: codes of each level.
        prompts: how many prompts a repetition gives at least (the peer; semidbench and the encoder): some seconds each.
    """

    d_model: int
    d_kv: int
    heads: int
    d_ff: int
    layers: int
    feed_forward: str
    text_tokens: int
    items: int
    sizes: tuple[int, ...]
    prompts: tuple[int, int]

    @property
    def first_tokens(self) -> tuple[int, ...]:
        """The token of code 0 of each level."""
        return tuple((self.text_tokens + np.cumsum([0, *self.sizes[:-1]])).tolist())

    @property
    def vocabulary(self) -> int:
        return self.text_tokens + sum(self.sizes)

    def t5(self, dropout: float) -> dict[str, Any]:
        """What transformers' `T5Config` takes of it."""
        return {
            "d_model": self.d_model,
            "d_kv": self.d_kv,
            "d_ff": self.d_ff,
            "num_layers": self.layers,
            "num_decoder_layers": self.layers,
            "num_heads": self.heads,
            "feed_forward_proj": self.feed_forward,
            "dropout_rate": dropout,
        }


SHAPES = {
    "width-128": Shape(128, 32, 4, 512, 2, "relu", 2_000, 3_650, (64, 64), (64, 1_024)),
    "flan-t5-small": Shape(512, 64, 6, 1_024, 8, "gated-gelu", 32_128, 62_138, (256, 256), (16, 128)),
    "flan-t5-base": Shape(768, 64, 12, 2_048, 12, "gated-gelu", 32_128, 62_138, (256, 256), (8, 32)),
    "tiny": Shape(32, 8, 4, 48, 1, "relu", 50, 100, (16, 16), (4, 8)),
}


def random_t5(shape: Shape, seed: int) -> T5ForConditionalGeneration:
    """An untied T5 in float32 whose logits have a deviation of about 1."""
    return generator.random_t5(shape.t5(dropout=0.0), shape.vocabulary, seed).eval()


def catalogue(shape: Shape, seed: int) -> Ints:
    """One ID per item, drawn uniformly: int64 (items, levels)."""
    return np.random.default_rng(seed).integers(0, shape.sizes, (shape.items, len(shape.sizes)))


def random_prompts(shape: Shape, count: int, length: int, seed: int) -> TokenRows:
    """Text tokens drawn uniformly, with the end token, all of one length."""
    tokens = np.random.default_rng(seed).integers(2, shape.text_tokens, (count, length)).astype(np.int32)
    tokens[:, -1] = END_ID
    return TokenRows(tokens.reshape(-1), np.arange(count + 1, dtype=np.int64) * length)


def first_code_logits(
    model: T5ForConditionalGeneration, shape: Shape, prompts: TokenRows, device: str = "cpu"
) -> Floats:
    """The first level's logits for each prompt, by transformers' own forward pass: float32 (prompts, codes)."""
    model.to(device)
    tokens, mask = (torch.from_numpy(array).to(device) for array in prompts.padded(np.arange(len(prompts))))
    parts = []
    with torch.inference_mode():
        for rows, seen in zip(torch.split(tokens, 32), torch.split(mask, 32), strict=True):
            start = torch.full((len(rows), 1), PAD_ID, device=device)
            logits = model(input_ids=rows, attention_mask=seen, decoder_input_ids=start).logits[:, 0]
            parts.append(logits[:, shape.first_tokens[0] :][:, : shape.sizes[0]])
    codes: Floats = torch.cat(parts).cpu().numpy()
    return codes


def distinct_first(logits: Floats, groups: int, per_group: int, penalty: float) -> Ints:
    """How many different first tokens the beams of each prompt hold: int64 (prompts,)."""
    chosen = np.zeros(logits.shape, dtype=np.float32)
    rows = np.arange(len(logits))[:, None]
    for _ in range(groups):
        best = np.argpartition(penalty * chosen - logits, per_group - 1, axis=1)[:, :per_group]
        chosen[rows, best] += 1
    held: Ints = np.count_nonzero(chosen, axis=1)
    return held


def peak(logits: Floats, target: int, beams: int, groups: int, penalty: float) -> float:
    """The factor on the logits with which no prompt's beams hold more than `target` first tokens, and nearly so many.

    With `target` = `beams`, the largest factor with which no two beams share a first token.

    Raises:
        ValueError: no factor between 0.01 and 100 does.
    """

    def peaked(factor: float) -> bool:
        held = distinct_first(logits * np.float32(factor), groups, beams // groups, penalty)
        return bool(held.max() <= target) if target < beams else bool(held.min() < beams)

    low, high = 0.01, 100.0
    if peaked(low) or not peaked(high):
        raise ValueError(f"no peakedness gives {target} first tokens: take a number from groups to {beams}")
    for _ in range(24):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if peaked(middle) else (middle, high)
    return high if target < beams else low
