"""What a track's run will cost: cells, tokens, disk, and the time that it takes on this machine."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from semidbench.isolation.limits import plugin_limits
from semidbench.isolation.resolver import resolve_isolated
from semidbench.machine.device import held_threads, pick_device
from semidbench.methods.failure import PluginFailure
from semidbench.methods.resolved import MissingMethod, Outcome, ResolvedMethod, ResolvedScheme, Wanted
from semidbench.preview.disk import Disk, disk_of_run
from semidbench.preview.generator_data import track_data
from semidbench.preview.job_times import job_times, training_jobs
from semidbench.preview.rates.generator import GeneratorRates, Probing, generator_rates
from semidbench.preview.rates.kept import Conditions, KeptRates
from semidbench.preview.rates.methods import MethodProbe
from semidbench.preview.rates.stage_time import StageTime
from semidbench.preview.rates.texts import missing_texts
from semidbench.preview.rates.trial import Patience
from semidbench.preview.run_time import RunTime, run_time
from semidbench.preview.workload import (
    Workload,
    counted_workload,
    encoder_tunings,
    expected_workload,
    open_for_counting,
    steps,
)
from semidbench.runs.reporter import Reporter, Silent
from semidbench.runs.rows import check_numbers, wanted_rows
from semidbench.runs.shared.session import Session
from semidbench.runs.workers.capacity import Capacity, count_workers, measure, visible_cards
from semidbench.runs.workers.jobs import plan_jobs
from semidbench.store.stages import default_store
from semidbench.tracks.files import load_track
from semidbench.tracks.track import Track

FORMAT = 2
PROBE_SECONDS = 15.0  # for training, and as much for decoding; small models need less
TEXT_SECONDS = 5.0  # for each list of texts
PATIENCE = Patience()


@dataclass(frozen=True, slots=True)
class Probe:
    """What was measured, and what it comes to.

    Attributes:
        training_rows: the sizes of the batches that were timed; the largest may be smaller than the track's.
        step_seconds: of a training step at the track's batch, measured or on a line through the two largest sizes.
        decoded_rows: the numbers of prompts that were timed.
        prompt_seconds: of a test prompt.
        peak_mib: on CUDA torch's peak, else the process's resident peak; at the largest size that was timed.
        processes: that measured side by side, each with `threads` threads.
    """

    device: str
    threads: int
    processes: int
    training_rows: tuple[int, ...]
    step_seconds: float
    decoded_rows: tuple[int, ...]
    prompt_seconds: float
    peak_mib: float


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """A run in numbers.

    Attributes:
        rows: schemes; those whose methods are not installed count here and in the generators' hours, not in `run`.
        tunings: fine-tunings of the text encoder, of all seeds; each goes through the training queries as often as the
            method has epochs.
        training_hours_a_cell: of a generator in one process, on one graphics card if there is one.
        decoding_hours_a_cell: likewise.
        hours: of all generators, one after the other, whether the store has them or not.
        run: the time of the run with what it computes beside that, as many cells at a time as it takes.
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
    run: RunTime


def plan(
    track: str,
    schemes: Sequence[str] = (),
    seeds: int | None = None,
    *,
    table: str | None = None,
    data: Path | None = None,
    cache: Path | None = None,
    device: str = "auto",
    jobs: int | None = None,
    fresh: bool = False,
    reporter: Reporter | None = None,
) -> CostEstimate:
    """Count a track's work and estimate the time of a run with the same arguments, if it begins now.

    What this machine takes is known from the records of earlier runs, or measured in a probe, which is kept in the
    cache. Nothing of it enters a stage's key or a result.

    Args:
        schemes: rows as embedder/quantizer/layout; none means `table`, or the rows that the track names.
        seeds: seeds 0 .. seeds-1; None means what the track plans.
        table: the rows of a published table instead.
        data: folder with the track's data. None: tracks with built-in data are counted, others are estimated
            from the sizes that the track expects.
        cache: where the prepared data and the rates are kept; None means `default_store()`.
        device: "cpu", "cuda", or "auto" for CUDA where there is some.
        jobs: how many cells run at a time; None: as many as `run` takes.
        fresh: measure again what is known.

    Raises:
        UserError: the data or a model is missing or wrong, the track expects no sizes, or a row names a method or an
            option that does not exist.
    """
    began, reporter, chosen, on = time.perf_counter(), reporter or Silent(), load_track(track), pick_device(device)
    seeds = chosen.plan.seeds if seeds is None else seeds
    check_numbers(seeds, jobs)
    wanted = wanted_rows(chosen, schemes, table)
    outcomes = resolve_isolated(chosen, tuple(wanted.values()))
    note_uncounted(tuple(wanted.values()), outcomes, reporter)
    rows = [row for row in outcomes if isinstance(row, ResolvedScheme | ResolvedMethod)]
    store = cache or default_store()
    with held_threads(chosen.threads):
        session = open_for_counting(chosen, data, store, on, reporter)
        planned = plan_jobs(session, rows, seeds) if session else training_jobs(rows, seeds)
        preparing = time.perf_counter() - began  # as a run does
        work = counted_workload(session, track_data(session)) if session else expected_workload(chosen)
        capacity = _capacity(chosen, session, on)
        unfinished = sum(job.kind != "embedder" for job in planned)
        conditions = Conditions(_device_name(on), chosen.threads, count_workers(jobs, unfinished, capacity)[0])
        kept = KeptRates(store, conditions, fresh)
        probing = Probing(chosen, session, data, store, on, capacity.cards, work, PROBE_SECONDS, TEXT_SECONDS)
        rates = generator_rates(probing, kept, reporter)
        training = StageTime("training", steps(work, chosen) * rates.training.of(chosen.training.batch), "projected")
        decoding = StageTime("decoding", rates.decoding.of(work.prompts), "projected")
        memory = plugin_limits(1, None, on, capacity.free_mib, conditions.processes).memory_mib
        probe = MethodProbe(kept, PATIENCE, memory, reporter)
        times = job_times(session, rows, planned, training, decoding, probe)
        left = sum(not job.kept for job in planned if job.kind != "embedder")
        processes, _ = count_workers(jobs, left, capacity)
        starting = (rates.opening_seconds if processes > 1 else 0.0) + rates.ready_seconds
        texts = {name: rates.text_seconds.get(name, 0.0) for name in (missing_texts(session) if session else ())}
        run = run_time(planned, times, texts, processes, preparing + (starting if left else 0.0))
    schemes_asked = [name for name, one in wanted.items() if one.kind == "scheme"]
    return CostEstimate(
        track=chosen.name,
        version=chosen.version,
        rows=len(schemes_asked),
        references=len(wanted) - len(schemes_asked),
        seeds=seeds,
        tunings=encoder_tunings(outcomes) * seeds,
        work=work,
        parameters=rates.parameters,
        steps=steps(work, chosen),
        disk=disk_of_run(chosen, schemes_asked, seeds, work, rates.parameters),
        probe=_probe(chosen, work, rates, conditions),
        training_hours_a_cell=training.seconds / 3600,
        decoding_hours_a_cell=decoding.seconds / 3600,
        hours=len(schemes_asked) * seeds * (training.seconds + decoding.seconds) / 3600,
        run=run,
    )


def to_json(made: CostEstimate) -> str:
    """The plan as JSON, with the version of this format."""
    return json.dumps({"semidbench_plan": FORMAT, **asdict(made)}, indent=1) + "\n"


def note_uncounted(wanted: Sequence[Wanted], outcomes: Sequence[Outcome], reporter: Reporter) -> None:
    """Name the rows whose methods are not installed, and the plugins that fail: what they take is not counted."""
    pairs = zip(wanted, outcomes, strict=True)
    missing = [one.text for one, outcome in pairs if isinstance(outcome, MissingMethod)]
    if missing:
        reporter.note(f"not counted, because methods are not installed: {', '.join(missing)}")
    for failure in dict.fromkeys(str(outcome) for outcome in outcomes if isinstance(outcome, PluginFailure)):
        reporter.note(f"not counted, because a plugin fails: {failure}")


def _capacity(track: Track, session: Session | None, device: str) -> Capacity:
    """Without data nothing is known of a process's memory."""
    from joblib import cpu_count

    return measure(session) if session else Capacity(cpu_count(), track.threads, None, 0.0, visible_cards(device))


def _device_name(device: str) -> str:
    import torch

    return device if device == "cpu" else torch.cuda.get_device_name()


def _probe(track: Track, work: Workload, rates: GeneratorRates, conditions: Conditions) -> Probe:
    return Probe(
        device=conditions.device,
        threads=conditions.threads,
        processes=conditions.processes,
        training_rows=rates.training.rows,
        step_seconds=rates.training.of(track.training.batch),
        decoded_rows=rates.decoding.rows,
        prompt_seconds=rates.decoding.of(work.prompts) / work.prompts,
        peak_mib=rates.peak_mib,
    )
