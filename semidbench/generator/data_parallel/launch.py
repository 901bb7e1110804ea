"""Training in several processes, one for each graphics card, that share every batch.

The processes are programs of their own (`worker` beside this module), which import torch and no plugin. Model
and examples reach them as files; the first one's progress, losses and weights come back.
"""

from __future__ import annotations

import gc
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import T5ForConditionalGeneration

from semidbench.errors import UserError
from semidbench.generator.data_parallel.share import TRAINED, UNTRAINED, save_examples
from semidbench.generator.examples import Examples
from semidbench.generator.model import load_generator, save_generator
from semidbench.generator.training import CHECKPOINT_SECONDS
from semidbench.machine import processes
from semidbench.machine.processes import MessageQueue, Program

if TYPE_CHECKING:
    from semidbench.tracks import track

_WORKER = "semidbench.generator.data_parallel.worker"
_AT_ONCE = 1.0  # seconds within which processes that broke off together end
_KEPT = "The same command goes on from its last checkpoint"


def train_together(
    model: T5ForConditionalGeneration,
    examples: Examples,
    section: track.Training,
    *,
    processes: int,
    seed: int,
    device: str,
    progress: Callable[[str, int, int], None],
    checkpoint: Path | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> list[float]:
    """As `semidbench.generator.training.train`, in that many processes; on CUDA each on a card of its own.

    Raises:
        UserError: the checkpoint cannot be used, a card's memory ran out, or a process was ended from outside; the
            checkpoint is kept.
        RuntimeError: a process broke off.
    """
    if device == "cuda":  # what is done with stays on the first card otherwise
        gc.collect()
        torch.cuda.empty_cache()
    with tempfile.TemporaryDirectory(prefix="semidbench-") as name:
        folder = Path(name)
        save_generator(model, folder / UNTRAINED)
        save_examples(examples, folder)
        request = {
            "folder": name,
            "processes": processes,
            "threads": torch.get_num_threads(),
            "section": section.model_dump(mode="json"),
            "seed": seed,
            "device": device,
            "checkpoint": None if checkpoint is None else str(checkpoint.absolute()),
            "checkpoint_seconds": checkpoint_seconds,
        }
        losses = _run(request, processes, progress)
        model.load_state_dict(load_generator(folder / TRAINED).state_dict())
    model.to(device).eval()
    return losses


def _run(request: dict[str, Any], count: int, progress: Callable[[str, int, int], None]) -> list[float]:
    """Start the processes, pass the first one's progress on, and return its losses."""
    messages, losses, running = MessageQueue(), list[float](), set(range(count))
    environments = [processes.environment(request["threads"], _ranks(rank, count)) for rank in range(count)]
    with processes.started(_WORKER, environments, messages, grace=0) as programs:
        for program in programs:
            processes.send(program, request)
        while running:
            rank, message = processes.next_message(messages)
            match message:
                case ["progress", what, done, total]:
                    progress(what, done, total)
                case ["trained", found]:
                    losses = found
                case ["ended"]:
                    running.discard(rank)
                    if programs[rank].process.returncode:
                        raise UserError(_why_ended(programs[rank], count))
                case ["broken", _]:
                    _raise_if_killed(programs, count)  # the others break off, too
            processes.raise_reported(message, _where(rank, count))
        return losses


def _raise_if_killed(programs: Sequence[Program], count: int) -> None:
    for program in programs:
        with suppress(subprocess.TimeoutExpired):
            if program.process.wait(_AT_ONCE) < 0:
                raise UserError(_why_ended(program, count))


def _why_ended(program: Program, count: int) -> str:
    return f"{_where(program.place, count)} {processes.how_ended(program)}. {_KEPT}"


def _where(rank: int, count: int) -> str:
    return f"process {rank} of {count} in training"


def _ranks(rank: int, count: int) -> dict[str, str]:
    """What accelerate reads."""
    ranks = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
    return {name: str(number) for name, number in ranks.items()}
