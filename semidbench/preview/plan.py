"""What a track's run will cost: cells, tokens, disk, and hours projected from a short measurement here."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from semidbench.machine.device import held_threads, pick_device
from semidbench.machine.memory import FLOAT_BYTES, peak_mib, reset_peak
from semidbench.methods.scheme import parse_scheme
from semidbench.preview.workload import (
    Workload,
    counted_workload,
    encoder_tunings,
    expected_generator,
    expected_workload,
    open_for_counting,
    steps,
)
from semidbench.runs.reporter import Reporter, Silent
from semidbench.runs.shared.session import Session
from semidbench.store.stages import default_store
from semidbench.text.tokenizer import load_text_tokens
from semidbench.tracks.files import load_track
from semidbench.tracks.track import Track

if TYPE_CHECKING:
    from transformers import T5ForConditionalGeneration

FORMAT = 1
PROBE_SECONDS = 25.0  # for training, and as much for decoding; small models need less
_PROBED_PROMPTS = 2048  # at most
_BEAM = 8  # bytes of an ID row and its score


@dataclass(frozen=True, slots=True)
class Disk:
    """Bytes in the cache. `beams` is before compression.

    `checkpoint` is what one takes while a generator trains: it is written beside the one before.
    """

    encodings: int
    embeddings: int
    generators: int
    beams: int
    checkpoint: int


@dataclass(frozen=True, slots=True)
class Probe:
    """What was measured, and what it comes to.

    Attributes:
        training_rows: the sizes of the batches that were timed; the largest may be smaller than the track's.
        step_seconds: of a training step at the track's batch, measured or on a line through the two largest sizes.
        decoded_rows: the numbers of prompts that were timed.
        prompt_seconds: of a test prompt.
        peak_mib: on CUDA torch's peak, else the process's resident peak; at the largest size that was timed.
    """

    device: str
    threads: int
    training_rows: tuple[int, ...]
    step_seconds: float
    decoded_rows: tuple[int, ...]
    prompt_seconds: float
    peak_mib: float


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """A run in numbers. Hours are of the generator: training and decoding, not embedders, quantizers or rankers.

    They are one process's, on one graphics card if there is one: `hours` is the sum over the cells, which `--jobs`
    divides among cores or cards.

    `tunings` are the fine-tunings of the text encoder, of all seeds; each goes through the training queries as often
    as the method has epochs. Rows whose methods are not installed are not in it.
    """

    track: str
    version: int
    rows: int
    references: int
    seeds: int
    tunings: int
    work: Workload
    parameters: int
    steps: int
    disk: Disk
    probe: Probe
    training_hours_a_cell: float
    decoding_hours_a_cell: float
    hours: float


def plan(
    track: str,
    *,
    data: Path | None = None,
    cache: Path | None = None,
    device: str = "auto",
    reporter: Reporter | None = None,
) -> CostEstimate:
    """Count a track's work and project its time, without training anything.

    Args:
        data: folder with the track's data. None: tracks with built-in data are counted, others are estimated
            from the sizes that the track expects.
        cache: where the prepared data is kept; None means `default_store()`.
        device: "cpu", "cuda", or "auto" for CUDA where there is some.

    Raises:
        UserError: the data or a model is missing or wrong, the track expects no sizes, or a row names a method or an
            option that does not exist.
    """
    reporter, chosen, on = reporter or Silent(), load_track(track), pick_device(device)
    tunings = encoder_tunings(chosen, reporter) * chosen.plan.seeds
    with held_threads(chosen.threads):
        session = open_for_counting(chosen, data, cache or default_store(), on, reporter)
        work = counted_workload(session) if session else expected_workload(chosen)
        model = _generator(chosen, session)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        probe = _probe(model, chosen, work, on, reporter)
    cells = len(chosen.plan.rows) * chosen.plan.seeds
    training, decoding = steps(work, chosen) * probe.step_seconds, work.prompts * probe.prompt_seconds
    return CostEstimate(
        track=chosen.name,
        version=chosen.version,
        rows=len(chosen.plan.rows),
        references=len(chosen.plan.references),
        seeds=chosen.plan.seeds,
        tunings=tunings,
        work=work,
        parameters=parameters,
        steps=steps(work, chosen),
        disk=_disk(chosen, work, parameters),
        probe=probe,
        training_hours_a_cell=training / 3600,
        decoding_hours_a_cell=decoding / 3600,
        hours=cells * (training + decoding) / 3600,
    )


def to_json(made: CostEstimate) -> str:
    """The plan as JSON, with the version of this format."""
    return json.dumps({"semidbench_plan": FORMAT, **asdict(made)}, indent=1) + "\n"


def _generator(track: Track, session: Session | None) -> T5ForConditionalGeneration:
    """The generator before its training, ID tokens and all."""
    from semidbench.generator.model import add_tokens, load_generator, new_generator

    if session and (pretrained := session.models.get("generator")):
        model = load_generator(pretrained.folder)
    else:
        section = expected_generator(track)
        text_tokens = load_text_tokens(session.tokenizer.folder).size if session else section.tokenizer_vocabulary
        model = new_generator(section, text_tokens, seed=0)
    add_tokens(model, sum(track.ids.codebook_sizes), seed=0)
    return model


def _probe(model: T5ForConditionalGeneration, track: Track, work: Workload, device: str, reporter: Reporter) -> Probe:
    import torch

    from semidbench.preview.probe import time_decoding, time_training

    sizes = track.ids.codebook_sizes
    first = model.config.vocab_size - sum(sizes)
    reset_peak()
    reporter.stage("time training")
    training = time_training(
        model,
        track.training,
        math.ceil(work.example_tokens / work.examples),
        len(sizes),
        device,
        PROBE_SECONDS,
    )
    reporter.stage("time decoding")
    decoding = time_decoding(
        model,
        np.random.default_rng(0).integers(0, sizes, (work.items, len(sizes))),
        tuple(first + int(start) for start in np.cumsum([0, *sizes[:-1]])),
        sizes,
        track.decoding,
        math.ceil(work.prompt_tokens / work.prompts),
        device,
        PROBE_SECONDS,
        min(work.prompts, _PROBED_PROMPTS),
    )
    return Probe(
        device=device if device == "cpu" else torch.cuda.get_device_name(),
        threads=track.threads,
        training_rows=training.rows,
        step_seconds=training.of(track.training.batch),
        decoded_rows=decoding.rows,
        prompt_seconds=decoding.of(work.prompts) / work.prompts,
        peak_mib=round(peak_mib() if device == "cpu" else torch.cuda.max_memory_allocated() / 2**20, 1),
    )


def _disk(track: Track, work: Workload, parameters: int) -> Disk:
    """Views are taken to be as wide as the text encodings."""
    embedders = {method.name for row in track.plan.rows for method in parse_scheme(row).embedders}
    cells = len(track.plan.rows) * track.plan.seeds
    table = work.items * work.encoder_dimension * FLOAT_BYTES
    return Disk(
        encodings=table,
        embeddings=len(embedders) * track.plan.seeds * table,
        generators=cells * parameters * FLOAT_BYTES,
        beams=cells * work.prompts * track.decoding.beams * _BEAM,
        checkpoint=2 * 3 * parameters * FLOAT_BYTES,  # weights and two moments, the new beside the old
    )
