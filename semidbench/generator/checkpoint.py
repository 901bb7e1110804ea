"""Where a training run stands, on disk: one safetensors file, the numbers that are no tensors in its header.

A kill at any moment leaves a file that is whole. No pickle.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from semidbench.errors import UserError
from semidbench.store.files import left_behind, replacing

FORMAT = 1
_HEADER = "semidbench_checkpoint"
_WEIGHT, _MOMENT, _RANDOM, _TOTAL = "weight/", "optimizer/", "random/", "total"


@dataclass(frozen=True)
class Position:
    """How far training has come.

    Attributes:
        step: steps taken within the epoch.
        losses: the mean loss of each finished epoch; their number is the epoch that is under way.
        total: summed loss of the epoch so far, float32 ().
        epoch_random: state of the generator that drew the epoch's batches, from before it drew them.
    """

    step: int
    losses: list[float]
    total: torch.Tensor
    epoch_random: Mapping[str, Any]


@dataclass(frozen=True)
class Moving:
    """All that training changes, beside the position. Saved and restored in place."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    device: str


def save_checkpoint(path: Path, moving: Moving, position: Position) -> None:
    """Write everything that a later `load_checkpoint` needs to go on with the same bits."""
    optimizer = moving.optimizer.state_dict()
    tensors = {_WEIGHT + name: value.detach() for name, value in moving.model.named_parameters()}
    for index, state in optimizer["state"].items():
        tensors |= {f"{_MOMENT}{index}/{name}": value for name, value in state.items()}
    tensors |= {_RANDOM + name: value for name, value in _random_states(moving.device).items()}
    tensors[_TOTAL] = position.total
    record = {
        "format": FORMAT,
        "step": position.step,
        "losses": position.losses,
        "epoch_random": position.epoch_random,
        "param_groups": optimizer["param_groups"],
        "schedule": moving.schedule.state_dict(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    for leftover in left_behind(path):  # of a run that was killed: only one process trains this generator
        leftover.unlink()
    with replacing(path) as unfinished:
        contiguous = {name: value.contiguous() for name, value in tensors.items()}
        save_file(contiguous, unfinished, {_HEADER: json.dumps(record)})
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())  # the old file holds hours of work


def load_checkpoint(path: Path, moving: Moving) -> Position | None:
    """Restore model, optimizer, schedule and torch's generators from the file; None if there is no file.

    Raises:
        UserError: the file is damaged, or of another format or model.
        torch.OutOfMemoryError: the device cannot hold it; the file is as good as before.
    """
    if not path.exists():
        return None
    try:
        on = str(next(moving.model.parameters()).device)  # with its number, where "cuda" alone means the first
        with safe_open(path, "pt", device=on) as file:
            record = json.loads(file.metadata()[_HEADER])
            if record["format"] != FORMAT:
                raise ValueError(f"format {record['format']}, not {FORMAT}")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 it is no dict
        with torch.no_grad():
            for name, weight in moving.model.named_parameters():
                weight.copy_(tensors[_WEIGHT + name])
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith(_MOMENT):
                index, moment = name.removeprefix(_MOMENT).split("/")
                moments.setdefault(int(index), {})[moment] = value
        moving.optimizer.load_state_dict({"state": moments, "param_groups": record["param_groups"]})
        moving.schedule.load_state_dict(record["schedule"])
        _restore_random_states({name: tensors[_RANDOM + name] for name in _random_states(moving.device)}, moving.device)
        return Position(record["step"], record["losses"], tensors[_TOTAL], record["epoch_random"])
    except torch.OutOfMemoryError:  # a RuntimeError, but the file is good
        raise
    except (OSError, SafetensorError, ValueError, TypeError, KeyError, RuntimeError) as error:
        raise UserError(
            f"checkpoint {path} cannot be used: {type(error).__name__}: {error}. Delete it and run again"
        ) from error


def batch_generator(state: Mapping[str, Any]) -> np.random.Generator:
    """A generator in that state, as `rng.bit_generator.state` gave it."""
    rng = np.random.default_rng(0)
    rng.bit_generator.state = dict(state)
    return rng


def _random_states(device: str) -> dict[str, torch.Tensor]:
    states = {"cpu": torch.get_rng_state()}
    return states if device == "cpu" else states | {device: torch.cuda.get_rng_state(device)}


def _restore_random_states(states: Mapping[str, torch.Tensor], device: str) -> None:
    torch.set_rng_state(states["cpu"].cpu())
    if device != "cpu":
        torch.cuda.set_rng_state(states[device].cpu(), device)
