"""How many cells to run at a time: as many as cores, memory or graphics cards allow."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

from semidbench.machine.memory import FLOAT_BYTES, MIB, free_mib
from semidbench.runs.shared.session import Session
from semidbench.text.pretrained import WEIGHTS
from semidbench.tracks.track import ScratchGenerator, Track


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a run has to work with.

    Attributes:
        cores: that this process may use: of its affinity and of its container's quota.
        threads: of a cell.
        free_mib: the machine's memory that is free, None where the system does not say.
        worker_mib: an estimate of what a worker takes of it.
        cards: the visible graphics cards, as CUDA_VISIBLE_DEVICES names them; none on a CPU.
    """

    cores: int
    threads: int
    free_mib: float | None
    worker_mib: float
    cards: tuple[str, ...]


def measure(session: Session) -> Capacity:
    """What this machine has for cells of this session."""
    from joblib import cpu_count

    return Capacity(cpu_count(), session.track.threads, free_mib(), worker_mib(session), visible_cards(session.device))


def count_workers(asked: int | None, unfinished: int, capacity: Capacity) -> tuple[int, str | None]:
    """How many worker processes, at least 1, and what the user should know about that number.

    With None asked for: on a CPU one for every `threads` cores, on CUDA one for each card, as far as memory goes.
    A number that was asked for is taken. Never more than cells that have work left.
    """
    room = len(capacity.cards) or max(1, capacity.cores // capacity.threads)
    if asked is not None:
        count = max(1, min(asked, unfinished))
        return count, f"{count} cells at a time on {_machine(capacity)}: {room} would do" if count > room else None
    room = max(1, min(room, unfinished))
    if not unfinished or capacity.free_mib is None or room * capacity.worker_mib <= capacity.free_mib:
        return room, None
    fitting = int(capacity.free_mib / capacity.worker_mib)
    why = f"{capacity.free_mib:,.0f} MiB of memory are free and a cell is estimated to take {capacity.worker_mib:,.0f}"
    if not fitting:
        return 1, f"cells at a time: 1, for {why}: it may not fit"
    return fitting, f"cells at a time: {fitting}, not {room}, for {why}; --jobs sets another number"


def visible_cards(device: str) -> tuple[str, ...]:
    """The graphics cards that this process may use; none on a CPU."""
    if device != "cuda":
        return ()
    import torch

    numbers = tuple(map(str, range(torch.cuda.device_count())))
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return tuple(card.strip() for card in named.split(","))[: len(numbers)] if named else numbers


def _machine(capacity: Capacity) -> str:
    if capacity.cards:
        return f"{len(capacity.cards)} graphics card{'s' * (len(capacity.cards) > 1)}"
    return f"{capacity.cores} core{'s' * (capacity.cores > 1)} with {capacity.threads} for each"


_LIBRARIES_MIB = 700  # of a process with torch, transformers and the plugins' libraries loaded


# For beams, and for what methods hold. The peaks in results of demo and ml-small, of CPU runs in one process,
# are up to 1.72 times the sum that it multiplies (ml-small's references). Nothing was measured on CUDA.
_MARGIN = 1.8


def worker_mib(session: Session) -> float:
    """An estimate of a worker's peak in the machine's memory: libraries, text encoder and encodings, training.

    On CUDA activations are the card's. A method that needs more of its own, a dense matrix say, is not known here.
    """
    shape = _shape(session)
    texts = session.dataset.train.n_items + len(session.dataset.train.queries)
    states = 4 * shape.parameters  # weights, gradients and AdamW's two moments
    activations = _activations(shape, session.track) if session.device == "cpu" else 0
    floats = texts * session.encoder.dimension + states + activations
    encoder = session.models.get("text_encoder")
    encoder_bytes = (encoder.folder / WEIGHTS).stat().st_size if encoder else 0
    return _MARGIN * (_LIBRARIES_MIB + (floats * FLOAT_BYTES + encoder_bytes) / MIB)


@dataclass(frozen=True, slots=True)
class _Shape:
    """Of a generator; `layers` are the encoder's."""

    parameters: int
    layers: int
    width: int
    hidden: int
    heads: int


def _shape(session: Session) -> _Shape:
    section, model = session.track.generator, session.models.get("generator")
    if isinstance(section, ScratchGenerator):
        width, hidden = section.d_model, section.d_ff
        layers = section.encoder_layers + section.decoder_layers
        attentions = layers + section.decoder_layers  # the decoder's layers have two
        matrices = layers * (3 if section.feed_forward == "gated-gelu" else 2)
        weights = 4 * attentions * width**2 + matrices * width * hidden
        tokens = section.tokenizer_vocabulary + sum(session.track.ids.codebook_sizes)
        return _Shape(weights + 2 * tokens * width, section.encoder_layers, width, hidden, section.heads)
    assert model is not None, section.name
    config = json.loads((model.folder / "config.json").read_text("utf-8"))
    parameters = (model.folder / WEIGHTS).stat().st_size // FLOAT_BYTES
    return _Shape(parameters, config["num_layers"], config["d_model"], config["d_ff"], config["num_heads"])


def _activations(shape: _Shape, track: Track) -> int:
    """Numbers that a training step keeps for its backward pass, in a batch of the longest prompts."""
    length = track.prompts.max_tokens
    of_a_token = 16 * shape.width + 3 * shape.hidden + 2 * shape.heads * length
    return shape.layers * track.training.batch * length * of_a_token
