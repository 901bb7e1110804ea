"""Parts of a stage that were measured, and how often the whole track has them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from semidbench.methods.scheme import parse_scheme
from semidbench.tracks.track import Track

_TUNED = {"search": "search", "multi-task": "multi-task", "dense": "search", "dense-multi-task": "multi-task"}


@dataclass(frozen=True, slots=True)
class Part:
    """Work that was timed.

    Attributes:
        name: of the work.
        amount: how much was done.
        unit: of the amount.
        seconds: it took, without what libraries prepare at the first step.
        whole: how much of it the whole track has.
    """

    name: str
    amount: float
    unit: str
    seconds: float
    whole: float

    @property
    def hours(self) -> float:
        """Of the whole track, in one process, at the measured rate."""
        return self.seconds / self.amount * self.whole / 3600


@dataclass(frozen=True, slots=True)
class Measured:
    """A stage's parts, and the peak memory of the process that did them (on a card, also of the card)."""

    stage: str
    parts: tuple[Part, ...]
    peak_gib: float
    card_gib: float

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Measured:
        return cls(**{**values, "parts": tuple(Part(**part) for part in values["parts"])})


@dataclass(frozen=True, slots=True)
class Counts:
    """How often a track computes what, over all rows and seeds.

    Attributes:
        seeds: of every row.
        cells: schemes' cells, each with a generator.
        references: rankers' cells.
        tunings: fine-tunings of the sentence model, by what they train on: search, multi-task.
        factors: trainings of ENMF.
        codebooks: fits of rq-kmeans.
        joint: trainings of the layout that learns codebooks of its own.
    """

    seeds: int
    cells: int
    references: int
    tunings: dict[str, int]
    factors: int
    codebooks: int
    joint: int


def counts(track: Track) -> Counts:
    """Of the rows that the track plans; embedders are computed once a seed, whoever uses them."""
    seeds, rows = track.plan.seeds, [parse_scheme(row) for row in track.plan.rows]
    embedders = {part.name for row in rows for part in row.embedders}
    fused = {name for name in embedders if name.startswith("fused")}
    embedders |= {"search", "rec"} if fused else set()
    methods = [*embedders, *track.plan.references]
    quantized = [row.layout.name for row in rows if row.quantizer and row.quantizer.name == "rq-kmeans"]
    return Counts(
        seeds=seeds,
        cells=seeds * len(rows),
        references=seeds * len(track.plan.references),
        tunings={kind: seeds * sum(_TUNED.get(name) == kind for name in methods) for kind in ("search", "multi-task")},
        factors=seeds * sum(name in ("rec", "enmf") for name in methods),
        codebooks=seeds * sum(2 if layout == "separate" else 1 for layout in quantized),
        joint=seeds * sum(row.layout.name == "prefix-share" for row in rows),
    )
