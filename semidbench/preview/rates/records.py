"""Seconds that stages of this machine's earlier runs took, by what they depend on: the seed is no part of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from statistics import mean
from typing import Any, TypeVar

from semidbench.machine.identity import this_machine
from semidbench.methods.resolved import ResolvedScheme
from semidbench.runs.shared.session import Session
from semidbench.runs.stages.assign_ids import ids_key
from semidbench.runs.stages.decode import beams_key
from semidbench.runs.stages.train import generator_key
from semidbench.store.json_text import hash_json
from semidbench.store.stages import StageKey, StageRecord, stage_records

Work = TypeVar("Work")

# Inputs of a key beside which the time is the same: the seed, and hashes of the stages before.
_NOT_THE_WORK = {
    "embedding": ("seed", "builds_on"),
    "ids": ("seed", "embeddings"),
    "ranker": ("seed",),
    "generator": ("seed", "ids"),
    "beams": ("generator",),
}


def work_hash(key: StageKey) -> str:
    """Of all that the time of a stage of a cell depends on, the machine aside."""
    return _hash(key.name, key.inputs)


def recorded_methods(session: Session, names: Collection[str]) -> dict[str, float]:
    """Mean seconds of plugins' stages on the session's data, by `work_hash`.

    A plugin's seconds leave out the start of its process and the text encoder. The start, and what this program does
    with the output, is the least difference to the wall time that any stage of this name had: one that encoded nothing.

    Args:
        names: of stages.
    """
    seconds: dict[str, float] = {}
    for name in sorted(names):
        records = [each for each in _here(session, name) if each.inputs.get("train") == session.dataset.train_sha256]
        beside = min((record.wall_seconds - record.seconds for record in records), default=0.0)
        means = _means((_hash(name, record.inputs), record.seconds) for record in records)
        seconds |= {work: time + beside for work, time in means.items()}
    return seconds


@dataclass(frozen=True, slots=True)
class RecordedGenerators:
    """Mean wall-clock seconds of generators' stages, by their work and the layout of their IDs."""

    training: Mapping[tuple[str, str], float]
    decoding: Mapping[tuple[str, str, str], float]

    def of(self, session: Session, scheme: ResolvedScheme) -> tuple[float | None, float | None]:
        """Training and decoding of a scheme's cell, as far as recorded."""
        layout = hash_json(ids_key(session, scheme, 0).inputs["layout"])
        trained = work_hash(generator_key(session, scheme, 0)), layout
        return self.training.get(trained), self.decoding.get((*trained, work_hash(beams_key(session, scheme, 0))))


def recorded_generators(session: Session) -> RecordedGenerators:
    """Of all generators in the store that were trained here."""
    layouts = {record.key: hash_json(record.inputs["layout"]) for record in _here(session, "ids")}
    generators = _here(session, "generator")
    works = {each.key: (_hash("generator", each.inputs), layouts.get(each.inputs["ids"], "")) for each in generators}
    training = [(works[each.key], each.wall_seconds) for each in generators]
    decoding = [
        ((*works[each.inputs["generator"]], _hash("beams", each.inputs)), each.wall_seconds)
        for each in _here(session, "beams")
        if each.inputs["generator"] in works
    ]
    return RecordedGenerators(_means(training), _means(decoding))


def _here(session: Session, name: str) -> list[StageRecord]:
    machine = this_machine().as_key()
    return [record for record in stage_records(session.store, name) if record.machine == machine]


def _hash(name: str, inputs: Mapping[str, Any]) -> str:
    return hash_json({key: value for key, value in inputs.items() if key not in _NOT_THE_WORK[name]})


def _means(pairs: Iterable[tuple[Work, float]]) -> dict[Work, float]:
    found: dict[Work, list[float]] = {}
    for work, seconds in pairs:
        found.setdefault(work, []).append(seconds)
    return {work: mean(times) for work, times in found.items()}
