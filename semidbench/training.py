"""Joint training of the generator on search and recommendation examples (paper, section 4)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from transformers import T5ForConditionalGeneration, get_scheduler

from semidbench import track
from semidbench.api import Ints
from semidbench.examples import Examples

_CHUNK = 50  # batches whose rows are sorted by length together: little padding, order still random


def length_bucketed_batches(lengths: Ints, batch: int, rng: np.random.Generator) -> list[Ints]:
    """All rows once, in batches of similar length, in random order.

    Args:
        lengths: int64 (rows,).

    Returns:
        Row numbers, int64 (batch,) each; only one batch is smaller.
    """
    order = rng.permutation(len(lengths))
    batches = []
    for start in range(0, len(order), batch * _CHUNK):
        chunk = order[start : start + batch * _CHUNK]
        chunk = chunk[np.argsort(lengths[chunk], kind="stable")]
        batches += [chunk[at : at + batch] for at in range(0, len(chunk), batch)]
    return [batches[at] for at in rng.permutation(len(batches))]


def train(
    model: T5ForConditionalGeneration,
    examples: Examples,
    section: track.Training,
    *,
    seed: int,
    device: str,
    progress: Callable[[str, int, int], None],
) -> list[float]:
    """Train in place; bf16 autocast on CUDA, float32 elsewhere.

    Returns:
        The mean loss of each epoch, in nats per ID token.
    """
    rng = np.random.default_rng(seed)
    steps = section.epochs * math.ceil(len(examples) / section.batch)
    model.to(device).train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=section.learning_rate, weight_decay=section.weight_decay, fused=True
    )
    schedule = get_scheduler(section.schedule, optimizer, math.ceil(section.warmup * steps), steps)
    losses = []
    with torch.random.fork_rng(devices=[device] if device != "cpu" else []):
        torch.manual_seed(seed)  # dropout draws from torch's global generator
        for epoch in range(section.epochs):
            total = torch.zeros((), device=device)
            batches = length_bucketed_batches(examples.prompts.lengths, section.batch, rng)
            for done, (tokens, mask, labels) in enumerate(_tensors(examples, batches, device)):
                with torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda"):
                    loss = model(input_ids=tokens, attention_mask=mask, labels=labels).loss
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), section.max_grad_norm)
                optimizer.step()
                schedule.step()
                optimizer.zero_grad(set_to_none=True)
                total += loss.detach() * (len(labels) / len(examples))
                progress("train", epoch * len(batches) + done + 1, steps)
            losses.append(total.item())
    model.eval()
    return losses


def _tensors(
    examples: Examples, batches: list[Ints], device: str
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    for rows in batches:
        arrays = (*examples.prompts.padded(rows), examples.labels[rows])
        tokens, mask, labels = (torch.from_numpy(array).to(device, non_blocking=True) for array in arrays)
        yield tokens, mask, labels
