"""Joint training of the generator on search and recommendation examples (paper, section 4)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from transformers import T5ForConditionalGeneration, get_scheduler

from semidbench.api import Ints
from semidbench.generator.checkpoint import Moving, Position, batch_generator, load_checkpoint, save_checkpoint
from semidbench.generator.examples import IGNORED, Examples
from semidbench.generator.packing import TrainingBatch, on_device, packed
from semidbench.generator.recorded import Recorded, recorder
from semidbench.generator.replicas import Alone, Replicas
from semidbench.generator.t5_loss import SummedLoss

if TYPE_CHECKING:
    from semidbench.tracks import track

CHECKPOINT_SECONDS = 300.0  # a killed run loses as much at most
ALONE = Alone()


def random_batches(count: int, batch: int, rng: np.random.Generator) -> list[Ints]:
    """All rows once, shuffled, in batches: row numbers, int64 (batch,) each; the last may be smaller."""
    order = rng.permutation(count)
    return [order[start : start + batch] for start in range(0, count, batch)]


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
    replicas: Replicas = ALONE,
) -> list[float]:
    """Train in place; bf16 autocast on CUDA, float32 elsewhere.

    Args:
        checkpoint: a file that a killed run leaves and that this one goes on from, if it is there; alone on a CPU
            with the same bits as a run that was never killed. None keeps nothing. The caller deletes it.
        checkpoint_seconds: how often it is written.
        replicas: the processes that each batch is split over. All call this with equal arguments and end with equal
            weights. Without dropout, losses and gradients are those of one process to rounding; with it, each process
            draws its own, and draws other values after a checkpoint. The first writes the checkpoint.

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
        if replicas.rank > 0:  # each draws a dropout of its own; a checkpoint holds the first's
            torch.manual_seed(_own_seed(seed, replicas.rank, len(position.losses) * per_epoch + position.step))
        gradients = _gradients(moving, replicas.prepared(SummedLoss(model)), replicas)
        written = time.monotonic()
        while len(position.losses) < section.epochs:
            rng = batch_generator(position.epoch_random)
            for rows in random_batches(len(examples), section.batch, rng)[position.step :]:
                loss = _step(moving, gradients(_share(examples, rows, replicas, device)), section.max_grad_norm)
                total = position.total + replicas.summed(loss) * (len(rows) / len(examples) / replicas.count)
                position = replace(position, step=position.step + 1, total=total)
                if checkpoint and replicas.rank == 0 and time.monotonic() - written >= checkpoint_seconds:
                    save_checkpoint(checkpoint, moving, position)
                    written = time.monotonic()
                progress("train", len(position.losses) * per_epoch + position.step, steps)
            position = _beginning(device, rng, [*position.losses, position.total.item()])
    optimizer.zero_grad(set_to_none=True)
    model.eval()
    return position.losses


def _beginning(device: str, rng: np.random.Generator, losses: Sequence[float] = ()) -> Position:
    """Before the first step of an epoch."""
    return Position(0, list(losses), torch.zeros((), device=device), rng.bit_generator.state)


def _own_seed(seed: int, rank: int, step: int) -> int:
    return int(np.random.SeedSequence((seed, rank, step)).generate_state(1, np.uint64)[0])


def _share(examples: Examples, rows: Ints, replicas: Replicas, device: str) -> TrainingBatch:
    """Weighed so that the mean over the processes is the whole batch's mean over its label tokens.

    A process without rows, at the end of an epoch, takes one whose labels do not count.
    """
    counted = int(np.count_nonzero(examples.labels[rows] != IGNORED))
    rows = rows[np.argsort(examples.prompts.lengths_of(rows), kind="stable")]
    own = rows[replicas.rank :: replicas.count]  # in order of length: shares are equally long
    labels = examples.labels[own] if len(own) else np.full_like(examples.labels[rows[:1]], IGNORED)
    prompts = packed(examples.prompts, own if len(own) else rows[:1], device)
    weight = np.array(replicas.count / counted, dtype=np.float32)
    return TrainingBatch(prompts, on_device(labels, device), on_device(weight, device))


def _gradients(moving: Moving, loss_of: nn.Module, replicas: Replicas) -> Callable[[TrainingBatch], torch.Tensor]:
    """From a batch to its weighed loss, float32 (), with the gradients left in the parameters."""

    def plain(batch: TrainingBatch) -> torch.Tensor:
        with torch.autocast(moving.device, dtype=torch.bfloat16, enabled=moving.device == "cuda"):
            loss: torch.Tensor = loss_of(batch.prompts, batch.labels) * batch.weight
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def anew(batch: TrainingBatch) -> torch.Tensor:
        moving.optimizer.zero_grad(set_to_none=True)
        return plain(batch)

    record = recorder(moving.device)
    if record is None or replicas.count > 1:  # gradients of several processes meet outside a recording
        return anew
    for weight in moving.model.parameters():
        weight.grad = torch.zeros_like(weight)  # where every recording leaves its gradients

    def in_place(*tensors: torch.Tensor) -> tuple[torch.Tensor]:
        moving.optimizer.zero_grad(set_to_none=False)
        return (plain(TrainingBatch.of(tensors)),)

    recorded = Recorded(in_place, record)
    return lambda batch: recorded(*batch.tensors())[0]


def _step(moving: Moving, loss: torch.Tensor, max_grad_norm: float) -> torch.Tensor:
    """One step of AdamW along the gradients of a loss, which is returned."""
    parameters = [weight for group in moving.optimizer.param_groups for weight in group["params"]]
    torch.nn.utils.clip_grad_norm_(parameters, max_grad_norm)
    moving.optimizer.step()
    moving.schedule.step()
    return loss
