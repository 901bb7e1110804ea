"""From a cell's finished stages to its result: placements, metrics, and what made them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np
from pydantic import JsonValue

from semidbench.api import TASKS, Ints, Task
from semidbench.ids.distinct import distinct_ids
from semidbench.ids.layout import ids_sha256, load_ids
from semidbench.ids.usage import IdUse, id_use
from semidbench.methods.plugin_code import Code
from semidbench.methods.resolved import ResolvedMethod, ResolvedScheme
from semidbench.results.cases import Cases
from semidbench.results.cell_metrics import compute_metrics
from semidbench.results.cell_result import (
    CellResult,
    DatasetStamp,
    Distribution,
    Environment,
    Kind,
    Machine,
    TrackStamp,
    protocol_sha256,
)
from semidbench.results.metrics import head_items
from semidbench.results.placements import Placements, place_beams, rankings_sha256
from semidbench.runs.ranker_stage import load_ranker
from semidbench.runs.scheme_stages import SchemeStages, load_beams
from semidbench.runs.session import Bench
from semidbench.store.fingerprint import NUMERIC, core_code, library_versions
from semidbench.store.stages import Stage


def evaluate_scheme(
    bench: Bench, scheme: ResolvedScheme, seed: int, stages: SchemeStages
) -> tuple[CellResult, dict[Task, Cases]]:
    """Score a scheme's beams against the held-out cases."""
    ids, beams, targets = load_ids(stages.ids.folder), load_beams(stages.beams), _targets(bench)
    placements = {
        task: place_beams(*beams[task], distinct_ids(ids[task].codes).item_to_id, targets[task]) for task in TASKS
    }
    return _result(
        bench,
        kind="scheme",
        name=scheme.name,
        methods=scheme.parts,
        seed=seed,
        placements=placements,
        ids={task: id_use(ids[task]) for task in TASKS},
        ids_hash=ids_sha256(ids),
        rankings_hash=rankings_sha256({task: beams[task][0] for task in TASKS}),
        stages=stages.by_name,
    )


def evaluate_ranker(
    bench: Bench, ranker: ResolvedMethod, seed: int, stage: Stage
) -> tuple[CellResult, dict[Task, Cases]]:
    """The result of a reference row."""
    placements, rankings_hash = load_ranker(stage)
    return _result(
        bench,
        kind="ranker",
        name=ranker.name,
        methods={"ranker": ranker},
        seed=seed,
        placements=placements,
        ids=None,
        ids_hash=None,
        rankings_hash=rankings_hash,
        stages={"ranker": (stage,)},
    )


def _result(
    bench: Bench,
    *,
    kind: Kind,
    name: str,
    methods: Mapping[str, ResolvedMethod],
    seed: int,
    placements: Mapping[Task, Placements],
    ids: dict[Task, IdUse] | None,
    ids_hash: str | None,
    rankings_hash: str,
    stages: Mapping[str, tuple[Stage, ...]],
) -> tuple[CellResult, dict[Task, Cases]]:
    cases = _cases(bench, placements)
    cell = CellResult(
        kind=kind,
        track=TrackStamp(
            name=bench.track.name, version=bench.track.version, protocol_sha256=protocol_sha256(bench.track)
        ),
        split=bench.split,
        name=name,
        dataset=DatasetStamp(sha256=bench.dataset_sha256, **bench.facts),
        models=_models(bench),
        options=recorded_options(methods),
        seed=seed,
        metrics=compute_metrics(cases, bench.track.evaluation),
        ids=ids,
        id_table_sha256=ids_hash,
        rankings_sha256=rankings_hash,
        distributions=_distributions(code for method in methods.values() for code in method.codes()),
        environment=_environment(
            bench,
            methods.values(),
            [stage for of in stages.values() for stage in of],
            gpus=bench.gpus if kind == "scheme" else 1,  # a ranker trains no generator
        ),
        timings={part: round(sum(stage.seconds for stage in of), 3) for part, of in stages.items()},
        peak_memory_mib=max(stage.peak_mib for of in stages.values() for stage in of),
    )
    return cell, cases


def _models(bench: Bench) -> dict[Literal["text_encoder", "generator"], dict[str, str]]:
    """SHA-256 of the files of each pretrained model."""
    encoder, generator = bench.encoder_model, bench.generator_model
    found: dict[Literal["text_encoder", "generator"], dict[str, str]] = {}
    if encoder:
        found["text_encoder"] = dict(encoder.files)
    if generator:
        found["generator"] = dict(generator.files)
    return found


def recorded_options(methods: Mapping[str, ResolvedMethod]) -> dict[str, JsonValue]:
    """Effective options by part of the scheme, those of what an embedder builds on as `embedder > search`."""
    found: dict[str, JsonValue] = {}
    for part, method in methods.items():
        found[part] = method.options
        found |= recorded_options({f"{part} > {other.name}": other for other in method.builds_on})
    return found


def _targets(bench: Bench) -> dict[Task, Ints]:
    held_out = bench.held_out()
    return {"search": held_out.queries.items, "rec": held_out.targets}


def _cases(bench: Bench, placements: Mapping[Task, Placements]) -> dict[Task, Cases]:
    """Placements with their pairing unit (item for search, user for recommendation) and their group."""
    held_out, targets = bench.held_out(), _targets(bench)
    counts = np.bincount(bench.train.interactions.items, minlength=bench.train.n_items)
    head = head_items(counts, bench.track.evaluation.head_share)
    units = {"search": held_out.queries.items, "rec": held_out.users}
    return {task: Cases(placements[task], units[task].astype(np.int32), head[targets[task]]) for task in TASKS}


def _distributions(codes: Iterable[Code]) -> tuple[Distribution, ...]:
    from semidbench.version import __version__

    core = Distribution(name="semidbench", version=__version__, code_sha256=core_code("runs.evaluate"))
    plugins = {
        (code.name, code.version): Distribution(name=code.name, version=code.version, code_sha256=code.code_sha256)
        for code in codes
    }
    return (core, *(plugins[key] for key in sorted(plugins)))


def _environment(bench: Bench, methods: Iterable[ResolvedMethod], stages: Iterable[Stage], gpus: int) -> Environment:
    required = [code.requirements for method in methods for code in method.codes()]
    harness = library_versions([*NUMERIC, "accelerate"] if gpus > 1 else NUMERIC)
    return Environment(
        device=bench.device,
        threads=bench.track.threads,
        gpus=gpus,
        machines=tuple(dict.fromkeys(Machine(**stage.machine.as_key()) for stage in stages)),
        libraries={name: version for of in (*required, harness) for name, version in sorted(of.items())},
    )
