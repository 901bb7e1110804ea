"""From a cell's finished stages to its result: placements, metrics, and what made them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

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
    MachineStamp,
    RowKind,
    TrackStamp,
    protocol_sha256,
)
from semidbench.results.metrics import head_items
from semidbench.results.placements import Placements, place_beams, rankings_sha256
from semidbench.runs.shared.session import Session
from semidbench.runs.stages import assign_ids, decode, embed, rank, train
from semidbench.runs.stages.decode import load_beams
from semidbench.runs.stages.rank import load_ranking
from semidbench.store.fingerprint import NUMERIC, core_code, library_versions, module_code
from semidbench.store.json_text import hash_json
from semidbench.store.stages import Stage

_STAGES = (embed, assign_ids, train, decode, rank)
_METRICS = (
    *("results.cell_metrics", "results.metrics", "results.placements", "results.cases"),
    *("ids.usage", "ids.distinct"),
)
_OWN_CODE = ("generator.data_parallel.share", "runs.evaluate", "runs.shared.tokenizer")
_TEXT = ("text.encoder", "text.lsa", "text.sentence_model", "text.stored_encoder", "text.tokenizer")


@dataclass(frozen=True, slots=True)
class SchemeStages:
    """The finished stages of a scheme's cell; `embeddings` has those that its embedders build on, too."""

    embeddings: tuple[Stage, ...]
    ids: Stage
    generator: Stage
    beams: Stage

    @property
    def by_name(self) -> dict[str, tuple[Stage, ...]]:
        """As results name them."""
        return {
            "embedder": self.embeddings,
            "layout": (self.ids,),
            "generator": (self.generator,),
            "decoder": (self.beams,),
        }


def evaluate_scheme(
    session: Session, scheme: ResolvedScheme, seed: int, stages: SchemeStages
) -> tuple[CellResult, dict[Task, Cases]]:
    """Score a scheme's beams against the held-out cases."""
    ids, beams, targets = load_ids(stages.ids.folder), load_beams(stages.beams), _targets(session)
    placements = {
        task: place_beams(*beams[task], distinct_ids(ids[task].codes).item_to_id, targets[task]) for task in TASKS
    }
    return _result(
        session,
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
    session: Session, ranker: ResolvedMethod, seed: int, stage: Stage
) -> tuple[CellResult, dict[Task, Cases]]:
    """The result of a reference row."""
    placements, rankings_hash = load_ranking(stage)
    return _result(
        session,
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
    session: Session,
    *,
    kind: RowKind,
    name: str,
    methods: Mapping[str, ResolvedMethod],
    seed: int,
    placements: Mapping[Task, Placements],
    ids: dict[Task, IdUse] | None,
    ids_hash: str | None,
    rankings_hash: str,
    stages: Mapping[str, tuple[Stage, ...]],
) -> tuple[CellResult, dict[Task, Cases]]:
    cases = _cases(session, placements)
    cell = CellResult(
        kind=kind,
        track=TrackStamp(
            name=session.track.name, version=session.track.version, protocol_sha256=protocol_sha256(session.track)
        ),
        split=session.split,
        name=name,
        dataset=DatasetStamp(sha256=session.dataset.sha256, **session.dataset.facts),
        models={role: dict(model.files) for role, model in session.models.items()},
        options=recorded_options(methods),
        seed=seed,
        metrics=compute_metrics(cases, session.track.evaluation),
        ids=ids,
        id_table_sha256=ids_hash,
        rankings_sha256=rankings_hash,
        distributions=_distributions(code for method in methods.values() for code in method.codes()),
        environment=_environment(
            session,
            methods.values(),
            [stage for of in stages.values() for stage in of],
            gpus=session.gpus if kind == "scheme" else 1,  # a ranker trains no generator
        ),
        timings={part: round(sum(stage.seconds for stage in of), 3) for part, of in stages.items()},
        peak_memory_mib=max(stage.peak_mib for of in stages.values() for stage in of),
    )
    return cell, cases


def recorded_options(methods: Mapping[str, ResolvedMethod]) -> dict[str, JsonValue]:
    """Effective options by part of the scheme, those of what an embedder builds on as `embedder > search`."""
    found: dict[str, JsonValue] = {}
    for part, method in methods.items():
        found[part] = method.options
        found |= recorded_options({f"{part} > {other.name}": other for other in method.builds_on})
    return found


@cache
def result_code() -> str:
    """SHA-256 over the core's code that computes results: the stages of all rows, the text encoders, the metrics."""
    computing = {module for stage in _STAGES for module in stage.CODE}.union(_METRICS, _TEXT)
    own = {module for stage in _STAGES for module in stage.OWN_CODE}.union(_OWN_CODE)
    return hash_json([core_code(*sorted(computing)), module_code(*sorted(own))])


def _targets(session: Session) -> dict[Task, Ints]:
    held_out = session.dataset.held_out()
    return {"search": held_out.queries.items, "rec": held_out.targets}


def _cases(session: Session, placements: Mapping[Task, Placements]) -> dict[Task, Cases]:
    """Placements with their pairing unit (item for search, user for recommendation) and their group."""
    held_out, targets = session.dataset.held_out(), _targets(session)
    counts = np.bincount(session.dataset.train.interactions.items, minlength=session.dataset.train.n_items)
    head = head_items(counts, session.track.evaluation.head_share)
    units = {"search": held_out.queries.items, "rec": held_out.users}
    return {task: Cases(placements[task], units[task].astype(np.int32), head[targets[task]]) for task in TASKS}


def _distributions(codes: Iterable[Code]) -> tuple[Distribution, ...]:
    from semidbench.version import __version__

    core = Distribution(name="semidbench", version=__version__, code_sha256=result_code())
    plugins = {
        (code.name, code.version): Distribution(name=code.name, version=code.version, code_sha256=code.code_sha256)
        for code in codes
    }
    return (core, *(plugins[key] for key in sorted(plugins)))


def _environment(
    session: Session, methods: Iterable[ResolvedMethod], stages: Iterable[Stage], gpus: int
) -> Environment:
    required = [code.requirements for method in methods for code in method.codes()]
    harness = library_versions([*NUMERIC, "accelerate"] if gpus > 1 else NUMERIC)
    return Environment(
        device=session.device,
        threads=session.track.threads,
        gpus=gpus,
        machines=tuple(dict.fromkeys(MachineStamp(**stage.machine.as_key()) for stage in stages)),
        libraries={name: version for of in (*required, harness) for name, version in sorted(of.items())},
    )
