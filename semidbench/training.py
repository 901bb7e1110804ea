"""Joint training of the generator on search and recommendation examples (paper, section 4)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from transformers import T5ForConditionalGeneration, get_scheduler

from semidbench import track
from semidbench.api import Ints
from semidbench.checkpoint import Moving, Position, batch_generator, load_checkpoint, save_checkpoint
from semidbench.examples import Examples

CHECKPOINT_SECONDS = 300.0  # a killed run loses as much at most
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
    checkpoint: Path | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> list[float]:
    """Train in place; bf16 autocast on CUDA, float32 elsewhere.

    Args:
        checkpoint: a file that a killed run leaves and that this one goes on from, if it is there; on a CPU
            with the same bits as a run that was never killed. None keeps nothing. The caller deletes it.
        checkpoint_seconds: how often it is written.

    Returns:
        The mean loss of each epoch, in nats per ID token.

    Raises:
        UserError: the checkpoint cannot be used.
    """
    per_epoch = math.ceil(len(examples) / section.batch)
    model.to(device).train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=section.learning_rate, weight_decay=section.weight_decay, fused=True
    )
    steps = section.epochs * per_epoch
    schedule = get_scheduler(section.schedule, optimizer, math.ceil(section.warmup * steps), steps)
    moving = Moving(model, optimizer, schedule, device)
    with torch.random.fork_rng(devices=[device] if device != "cpu" else []):
        torch.manual_seed(seed)  # dropout draws from torch's global generator
        position = load_checkpoint(checkpoint, moving) if checkpoint else None
        position = position or _beginning(device, np.random.default_rng(seed))
        written = time.monotonic()
        while len(position.losses) < section.epochs:
            rng = batch_generator(position.epoch_random)
            batches = length_bucketed_batches(examples.prompts.lengths, section.batch, rng)
            for tokens, mask, labels in _tensors(examples, batches[position.step :], device):
                loss = _step(moving, tokens, mask, labels, section.max_grad_norm)
                total = position.total + loss * (len(labels) / len(examples))
                position = replace(position, step=position.step + 1, total=total)
                if checkpoint and time.monotonic() - written >= checkpoint_seconds:
                    save_checkpoint(checkpoint, moving, position)
                    written = time.monotonic()
                progress("train", len(position.losses) * per_epoch + position.step, steps)
            position = _beginning(device, rng, [*position.losses, position.total.item()])
    model.eval()
    return position.losses


def _beginning(device: str, rng: np.random.Generator, losses: Sequence[float] = ()) -> Position:
    """Before the first step of an epoch."""
    return Position(0, list(losses), torch.zeros((), device=device), rng.bit_generator.state)


def _step(
    moving: Moving, tokens: torch.Tensor, mask: torch.Tensor, labels: torch.Tensor, max_grad_norm: float
) -> torch.Tensor:
    """One step of AdamW; the batch's mean loss, float32 ()."""
    with torch.autocast(moving.device, dtype=torch.bfloat16, enabled=moving.device == "cuda"):
        loss: torch.Tensor = moving.model(input_ids=tokens, attention_mask=mask, labels=labels).loss
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(moving.model.parameters(), max_grad_norm)
    moving.optimizer.step()
    moving.schedule.step()
    moving.optimizer.zero_grad(set_to_none=True)
    return loss.detach()


def _tensors(
    examples: Examples, batches: list[Ints], device: str
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    for rows in batches:
        arrays = (*examples.prompts.padded(rows), examples.labels[rows])
        tokens, mask, labels = (torch.from_numpy(array).to(device, non_blocking=True) for array in arrays)
        yield tokens, mask, labels
