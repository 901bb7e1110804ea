"""A batch of prompts without padding, and where their tokens stand when attention lays them out prompt by prompt.

Linear layers work on rows: the prompts' tokens, one after the other. Attention works on places: blocks of prompts of
like length, each prompt as long as its block's longest. A look-up takes rows to their places, and another one back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from semidbench.api import Ints
from semidbench.generator.examples import TokenRows
from semidbench.text.tokenizer import PAD_ID

_STEP = 8  # prompts: blocks begin at multiples


@dataclass(frozen=True, slots=True)
class Grain:
    """How a device wants its batches.

    Attributes:
        rows: their number is filled up to a multiple: few shapes, which libraries prepare for once.
        length: a block's length is filled up to a multiple.
        block: what a block of prompts costs by itself, as so many pairs of tokens.
        few_shapes: whether batches that could do with less have all the same: a mask where all places have a token,
            and one row for each token, and not for each different one.
    """

    rows: int
    length: int
    block: int
    few_shapes: bool


GRAINS = {"cpu": Grain(256, 1, 2**14, False), "cuda": Grain(256, 8, 2**62, True)}


@dataclass(frozen=True, slots=True)
class Block:
    """Prompts of like length: B of T places.

    Attributes:
        mask: additive float32 (B, 1, 1, T), -inf where no token stands; None where all places have one.
    """

    count: int
    length: int
    mask: torch.Tensor | None = None


@dataclass(frozen=True, slots=True)
class PromptBatch:
    """Prompts on a device.

    Attributes:
        distinct: int64 (U,), tokens.
        tokens: int64 (N,), each row's token as its number among the distinct. Rows at the end may be padding.
        blocks: they hold the prompts in order; P places in all, block after block.
        places: int64 (P,), the row at each place; a row of padding where no token stands.
        rows: int64 (N,), the place of each row; P for padding.
    """

    distinct: torch.Tensor
    tokens: torch.Tensor
    blocks: tuple[Block, ...]
    places: torch.Tensor
    rows: torch.Tensor


@dataclass(frozen=True, slots=True)
class TrainingBatch:
    """A process's share of a batch on its device: prompts, labels int64 (B, L), and the loss's weight float32 ()."""

    prompts: PromptBatch
    labels: torch.Tensor
    weight: torch.Tensor

    def tensors(self) -> tuple[torch.Tensor, ...]:
        """All of them; each block has a mask."""
        prompts = self.prompts
        masks = [block.mask for block in prompts.blocks if block.mask is not None]
        rows = (prompts.distinct, prompts.tokens, prompts.places, prompts.rows)
        return (*rows, self.labels, self.weight, *masks)

    @classmethod
    def of(cls, tensors: Sequence[torch.Tensor]) -> TrainingBatch:
        """The batch of these `tensors()`."""
        distinct, tokens, places, rows, labels, weight, *masks = tensors
        blocks = tuple(Block(mask.shape[0], mask.shape[3], mask) for mask in masks)
        return cls(PromptBatch(distinct, tokens, blocks, places, rows), labels, weight)


@dataclass(frozen=True, slots=True)
class Way:
    """From N rows of G pieces each to P places of G pieces each, and back.

    Attributes:
        there: int64 (P * G,), the rows' piece in each piece of the places.
        back: int64 (N * G,), the places' piece in each piece of the rows; P * G for rows that are padding.
    """

    there: torch.Tensor
    back: torch.Tensor


def way(prompts: PromptBatch, parts: int, heads: int) -> Way:
    """For rows (N, parts, heads) that are (parts, B, heads, T) in each block."""
    pieces, device = parts * heads, prompts.places.device
    part = torch.arange(parts, device=device).view(parts, 1, 1, 1)
    head = torch.arange(heads, device=device).view(heads, 1)
    there, numbers, start = [], [], 0
    for block in prompts.blocks:
        size = block.count * block.length
        rows = prompts.places[start : start + size].view(block.count, 1, block.length)
        there.append((rows * pieces + part * heads + head).flatten())
        number = torch.arange(start * pieces, (start + size) * pieces, device=device)
        numbers.append(number.view(parts, block.count, heads, block.length).permute(1, 3, 0, 2).reshape(size, pieces))
        start += size
    numbers.append(torch.full((1, pieces), start * pieces, device=device))
    return Way(torch.cat(there), torch.cat(numbers)[prompts.rows].flatten())


def packed(prompts: TokenRows, numbers: Ints, device: str) -> PromptBatch:
    """Prompts on a device, with at least one row of padding.

    Args:
        numbers: of the prompts, in order of length.
    """
    grain, lengths = GRAINS[device], prompts.lengths_of(numbers)
    real = int(lengths.sum())
    tokens = np.full((real // grain.rows + 1) * grain.rows, PAD_ID, dtype=np.int64)
    blocks, places, stand, start, done = [], [], [], 0, 0
    for cut in blocks_of_like_length(lengths, grain.block):
        values, mask = _filled_up(*prompts.padded(numbers[cut]), grain.length)
        at = np.flatnonzero(mask)
        tokens[done : done + len(at)] = values.ravel()[at]
        rows = np.full(values.size, len(tokens) - 1)
        rows[at] = np.arange(done, done + len(at))
        places.append(rows)
        stand.append(at + start)
        blocks.append(
            Block(
                len(values), values.shape[1], None if mask.all() and not grain.few_shapes else _additive(mask, device)
            )
        )
        start, done = start + values.size, done + len(at)
    stand.append(np.full(len(tokens) - real, start))
    distinct, numbered = (
        (tokens, np.arange(len(tokens))) if grain.few_shapes else np.unique(tokens, return_inverse=True)
    )
    arrays = (distinct, numbered, np.concatenate(places), np.concatenate(stand))
    embedded, own, place, row = (on_device(array, device) for array in arrays)
    return PromptBatch(embedded, own, tuple(blocks), place, row)


def blocks_of_like_length(lengths: Ints, alone: int) -> list[slice]:
    """Where to cut prompts that attention lays out block by block, at the length of each block's longest.

    Args:
        lengths: int64 (prompts,), rising.
        alone: what a block costs beside its pairs of tokens.

    Returns:
        The cuts, at multiples of 8, of least cost.
    """
    ends = [0, *range(_STEP, len(lengths), _STEP), len(lengths)]
    costs, before = [0], [0]  # of the prompts up to each end, and where its last block begins
    for number in range(1, len(ends)):
        pairs = int(lengths[ends[number] - 1]) ** 2
        found = [costs[at] + alone + (ends[number] - ends[at]) * pairs for at in range(number)]
        costs.append(min(found))
        before.append(found.index(costs[-1]))
    blocks, at = [], len(ends) - 1
    while at:
        blocks.append(slice(ends[before[at]], ends[at]))
        at = before[at]
    return blocks[::-1]


def on_device(array: NDArray[Any], device: str) -> torch.Tensor:
    """On CUDA without waiting for the copy: nothing in a step waits for the device."""
    tensor = torch.from_numpy(array)
    return tensor if device == "cpu" else tensor.pin_memory().to(device, non_blocking=True)


def _filled_up(values: Ints, mask: Ints, multiple: int) -> tuple[Ints, Ints]:
    """Tokens and mask (B, T) with T filled up to a multiple."""
    more = ((0, 0), (0, -values.shape[1] % multiple))
    return np.pad(values, more), np.pad(mask, more)


def _additive(mask: Ints, device: str) -> torch.Tensor:
    """As `Block.mask`."""
    return on_device(np.where(mask, 0, -np.inf).astype(np.float32)[:, None, None, :], device)
