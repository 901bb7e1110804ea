"""Result files: one JSON and one Parquet for each cell, written whole and read warily."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import ValidationError

from semidbench.api import TASKS, Task
from semidbench.errors import UserError, one_line
from semidbench.results.cases import Cases, from_parquet, to_parquet
from semidbench.results.cell_metrics import check_metrics
from semidbench.results.cell_result import SCHEMA, CellResult
from semidbench.store.files import read_regular, slug, write_atomically
from semidbench.store.json_text import hash_json

MAX_JSON_BYTES = 2**20


MAX_PARQUET_BYTES = 64 * 2**20


def write_cell(folder: Path, cell: CellResult, cases: Mapping[Task, Cases]) -> CellResult:
    """Write a cell's two files into `folder` and give back the cell as written.

    Same cell, same library versions: same bytes.

    Raises:
        ValueError: the cell's metrics are not those of the cases, or it could not be read again.
    """
    check_metrics(cell.metrics, cases, lambda why: ValueError(f"{cell.name}: {why}"))
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
    return cell.model_copy(update={"result_sha256": hash_json(cell.model_dump(mode="json", exclude={"result_sha256"}))})


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
    ("pretrained models", lambda cell: f"models {hash_json(cell.models)[:12]}"),
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
    check_metrics(cell.metrics, cases, lambda why: UserError(f"{path}: {why}. {_RESTORE}"))
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
