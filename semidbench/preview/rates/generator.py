"""The rates of a generator and of the text encoder: measured by as many processes at a time as the run will have.

Two processes on two cores are slower than one alone. So what counts is their mean while all of them work.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from semidbench.errors import UserError
from semidbench.machine import processes
from semidbench.machine.channels import GRACE
from semidbench.machine.processes import MessageQueue
from semidbench.preview.rates.kept import KeptRates
from semidbench.preview.rates.timing import Timing
from semidbench.preview.workload import Workload
from semidbench.runs.reporter import Reporter
from semidbench.runs.shared.session import Session
from semidbench.runs.workers.scheduler import worker_environments
from semidbench.store.fingerprint import core_code
from semidbench.tracks.track import Track

_WORKER = "semidbench.preview.rates.worker"
_NAME = "generator-rates"
_TIMINGS = ("training", "decoding")
_TIMED_CODE = ("generator.training", "generator.beam_search", "generator.model", "preview.rates.timing")


@dataclass(frozen=True, slots=True)
class GeneratorRates:
    """What one of the processes takes, while all of them work.

    Attributes:
        opening_seconds: from its start until it has opened the track's data.
        ready_seconds: from there until its first training step is done: imports, data, model.
        text_seconds: by list, to encode what the store did not have when this was measured.
        training: of a step, by rows.
        decoding: by prompts.
        parameters: of the generator.
        peak_mib: on CUDA torch's peak, else the process's resident peak; at the largest size that was timed.
    """

    opening_seconds: float
    ready_seconds: float
    text_seconds: dict[str, float]
    training: Timing
    decoding: Timing
    parameters: int
    peak_mib: float


@dataclass(frozen=True, slots=True)
class Probing:
    """What processes of a probe are started with.

    Attributes:
        session: None where the track's data is not at hand; then `workload` is what the track expects.
        seconds: for training, and as many for decoding.
        text_seconds: for each list of texts.
    """

    track: Track
    session: Session | None
    data: Path | None
    store: Path
    device: str
    cards: Sequence[str]
    workload: Workload
    seconds: float
    text_seconds: float


def generator_rates(probing: Probing, kept: KeptRates, reporter: Reporter) -> GeneratorRates:
    """Measured now, or kept from before."""
    track, session = probing.track, probing.session
    work = {
        "data": _data_key(session) if session else _sizes(probing.workload),
        "generator": track.generator.model_dump(mode="json"),
        "ids": track.ids.model_dump(mode="json"),
        "prompts": track.prompts.model_dump(mode="json"),
        "training": track.training.model_dump(mode="json"),
        "decoding": track.decoding.model_dump(mode="json"),
        "code": core_code(*_TIMED_CODE),
    }
    found = kept.find(_NAME, work)
    if found is None:
        found = _measured(probing, kept.conditions.processes, reporter)
        kept.keep(_NAME, work, found)
    timings = {name: Timing(tuple(of["rows"]), tuple(of["seconds"])) for name in _TIMINGS if (of := found[name])}
    return GeneratorRates(**{**found, **timings})


def _data_key(session: Session) -> dict[str, str]:
    dataset, encoder = session.dataset, session.encoder.fingerprint
    return {"train": dataset.train_sha256, "held_out": dataset.held_out_sha256, "encoder": encoder}


def _measured(probing: Probing, count: int, reporter: Reporter) -> dict[str, Any]:
    """The mean over the processes."""
    measured = _side_by_side(probing, count, reporter)
    lists = {name for one in measured for name in one["texts"]}
    return {
        "opening_seconds": mean(one["opened_at"] for one in measured),
        "ready_seconds": mean(one["ready_at"] - one["opened_at"] for one in measured),
        "text_seconds": {name: mean(one["texts"][name] for one in measured) for name in sorted(lists)},
        **{name: _mean_timing([one[name] for one in measured]) for name in _TIMINGS},
        "parameters": measured[0]["parameters"],
        "peak_mib": round(max(one["peak_mib"] for one in measured), 1),
    }


def _mean_timing(timings: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Over the sizes that all of them reached."""
    common = min((timing["rows"] for timing in timings), key=len)
    seconds = [mean(timing["seconds"][place] for timing in timings) for place in range(len(common))]
    return {"rows": common, "seconds": seconds}


def _side_by_side(probing: Probing, count: int, reporter: Reporter) -> list[dict[str, Any]]:
    """What each process measured."""
    messages = MessageQueue()
    request = {
        "track": probing.track.model_dump(mode="json"),
        "counted": probing.session is not None,
        "data": probing.data and str(probing.data),
        "store": str(probing.store),
        "device": probing.device,
        "sizes": _sizes(probing.workload),
        "seconds": probing.seconds,
        "text_seconds": probing.text_seconds,
    }
    found: list[dict[str, Any]] = [{} for _ in range(count)]
    began, left = time.perf_counter(), count
    environments = worker_environments(probing.track.threads, count, probing.cards)
    with processes.started(_WORKER, environments, messages, GRACE) as programs:
        for program in programs:
            processes.send(program, request)
        reporter.stage("time training and decoding")
        while left:
            place, message = processes.next_message(messages)
            processes.raise_reported(message, "timing")
            match message:
                case ["opened" | "ready" as name]:
                    found[place][f"{name}_at"] = time.perf_counter() - began
                case ["texts" | "training" | "decoding" as name, dict(values)]:
                    found[place][name] = values
                case ["done", int(parameters), float(peak)]:
                    found[place] |= {"parameters": parameters, "peak_mib": peak}
                    left -= 1
                case ["ended"] if "parameters" not in found[place]:
                    raise UserError(f"timing: a process {processes.how_ended(programs[place])}. Try fewer --jobs")
    return found


def _sizes(work: Workload) -> dict[str, int]:
    """Of random data."""
    return {
        "items": work.items,
        "examples": work.examples,
        "example_length": math.ceil(work.example_tokens / work.examples),
        "prompts": work.prompts,
        "prompt_length": math.ceil(work.prompt_tokens / work.prompts),
    }
