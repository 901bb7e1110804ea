"""Result files: what is written is read back, the same bytes each time, and nothing else is taken for a result."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semidbench.api import TASKS, Task
from semidbench.errors import UserError
from semidbench.results import files
from semidbench.results.cases import Cases
from semidbench.results.cell_metrics import compute_metrics
from semidbench.results.cell_result import (
    CellResult,
    Distribution,
    Environment,
    MachineStamp,
    TrackStamp,
    protocol_sha256,
)
from semidbench.results.files import cell_bytes, cell_paths, read_cases, read_cells, stamped, write_cell
from semidbench.results.metrics import recall_at
from semidbench.results.placements import place_beams
from semidbench.store.files import slug
from semidbench.tracks.files import load_track
from tests.facts import FACTS, IDS

TRACK = load_track("smoke")
NAME = "multi-task[ratio=1:2]/rq-kmeans/shared"


def some_cases(seed: int = 0, n: int = 40) -> dict[Task, Cases]:
    rng = np.random.default_rng(seed)
    item_to_id = np.concatenate([np.arange(20), rng.integers(0, 20, 10)])
    found: dict[Task, Cases] = {}
    for task in TASKS:
        targets = rng.integers(0, 30, n)
        beams, scores = rng.integers(-1, 20, (n, 12)), np.zeros((n, 12), np.float32)
        placed = place_beams(beams, scores, item_to_id, targets)
        found[task] = Cases(placed, np.arange(n, dtype=np.int32) // 2, targets < 3)
    return found


def some_cell(cases: dict[Task, Cases], **changes: Any) -> CellResult:
    fields: dict[str, Any] = {
        "kind": "scheme",
        "track": TrackStamp(name=TRACK.name, version=TRACK.version, protocol_sha256=protocol_sha256(TRACK)),
        "split": "test",
        "name": NAME,
        "dataset": FACTS,
        "models": {},
        "options": {"embedder": {"ratio": "1:2"}},
        "seed": 0,
        "metrics": compute_metrics(cases, TRACK.evaluation),
        "ids": IDS,
        "id_table_sha256": "1" * 64,
        "rankings_sha256": "2" * 64,
        "distributions": (Distribution(name="semidbench-x", version="1", code_sha256="3" * 64),),
        "environment": Environment(
            device="cpu",
            threads=2,
            machines=(MachineStamp(python="3.11", platform="Linux", cpu="some"),),
            libraries={"numpy": "2"},
        ),
        "timings": {"embed": 1.5},
        "peak_memory_mib": 100.25,
    }
    return CellResult(**fields | changes)


def same(a: Cases, b: Cases) -> bool:
    columns = [(getattr(a.placements, name), getattr(b.placements, name)) for name in type(a.placements).__slots__]
    return all(np.array_equal(x, y) for x, y in [*columns, (a.units, b.units), (a.head, b.head)])


@pytest.fixture
def written(tmp_path: Path) -> tuple[Path, CellResult]:
    cases = some_cases()
    return tmp_path, write_cell(tmp_path, some_cell(cases), cases)


def test_a_cell_comes_back_as_it_was(written: tuple[Path, CellResult]) -> None:
    folder, cell = written
    assert read_cells(folder) == [cell]
    read, cases = read_cases(folder, cell), some_cases()
    assert all(same(read[task], cases[task]) for task in TASKS)
    assert sorted(path.suffix for path in folder.iterdir()) == [".json", ".parquet"]


def test_the_parquet_holds_row_numbers_only(written: tuple[Path, CellResult]) -> None:
    table = pq.read_table(cell_paths(*written)[1])
    whole = ("start", "size", "id_rank", "n_ids", "n_items", "unit")
    assert table.schema.names == ["task", *whole, "head"]
    assert all(table.schema.field(name).type == pa.int32() for name in whole)
    assert table.schema.field("head").type == pa.bool_()
    assert pa.types.is_dictionary(table.schema.field("task").type)


def test_metrics_follow_from_the_parquet_by_pandas(written: tuple[Path, CellResult]) -> None:
    frame = pq.read_table(cell_paths(*written)[1]).to_pandas()
    for task in TASKS:
        for group, rows in (
            ("all", frame),
            ("head", frame[frame["head"]]),
            ("torso", frame[~frame["head"]]),
        ):
            of = rows[rows["task"] == task]
            metrics = written[1].metrics[task][group]
            assert metrics.n_cases == len(of)
            recall = recall_at(of["start"].to_numpy(), of["size"].to_numpy(), 10)
            scores = of.assign(recall=recall, found=of["id_rank"].between(1, 5)).groupby("unit")
            expected = scores[["recall", "found", "n_ids", "n_items"]].mean().mean()
            assert metrics.recall[10] == pytest.approx(expected["recall"], abs=1e-12)
            assert metrics.id_recall is not None
            assert metrics.id_recall[5] == pytest.approx(expected["found"], abs=1e-12)
            assert metrics.mean_ids == pytest.approx(expected["n_ids"])
            assert metrics.mean_items == pytest.approx(expected["n_items"])


def test_all_is_the_weighted_mean_of_head_and_torso() -> None:
    cases = {
        task: Cases(each.placements, np.arange(len(each), dtype=np.int32), each.head)
        for task, each in some_cases().items()
    }
    for groups in compute_metrics(cases, TRACK.evaluation).values():
        total = sum((groups[part].recall[30] or 0) * groups[part].n_cases for part in ("head", "torso"))
        assert groups["all"].recall[30] == pytest.approx(total / groups["all"].n_cases, abs=1e-12)
        assert groups["head"].n_cases + groups["torso"].n_cases == groups["all"].n_cases


def test_a_group_without_cases_has_no_metrics(tmp_path: Path) -> None:
    cases = {task: Cases(c.placements, c.units, np.zeros(len(c), bool)) for task, c in some_cases().items()}
    cell = write_cell(tmp_path, some_cell(cases), cases)
    assert cell.metrics["rec"]["head"].recall == {5: None, 10: None, 30: None}
    assert read_cells(tmp_path) == [cell]


def test_the_same_cell_gives_the_same_bytes(tmp_path: Path) -> None:
    cases = some_cases()
    for folder in (tmp_path / "a", tmp_path / "b"):
        write_cell(folder, some_cell(cases), cases)
        write_cell(folder, some_cell(cases), cases)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
    text = cell_paths(tmp_path / "a", some_cell(cases))[0].read_text()
    assert text.endswith("}\n")
    assert list(json.loads(text)) == sorted(json.loads(text))


def test_metrics_that_do_not_follow_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="do not follow"):
        write_cell(tmp_path, some_cell(some_cases(0)), some_cases(1))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("fails_at", [1, 2])
def test_a_run_killed_while_writing_leaves_no_half_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    calls = 0
    real = files.write_atomically

    def killed(path: Path, data: bytes) -> None:
        nonlocal calls
        calls += 1
        if calls == fails_at:
            raise KeyboardInterrupt
        real(path, data)

    old, new = some_cases(0), some_cases(1)
    write_cell(tmp_path, some_cell(old, seed=1), old)
    write_cell(tmp_path, some_cell(old), old)
    monkeypatch.setattr(files, "write_atomically", killed)
    with pytest.raises(KeyboardInterrupt):
        write_cell(tmp_path, some_cell(new), new)
    assert [cell.seed for cell in read_cells(tmp_path)] == [1]


@given(st.text(min_size=1, max_size=300), st.integers(0, 10**6))
def test_slugs_are_safe_file_names(name: str, seed: int) -> None:
    assert re.fullmatch(r"[a-z0-9][a-z0-9.-]*", slug(name, seed))
    assert len(slug(name, seed)) <= 120


def test_slugs_are_of_one_cell_only() -> None:
    names = ["a[x=1]/b/c", "a[x=1,y=2]/b/c", "a-x-1/b/c", "a[x=1]/b/c-seed1", "a[x=A]/b/c", "a[x=a]/b/c", "-/-/c", "c"]
    assert len({slug(name, seed) for name in names for seed in (0, 1, 10)}) == 3 * len(names)


def edit(field: str, value: Any) -> Callable[[Path, Path], None]:
    def change(json_path: Path, _: Path) -> None:
        raw = json.loads(json_path.read_text())
        raw[field] = value
        json_path.write_text(json.dumps(raw))

    return change


def oversize(json_path: Path, _: Path) -> None:
    with json_path.open("ab") as file:
        file.truncate(16 * 2**20 + 1)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (edit("semidbench_result", 1), "this result has schema 1, this semidbench reads 3"),
        (edit("semidbench_result", None), "is not a semidbench result"),
        (edit("seed", "x"), "seed: "),
        (edit("peak_memory_mib", float("nan")), "peak_memory_mib: "),
        (edit("surprise", 1), "surprise: Extra inputs"),
        (edit("seed", 7), "that belongs in multi-task-ratio-1-2-.rq-kmeans.shared-seed7-"),
        (edit("placements_sha256", "0" * 64), "was changed after it was written"),
        (oversize, "16,777,217 bytes"),
        (lambda j, _: j.write_text('{"semidbench'), "cannot read result"),
        (lambda j, _: j.write_text("[" * 10**6), "cannot read result"),
        (lambda j, _: j.write_bytes(b"\xff\xfe{"), "cannot read result"),
        (lambda j, _: j.write_text("[]"), "is not a semidbench result"),
        (lambda _, p: p.unlink(), "cannot read the placements"),
        (lambda _, p: p.write_bytes(p.read_bytes()[:-1]), "sha256 differs"),
    ],
)
def test_damage_is_named_on_one_line(
    written: tuple[Path, CellResult], damage: Callable[[Path, Path], None], message: str
) -> None:
    folder, cell = written
    damage(*cell_paths(folder, cell))
    with pytest.raises(UserError, match=re.escape(message)) as raised:
        read_cells(folder)
    assert str(folder) in str(raised.value)
    assert "\n" not in str(raised.value)


def replace_parquet(folder: Path, cell: CellResult, data: bytes) -> CellResult:
    cell_paths(folder, cell)[1].write_bytes(data)
    return cell.model_copy(update={"placements_sha256": hashlib.sha256(data).hexdigest()})


def as_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue().to_pybytes())


def test_a_parquet_that_is_none_or_another_is_refused(written: tuple[Path, CellResult]) -> None:
    folder, cell = written
    table = pq.read_table(cell_paths(folder, cell)[1])
    negative = pa.array(np.full(len(table), -1, np.int32))
    fractions = pa.array(np.full(len(table), 0.5))
    for data in (
        b"PAR1 no PAR1",
        as_bytes(table.drop_columns(["unit"])),
        as_bytes(table.set_column(1, "start", negative)),
        as_bytes(table.set_column(1, "start", fractions)),
        as_bytes(table.set_column(0, "task", pa.array(["searching"] * len(table)))),
        as_bytes(table.set_column(7, "head", pa.array([None] * len(table), pa.bool_()))),
    ):
        with pytest.raises(UserError, match="holds no placements") as raised:
            read_cases(folder, replace_parquet(folder, cell, data))
        assert "\n" not in str(raised.value)


def test_metrics_edited_by_hand_are_found(written: tuple[Path, CellResult]) -> None:
    folder, cell = written
    json_path, _ = cell_paths(folder, cell)
    raw = json.loads(json_path.read_text())
    raw["metrics"]["rec"]["torso"]["recall"]["30"] += 1e-6
    json_path.write_bytes(cell_bytes(stamped(CellResult.model_validate(raw))))
    (edited,) = read_cells(folder)
    with pytest.raises(UserError, match="metrics in the JSON for rec, torso, do not follow"):
        read_cases(folder, edited)


def stamp(version: int) -> TrackStamp:
    return TrackStamp(name="smoke", version=version, protocol_sha256="0" * 64)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"track": stamp(99)}, f"smoke version {TRACK.version} .*smoke version 99"),
        ({"track": stamp(TRACK.version)}, "mixes protocols"),
        ({"split": "development"}, "the development split .*the test split"),
    ],
)
def test_a_folder_holds_one_track_version(
    written: tuple[Path, CellResult], changes: dict[str, Any], message: str
) -> None:
    folder, _ = written
    cases = some_cases()
    write_cell(folder, some_cell(cases, seed=1, **changes), cases)
    with pytest.raises(UserError, match=message):
        read_cells(folder)


def test_only_what_changes_numbers_is_in_the_protocols_hash() -> None:
    plan = TRACK.plan.model_copy(update={"seeds": 99})
    assert protocol_sha256(TRACK.model_copy(update={"plan": plan, "about": "x"})) == protocol_sha256(TRACK)
    decoding = TRACK.decoding.model_copy(update={"diversity_penalty": 0.5})
    assert protocol_sha256(TRACK.model_copy(update={"decoding": decoding})) != protocol_sha256(TRACK)


def test_a_folder_that_is_not_there_holds_no_cells(tmp_path: Path) -> None:
    assert read_cells(tmp_path / "none") == []
