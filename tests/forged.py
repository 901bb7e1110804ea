"""A leaderboard of made-up results that passes every check, and ways to forge it so that its hashes still fit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from semidbench.api import TASKS, ItemIds, Task
from semidbench.ids.usage import id_use
from semidbench.results.cases import Cases, to_parquet
from semidbench.results.cell_metrics import compute_metrics
from semidbench.results.cell_result import (
    CellResult,
    DatasetStamp,
    Distribution,
    Environment,
    MachineStamp,
    TrackStamp,
    protocol_sha256,
)
from semidbench.results.files import cell_bytes, cell_paths, read_cases, read_cell, stamped, write_cell
from semidbench.results.placements import place_beams, place_scores
from semidbench.submissions.provenance_checks import STAGES
from semidbench.tracks.files import load_track

TRACK = load_track("demo")
SEEDS = TRACK.submission.seeds
ITEMS, USERS, QUERIES = 60, 40, 120
CONTENT, SEARCH, RANDOM, POPULARITY = "content/rq-kmeans/shared", "search/rq-kmeans/shared", "-/-/random", "popularity"
ROWS = (CONTENT, SEARCH, RANDOM, POPULARITY)
OPTIONS: dict[str, dict[str, Any]] = {
    CONTENT: {"embedder": {}, "quantizer": {"beam": 5}, "layout": {}},
    SEARCH: {"embedder": {**TRACK.methods.embedders["search"], "scale": 20.0}, "quantizer": {"beam": 5}, "layout": {}},
    RANDOM: {"layout": {}},
    POPULARITY: {"ranker": {}},
}


def made_cell(name: str, seed: int, **changes: Any) -> tuple[CellResult, dict[Task, Cases]]:
    """A result whose every part follows from random lists."""
    data, rng = np.random.default_rng(0), np.random.default_rng([seed, *name.encode()])
    codes = rng.integers(0, 32, (ITEMS, 2))
    codes[1] = codes[0]  # so that some item shares its ID
    distinct, item_to_id = np.unique(codes, axis=0, return_inverse=True)
    cases: dict[Task, Cases] = {}
    for task, count in (("search", QUERIES), ("rec", USERS)):
        targets = np.repeat(np.arange(ITEMS), 2) if task == "search" else data.integers(0, ITEMS, count)
        if "/" in name:
            beams = rng.integers(0, len(distinct), (count, 20))
            placed = place_beams(beams, np.zeros((count, 20), np.float32), item_to_id.reshape(-1), targets)
        else:
            placed = place_scores(rng.random((count, ITEMS), dtype=np.float32), targets)
        units = targets if task == "search" else np.arange(count)
        cases[task] = Cases(placed, units.astype(np.int32), targets < 3)
    ids = {task: id_use(ItemIds(codes, ("a", "b"), (32, 32))) for task in TASKS}
    fields: dict[str, Any] = {
        "kind": "scheme" if "/" in name else "ranker",
        "track": TrackStamp(name=TRACK.name, version=TRACK.version, protocol_sha256=protocol_sha256(TRACK)),
        "split": "test",
        "name": name,
        "dataset": DatasetStamp(
            sha256="d" * 64, items=ITEMS, users=USERS, train_interactions=90, train_queries=60, test_users=USERS,
            test_queries=QUERIES, shared_query_share=0.025, query_recall_ceiling=0.99, load=0.94, seen_item_share=1.0,
        ),
        "models": {},
        "options": OPTIONS.get(name, {}),
        "seed": seed,
        "metrics": compute_metrics(cases, TRACK.evaluation),
        "ids": ids if "/" in name else None,
        "id_table_sha256": "1" * 64 if "/" in name else None,
        "rankings_sha256": hashlib.sha256(f"{name}{seed}".encode()).hexdigest(),
        "distributions": tuple(
            Distribution(name=name, version="1", code_sha256="3" * 64) for name in ("semidbench", "semidbench-x")
        ),
        "environment": Environment(
            device="cpu",
            threads=TRACK.threads,
            machines=(MachineStamp(python="3.11.7", platform="Linux", cpu="some"),),
            libraries={"numpy": "2.4.6"},
        ),
        "timings": dict.fromkeys(sorted(STAGES["scheme" if "/" in name else "ranker"]), 1.5),
        "peak_memory_mib": 100.25,
    }  # fmt: skip
    return CellResult(**fields | changes), cases


def make_results(folder: Path, names: tuple[str, ...] = ROWS, seeds: int = SEEDS) -> None:
    for name in names:
        for seed in range(seeds):
            write_cell(folder, *made_cell(name, seed))


def path_of(folder: Path, name: str, seed: int) -> Path:
    return next(
        path
        for path in folder.glob(f"*-seed{seed}-*.json")
        if json.loads(path.read_text())["name"] == name and json.loads(path.read_text())["seed"] == seed
    )


def forge(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Change a result's JSON, make its hash and its file name fit again, and say where it is now."""
    raw = json.loads(path.read_text())
    change(raw)
    cell = stamped(CellResult.model_validate(raw))
    parquet = path.with_suffix(".parquet").read_bytes()
    for old in (path, path.with_suffix(".parquet")):
        old.unlink()
    new, beside = cell_paths(path.parent, cell)
    new.write_bytes(cell_bytes(cell))
    beside.write_bytes(parquet)
    return new


def forge_cases(path: Path, task: Task, **columns: Callable[[Any], Any]) -> Path:
    """Change columns of a result's Parquet and make all that is computed from them fit again."""
    cell = read_cell(path)
    cases = dict(read_cases(path.parent, cell))
    of = cases[task]
    placed = {
        name: change(getattr(of.placements, name)) for name, change in columns.items() if name not in ("units", "head")
    }
    rest = {name: change(getattr(of, name)) for name, change in columns.items() if name in ("units", "head")}
    cases[task] = replace(of, placements=replace(of.placements, **placed), **rest)
    data = to_parquet(cases)
    changed = cell.model_copy(
        update={
            "metrics": compute_metrics(cases, TRACK.evaluation),
            "placements_sha256": hashlib.sha256(data).hexdigest(),
        }
    )
    path.with_suffix(".parquet").write_bytes(data)
    path.write_bytes(cell_bytes(stamped(changed)))
    return path


def first(value: int) -> Callable[[Any], Any]:
    """A column with another number in its first case."""

    def change(column: Any) -> Any:
        changed = column.copy()
        changed[0] = value
        return changed

    return change
