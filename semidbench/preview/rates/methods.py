"""Seconds of the methods' stages: recorded by earlier runs on this machine, or else tried on the track's own data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace

from semidbench.methods.resolved import ResolvedMethod, ResolvedRow, ResolvedScheme
from semidbench.preview.rates.kept import KeptRates
from semidbench.preview.rates.records import recorded_methods, work_hash
from semidbench.preview.rates.stage_time import StageTime
from semidbench.preview.rates.texts import TEST_QUERIES
from semidbench.preview.rates.trial import Patience, Tried, provide_below, trial_session, try_stage, views_for
from semidbench.runs.reporter import Reporter
from semidbench.runs.shared.session import Session
from semidbench.runs.stages.assign_ids import assign_ids, ids_key
from semidbench.runs.stages.embed import embed_one, embedding_key
from semidbench.runs.stages.rank import rank, ranker_key
from semidbench.store.stages import StageKey

_NAME = "method-seconds"


@dataclass(frozen=True, slots=True)
class MethodStage:
    """A stage of plugins, whatever the seed.

    Attributes:
        label: for the user.
        row: that has it; of an embedder, the first scheme.
        embedder: of an embedding, else None.
        key: of seed 0.
        work: hash of what its time depends on.
    """

    label: str
    row: ResolvedRow
    embedder: ResolvedMethod | None
    key: StageKey
    work: str


def embedding_stage(session: Session, scheme: ResolvedScheme, method: ResolvedMethod) -> MethodStage:
    """An embedder's stage."""
    return _stage(f"embedder {method.name}", scheme, method, embedding_key(session, method, 0))


def ids_stage(session: Session, scheme: ResolvedScheme) -> MethodStage:
    """The stage of a scheme's quantizer and layout."""
    quantizer = scheme.quantizer.name if scheme.quantizer else "-"
    return _stage(f"IDs {quantizer}/{scheme.layout.name}", scheme, None, ids_key(session, scheme, 0))


def ranker_stage(session: Session, ranker: ResolvedMethod) -> MethodStage:
    """A reference's stage."""
    return _stage(f"reference {ranker.name}", ranker, None, ranker_key(session, ranker, 0))


@dataclass(frozen=True, slots=True)
class MethodProbe:
    """How methods are tried that no record is of.

    Attributes:
        memory_mib: that a plugin's process may take.
    """

    kept: KeptRates
    patience: Patience
    memory_mib: float | None
    reporter: Reporter


def method_times(session: Session, stages: Iterable[MethodStage], probe: MethodProbe) -> dict[str, StageTime]:
    """By `work`, the time of each stage."""
    wanted = {stage.work: stage for stage in stages}
    recorded = {} if probe.kept.fresh else recorded_methods(session, {stage.key.name for stage in wanted.values()})
    found = {
        work: StageTime(stage.label, recorded[work], "recorded") for work, stage in wanted.items() if work in recorded
    }
    return found | _probed(session, [stage for work, stage in wanted.items() if work not in found], probe)


def _stage(label: str, row: ResolvedRow, embedder: ResolvedMethod | None, key: StageKey) -> MethodStage:
    return MethodStage(label, row, embedder, key, work_hash(key))


def _probed(session: Session, stages: Sequence[MethodStage], probe: MethodProbe) -> dict[str, StageTime]:
    """Kept from an earlier probe, or tried now, as many at a time as the run will have."""
    before = {stage.work: probe.kept.find(_NAME, {"stage": stage.work}) for stage in stages}
    times = {
        stage.work: StageTime(**{**found, "label": stage.label, "encodes": tuple(found["encodes"])})
        for stage in stages
        if (found := before[stage.work])
    }
    new = [stage for stage in stages if stage.work not in times]
    if not new:
        return times
    probe.reporter.stage("time the methods")
    waves = [
        [stage for stage in new if not _is_ids(stage) and not (stage.embedder and stage.embedder.builds_on)],
        [stage for stage in new if stage.embedder and stage.embedder.builds_on],
        [stage for stage in new if _is_ids(stage)],  # last: they take what embedders made
    ]
    with (
        trial_session(session, probe.patience, probe.memory_mib) as trial,
        ThreadPoolExecutor(probe.kept.conditions.processes) as pool,
    ):
        for wave in waves:
            results = pool.map(lambda stage: _try(stage, session, trial, probe.patience), wave)
            for stage, tried in zip(wave, results, strict=True):
                probe.kept.keep(_NAME, {"stage": stage.work}, asdict(tried))
                times[stage.work] = StageTime(stage.label, tried.seconds, tried.how, tried.note, tried.encodes)
                probe.reporter.progress("methods", len(times), len(stages))
    return times


def _is_ids(stage: MethodStage) -> bool:
    return stage.embedder is None and isinstance(stage.row, ResolvedScheme)


def _try(stage: MethodStage, session: Session, trial: Session, patience: Patience) -> Tried:
    if embedder := stage.embedder:
        provide_below(session, trial, embedder)
        return try_stage(trial, lambda own, watch: embed_one(own, embedder, 0, watch, {}), patience)
    match stage.row:
        case ResolvedScheme() as scheme:
            views = views_for(session, trial, scheme)
            return try_stage(trial, lambda own, watch: assign_ids(own, scheme, views, 0, watch, {}), patience)
        case ResolvedMethod() as ranker:
            return _with_questions(try_stage(trial, lambda own, watch: rank(own, ranker, 0, watch, {}), patience))


def _with_questions(tried: Tried) -> Tried:
    """A ranker that was stopped has not been asked yet. If it encodes texts, it is taken to encode queries then."""
    if tried.how == "measured" or not tried.encodes:
        return tried
    return replace(tried, encodes=tuple(dict.fromkeys([*tried.encodes, TEST_QUERIES])))
