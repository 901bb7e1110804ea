"""Memory that is free here, and what a process that runs cells is reckoned to take."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from semidbench.bench import Bench
from semidbench.pretrained import WEIGHTS
from semidbench.track import ScratchGenerator, Track

_MIB = 2**20
_FLOAT = 4  # bytes
_LIBRARIES_MIB = 700  # of a process with torch, transformers and the plugins' libraries loaded
# For beams, and for what methods hold. The peaks in results of demo and ml-small, of CPU runs in one process,
# are up to 1.72 times the sum that it multiplies (ml-small's references). Nothing was measured on CUDA.
_MARGIN = 1.8
_CGROUPS = (  # limit, use and record: version 2, then 1
    ("memory.max", "memory.current", "memory.stat"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
)


def free_mib(meminfo: Path = Path("/proc/meminfo"), cgroup: Path = Path("/sys/fs/cgroup")) -> float | None:
    """Memory that can be taken without swapping, within the container's limit; None where the system does not say."""
    found = [free for files in _CGROUPS if (free := _free_in_cgroup([cgroup / name for name in files])) is not None]
    try:
        found.append(int(meminfo.read_text().split("MemAvailable:")[1].split()[0]) / 1024)
    except (OSError, IndexError, ValueError):
        return min(found, default=None)
    return min(found)


def _free_in_cgroup(files: Sequence[Path]) -> float | None:
    """What a container's limit leaves; None where there is none. File pages that can go count as free."""
    try:
        limit, used, record = (path.read_text() for path in files)
        cached = next(int(line.split()[1]) for line in record.splitlines() if line.startswith("inactive_file "))
        return (int(limit) - int(used) + cached) / _MIB
    except (OSError, ValueError, StopIteration):  # "max" is no number: no limit
        return None


def worker_mib(bench: Bench) -> float:
    """An estimate of a worker's peak in the machine's memory: libraries, text encoder and encodings, training.

    On CUDA activations are the card's. A method that needs more of its own, a dense matrix say, is not known here.
    """
    shape = _shape(bench)
    texts = bench.train.n_items + len(bench.train.queries)
    states = 4 * shape.parameters  # weights, gradients and AdamW's two moments
    activations = _activations(shape, bench.track) if bench.device == "cpu" else 0
    floats = texts * bench.encoder.dimension + states + activations
    encoder = bench.encoder_model
    encoder_bytes = (encoder.folder / WEIGHTS).stat().st_size if encoder else 0
    return _MARGIN * (_LIBRARIES_MIB + (floats * _FLOAT + encoder_bytes) / _MIB)


@dataclass(frozen=True, slots=True)
class _Shape:
    """Of a generator; `layers` are the encoder's."""

    parameters: int
    layers: int
    width: int
    hidden: int
    heads: int


def _shape(bench: Bench) -> _Shape:
    section, model = bench.track.generator, bench.generator_model
    if isinstance(section, ScratchGenerator):
        width, hidden = section.d_model, section.d_ff
        layers = section.encoder_layers + section.decoder_layers
        attentions = layers + section.decoder_layers  # the decoder's layers have two
        matrices = layers * (3 if section.feed_forward == "gated-gelu" else 2)
        weights = 4 * attentions * width**2 + matrices * width * hidden
        tokens = section.tokenizer_vocabulary + sum(bench.track.ids.codebook_sizes)
        return _Shape(weights + 2 * tokens * width, section.encoder_layers, width, hidden, section.heads)
    assert model is not None, section.name
    config = json.loads((model.folder / "config.json").read_text("utf-8"))
    parameters = (model.folder / WEIGHTS).stat().st_size // _FLOAT
    return _Shape(parameters, config["num_layers"], config["d_model"], config["d_ff"], config["num_heads"])


def _activations(shape: _Shape, track: Track) -> int:
    """Numbers that a training step keeps for its backward pass, in a batch of the longest prompts."""
    length = track.prompts.max_tokens
    of_a_token = 16 * shape.width + 3 * shape.hidden + 2 * shape.heads * length
    return shape.layers * track.training.batch * length * of_a_token
