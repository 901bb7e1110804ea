"""What one of several processes computes that train a generator together: met, handed the files, training its share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import distributed

from semidbench.generator.examples import Examples, TokenRows
from semidbench.generator.model import load_generator, save_generator
from semidbench.generator.replicas import Accelerated
from semidbench.generator.training import train
from semidbench.tracks import track

UNTRAINED, TRAINED = "untrained", "trained"  # the model before and after, in the folder that the processes share


def save_examples(examples: Examples, folder: Path) -> None:
    """Arrays that all processes map into memory, one copy for all."""
    np.save(folder / "flat.npy", examples.prompts.flat, allow_pickle=False)
    np.save(folder / "offsets.npy", examples.prompts.offsets, allow_pickle=False)
    np.save(folder / "labels.npy", examples.labels, allow_pickle=False)


def mapped_examples(folder: Path) -> Examples:
    """What `save_examples` wrote."""
    flat, offsets, labels = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("flat", "offsets", "labels"))
    return Examples(TokenRows(flat, offsets), labels)


def train_share(request: Mapping[str, Any], rank: int, progress: Callable[[str, int, int], None]) -> list[float]:
    """Train as the `rank`-th of the processes; the first writes the trained model.

    Args:
        request: as `semidbench.generator.data_parallel.launch` puts it together.

    Returns:
        The mean loss of each epoch, the same in all processes.

    Raises:
        UserError: the checkpoint cannot be used.
        torch.OutOfMemoryError: the share of a batch does not fit on the graphics card.
    """
    folder, device = Path(request["folder"]), request["device"]
    accelerator = _together(folder, rank, request["processes"], device)
    model = load_generator(folder / UNTRAINED)
    losses = train(
        model,
        mapped_examples(folder),
        track.Training.model_validate(request["section"]),
        seed=request["seed"],
        device=device,
        progress=progress,
        checkpoint=request["checkpoint"] and Path(request["checkpoint"]),
        checkpoint_seconds=request["checkpoint_seconds"],
        replicas=Accelerated(accelerator),
    )
    if rank == 0:
        save_generator(model.cpu(), folder / TRAINED)
    accelerator.wait_for_everyone()
    accelerator.end_training()
    return losses


def _together(folder: Path, rank: int, count: int, device: str) -> Accelerator:
    """Meet the other processes at a file: no port that another run could take."""
    if device == "cuda":
        torch.cuda.set_device(rank)
    backend = "nccl" if device == "cuda" else "gloo"
    distributed.init_process_group(backend, init_method=(folder / "meeting").as_uri(), rank=rank, world_size=count)
    return Accelerator(cpu=device == "cpu", mixed_precision="no")  # the training loop casts
