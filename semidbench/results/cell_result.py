"""Result files: per cell one JSON and, beside it, one Parquet with every query's placement.

The Parquet holds row numbers only (no movie ids, titles or queries) and is enough to compute every metric again,
which reading does. A JSON has one form only, byte for byte, and holds a hash of itself. Files are written under a
temporary name and moved into place, the Parquet first, so that a JSON never stands without its Parquet.
"""

from __future__ import annotations

from typing import Literal

from pydantic import (
    JsonValue,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from semidbench.api import TASKS, Task
from semidbench.ids.usage import IdUse
from semidbench.results.cell_metrics import Metrics
from semidbench.results.metrics import GROUPS
from semidbench.store.json_text import hash_json
from semidbench.store.plain_values import PackageName, Record, RelativePath, Seed, Sha256, TrackName, Version
from semidbench.tracks.track import Share, Track

SCHEMA = 3
MAX_CUT_OFF = 10_000  # of R@k and NDCG@k, which take memory by it

RowKind = Literal["scheme", "ranker"]


class TrackStamp(Record):
    """Which protocol a result was made under."""

    name: TrackName
    version: PositiveInt
    protocol_sha256: Sha256


class Distribution(Record):
    """An installed distribution whose code took part."""

    name: PackageName
    version: Version
    code_sha256: Sha256


class DatasetStamp(Record):
    """Which data a result was made on, and numbers about it; see semidbench.dataset.facts.facts."""

    sha256: Sha256  # see semidbench.dataset.split_hash
    items: PositiveInt
    users: PositiveInt
    train_interactions: PositiveInt
    train_queries: NonNegativeInt
    test_users: NonNegativeInt
    test_queries: NonNegativeInt
    shared_query_share: Share
    query_recall_ceiling: Share
    load: NonNegativeFloat
    seen_item_share: Share


class MachineStamp(Record):
    """What stages were computed on."""

    python: Version
    platform: str
    cpu: str
    products: Literal["oneDNN", "torch", ""] = ""  # what multiplied on the CPU; "" where it was not recorded

    @model_serializer(mode="wrap")
    def _known(self, fields: SerializerFunctionWrapHandler) -> dict[str, str]:
        """Results of before `products` was recorded keep their bytes."""
        return {name: value for name, value in fields(self).items() if value or name != "products"}


class Environment(Record):
    """Where the cell ran. Its stages may come from several machines."""

    device: str
    threads: int
    gpus: PositiveInt = 1  # that trained the generator together; results without this field are of one, or of none
    machines: tuple[MachineStamp, ...]
    libraries: dict[PackageName, Version]  # those of the harness, and what the row's plugins require


class CellResult(Record):
    """One cell: track x scheme (or ranker) x seed."""

    semidbench_result: Literal[3] = 3
    kind: RowKind
    track: TrackStamp
    split: Literal["test", "development"]
    name: str
    dataset: DatasetStamp
    models: dict[Literal["text_encoder", "generator"], dict[RelativePath, Sha256]]  # pretrained ones' files
    options: dict[str, JsonValue]  # all effective options, by part of the scheme
    seed: Seed
    metrics: Metrics
    ids: dict[Task, IdUse] | None  # what a scheme's IDs use of their codebooks; None for rankers
    id_table_sha256: Sha256 | None
    rankings_sha256: Sha256
    distributions: tuple[Distribution, ...]
    environment: Environment
    timings: dict[str, NonNegativeFloat]  # seconds by stage
    peak_memory_mib: NonNegativeFloat
    placements_sha256: Sha256 | Literal[""] = ""  # of the Parquet; write_cell fills it in
    result_sha256: Sha256 | Literal[""] = ""  # of all other fields; write_cell fills it in

    @model_validator(mode="after")
    def _same_metrics_everywhere(self) -> CellResult:
        if set(self.metrics) != set(TASKS) or any(set(self.metrics[task]) != set(GROUPS) for task in TASKS):
            raise ValueError(f"metrics must hold the tasks {TASKS} and in each the groups {GROUPS}")
        kinds = [(set(of.recall), set(of.ndcg)) for groups in self.metrics.values() for of in groups.values()]
        if any(kind != kinds[0] for kind in kinds) or not all(1 <= k <= MAX_CUT_OFF for k in set.union(*kinds[0])):
            raise ValueError(f"metrics must have the same cut-offs everywhere, each in 1..{MAX_CUT_OFF}")
        return self

    @model_validator(mode="after")
    def _ids_of_schemes(self) -> CellResult:
        if self.kind == "scheme" and (self.ids is None or set(self.ids) != set(TASKS) or self.id_table_sha256 is None):
            raise ValueError(f"a scheme needs `ids` for {TASKS} and `id_table_sha256`")
        if self.kind == "ranker" and (self.ids is not None or self.id_table_sha256 is not None):
            raise ValueError("a ranker has no `ids` and no `id_table_sha256`")
        return self


def protocol_sha256(track: Track) -> str:
    """Hash of every number of a track that can change any row's result.

    Left out: the prose, the plan, what a submission needs and the margin of equivalence (none changes a result), and
    the methods' options (recorded per cell).
    """
    numbers = track.model_dump(mode="json", exclude={"about", "plan", "submission", "equivalence", "methods"})
    return hash_json(numbers)
