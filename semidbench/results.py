"""Result files: per cell one JSON and, beside it, one Parquet with every query's placement.

The Parquet holds row numbers only (no movie ids, titles or queries) and is enough to compute every metric again,
which reading does. A JSON has one form only, byte for byte, and holds a hash of itself. Files are written under a
temporary name and moved into place, the Parquet first, so that a JSON never stands without its Parquet.
"""

from __future__ import annotations

import hashlib
import json
import re
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from pydantic import JsonValue, NonNegativeFloat, NonNegativeInt, PositiveInt, ValidationError, model_validator

from semidbench.api import TASKS, Task
from semidbench.atomic_files import write_atomically
from semidbench.cases import Cases, from_parquet, to_parquet
from semidbench.errors import UserError, one_line
from semidbench.id_use import IdUse
from semidbench.metric_check import check_metrics
from semidbench.metrics import GROUPS
from semidbench.record import PackageName, Record, RelativePath, Seed, Sha256, TrackName, Version
from semidbench.scoring import Metrics
from semidbench.track import Share, Track

SCHEMA = 3
MAX_JSON_BYTES = 2**20
MAX_PARQUET_BYTES = 64 * 2**20
MAX_CUT_OFF = 10_000  # of R@k and NDCG@k, which take memory by it

Kind = Literal["scheme", "ranker"]


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
    """Which data a result was made on, and numbers about it; see semidbench.dataset.prepare.facts."""

    sha256: Sha256  # see semidbench.dataset.content
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


class Machine(Record):
    """What stages were computed on."""

    python: Version
    platform: str
    cpu: str


class Environment(Record):
    """Where the cell ran. Its stages may come from several machines."""

    device: str
    threads: int
    gpus: PositiveInt = 1  # that trained the generator together; results without this field are of one, or of none
    machines: tuple[Machine, ...]
    libraries: dict[PackageName, Version]  # those of the harness, and what the row's plugins require


class CellResult(Record):
    """One cell: track x scheme (or ranker) x seed."""

    semidbench_result: Literal[3] = 3
    kind: Kind
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

    Left out: the prose, the plan and what a submission needs (neither changes a number), and the methods' options
    (recorded per cell).
    """
    numbers = track.model_dump(mode="json", exclude={"about", "plan", "submission", "methods"})
    return _digest(numbers)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def slug(name: str, seed: int) -> str:
    """A file name for a cell: readable, safe on any file system, and of one cell only (it ends in a hash)."""
    readable = re.sub(r"[^a-z0-9.]+", "-", name.lower().replace("/", ".")).strip("-.")[:80] or "row"
    digest = hashlib.sha256(f"{name}\n{seed}".encode()).hexdigest()[:10]
    return f"{readable}-seed{seed}-{digest}"


def write_cell(folder: Path, cell: CellResult, cases: Mapping[Task, Cases]) -> CellResult:
    """Write a cell's two files into `folder` and give back the cell as written.

    Same cell, same library versions: same bytes.

    Raises:
        ValueError: the cell's metrics are not those of the cases, or it could not be read again.
    """
    check_metrics(cell, cases, lambda why: ValueError(f"{cell.name}: {why}"))
    data = to_parquet(cases)
    written = stamped(cell.model_copy(update={"placements_sha256": hashlib.sha256(data).hexdigest()}))
    CellResult.model_validate(written.model_dump(mode="json"))  # parts made in this process were not held to all rules
    folder.mkdir(parents=True, exist_ok=True)
    json_path, parquet_path = cell_paths(folder, cell)
    if parquet_path.exists() and parquet_path.read_bytes() != data:
        json_path.unlink(missing_ok=True)  # killed between the two, a missing cell is better than a false one
    write_atomically(parquet_path, data)
    write_atomically(json_path, cell_bytes(written))
    return written


def stamped(cell: CellResult) -> CellResult:
    """The cell with the hash of all its other fields."""
    return cell.model_copy(update={"result_sha256": _digest(cell.model_dump(mode="json", exclude={"result_sha256"}))})


def cell_bytes(cell: CellResult) -> bytes:
    """A cell's JSON, the only form in which it is read again."""
    fields = cell.model_dump(mode="json")
    return f"{json.dumps(fields, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)}\n".encode()


def cell_paths(folder: Path, cell: CellResult) -> tuple[Path, Path]:
    """Where a cell's JSON and Parquet stand."""
    name = slug(cell.name, cell.seed)
    return folder / f"{name}.json", folder / f"{name}.parquet"


def read_cells(folder: Path) -> list[CellResult]:
    """All cells in a folder of result files, sorted by kind, name and seed; none if it does not exist.

    Raises:
        UserError: a file that is damaged, changed, oversize, of another schema or without its Parquet; or cells of
            more than one track version, protocol, split, dataset or set of pretrained models.
    """
    cells = {path: read_cell(path) for path in sorted(folder.glob("*.json"))}
    for what, of in _ONE_PER_FOLDER:
        values = {of(cell): path for path, cell in cells.items()}
        if len(values) > 1:
            a, b = sorted(values)[:2]
            raise UserError(
                f"{folder} mixes {what}: {a} in {values[a].name} and {b} in {values[b].name}. "
                "A table holds one only: move one kind into a folder of its own"
            )
    return sorted(cells.values(), key=lambda cell: (cell.kind, cell.name, cell.seed))


_ONE_PER_FOLDER: tuple[tuple[str, Callable[[CellResult], str]], ...] = (
    ("track versions", lambda cell: f"{cell.track.name} version {cell.track.version}"),
    ("protocols of one track version", lambda cell: f"protocol {cell.track.protocol_sha256[:12]}"),
    ("splits", lambda cell: f"the {cell.split} split"),
    ("data", lambda cell: f"data {cell.dataset.sha256[:12]}"),
    ("pretrained models", lambda cell: f"models {_digest(cell.models)[:12]}"),
)


def read_cases(folder: Path, cell: CellResult) -> Mapping[Task, Cases]:
    """A cell's test cases from its Parquet.

    Raises:
        UserError: the file is missing, not the one that the JSON names, malformed, or gives other metrics.
    """
    path = cell_paths(folder, cell)[1]
    data = _read_parquet_bytes(path, cell)
    try:
        cases = from_parquet(data, sum(cell.metrics[task]["all"].n_cases for task in TASKS))
    except ValueError as error:
        raise UserError(f"{path} holds no placements: {one_line(error)}. {_RESTORE}") from error
    check_metrics(cell, cases, lambda why: UserError(f"{path}: {why}. {_RESTORE}"))
    return cases


_RESTORE = "Restore both files of the cell, or delete them and run it again"


def read_cell(path: Path) -> CellResult:
    """The cell in a JSON file.

    Raises:
        UserError: it is damaged, changed, oversize, of another schema, another cell's name or without its Parquet.
    """
    try:
        data = read_regular(path, MAX_JSON_BYTES)
        raw = json.loads(data)
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"cannot read result {path}: {one_line(error)}. {_RESTORE}") from error
    schema = raw.get("semidbench_result") if isinstance(raw, dict) else None
    if schema is None:
        raise UserError(f"{path} is not a semidbench result (no `semidbench_result`). Move it out of the folder")
    if schema != SCHEMA:
        made = f"this result has schema {str(schema)[:20]}, this semidbench reads {SCHEMA}"
        raise UserError(f"{path}: {made}: run the cell again, or use the semidbench that wrote it")
    try:
        cell = CellResult.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))[:100] or "top level"
        raise UserError(f"{path}: {place}: {one_line(first['msg'])}. {_RESTORE}") from error
    if cell_paths(path.parent, cell)[0] != path:
        right = f"{slug(cell.name, cell.seed)}.json"
        raise UserError(f"{path} holds {cell.name!r} seed {cell.seed}; that belongs in {right}")
    if cell_bytes(cell) != data or stamped(cell) != cell:
        raise UserError(f"{path} was changed after it was written (`result_sha256` is of other fields). {_RESTORE}")
    _read_parquet_bytes(cell_paths(path.parent, cell)[1], cell)
    return cell


def _read_parquet_bytes(path: Path, cell: CellResult) -> bytes:
    try:
        data = read_regular(path, MAX_PARQUET_BYTES)
    except OSError as error:
        raise UserError(f"cannot read the placements of {cell.name!r}: {one_line(error)}. {_RESTORE}") from error
    if hashlib.sha256(data).hexdigest() != cell.placements_sha256:
        raise UserError(f"{path} is not the file that its JSON was written with (sha256 differs). {_RESTORE}")
    return data


def read_regular(path: Path, limit: int) -> bytes:
    """A file's bytes, where nobody knows who wrote it.

    Raises:
        UserError: it is a link, a pipe or the like, or has more bytes than `limit`.
        OSError: it cannot be read.
    """
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise UserError(f"{path} is a link or no file. Put the file itself there, or delete it")
    if status.st_size > limit:
        raise UserError(f"{path} has {status.st_size:,} bytes, and at most {limit:,} are read. Delete the file")
    return path.read_bytes()
