"""What `semidbench export` writes, held to other programs that read it and to the harness's own numbers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import ir_measures
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from semidbench.api import TASKS, Task
from semidbench.cli import main
from semidbench.errors import UserError
from semidbench.exchange.export_files import write_files
from semidbench.exchange.export_ids import export_ids
from semidbench.exchange.export_trec import export_trec, qrels_lines, run_lines, strictly_falling
from semidbench.exchange.ids_parquet import from_parquet
from semidbench.exchange.imported_ids import IDS_VARIABLE, import_ids
from semidbench.ids.layout import ids_sha256, load_ids
from semidbench.machine.device import held_threads
from semidbench.methods.registry import load_registry
from semidbench.methods.resolve import resolve_scheme
from semidbench.results.cases import Cases
from semidbench.results.cell_result import CellResult
from semidbench.results.files import read_cases, read_cells
from semidbench.results.metrics import ndcg_at, recall_at
from semidbench.results.placements import first_occurrences, place_beams
from semidbench.runs.cell import run_cell
from semidbench.runs.reporter import Silent
from semidbench.runs.shared.session import Session, open_session
from semidbench.store.files import slug
from semidbench.tracks.files import load_track

ATOMIC, SHARED, SEPARATE = "-/-/atomic", "content/rq-kmeans/shared", "content+search/rq-kmeans/separate"
SMOKE = load_track("smoke")


@dataclass(frozen=True)
class Cells:
    """A store with finished cells of the smoke track, and the folder of their results."""

    session: Session
    store: Path
    results: Path

    def run(self, scheme: str) -> CellResult:
        """The result of seed 0."""
        row = resolve_scheme(load_registry(), scheme, SMOKE)
        with held_threads(SMOKE.threads):
            run_cell(self.session, row, 0, self.results, Silent(), {})
        return self.result(row.name)

    def result(self, scheme: str) -> CellResult:
        return next(cell for cell in read_cells(self.results) if cell.name == scheme)

    def cases(self, scheme: str) -> Mapping[Task, Cases]:
        return read_cases(self.results, self.result(scheme))


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Cells:
    store = tmp_path_factory.mktemp("store")
    session = open_session(SMOKE, "test", None, store, "cpu")
    made = Cells(session, store, tmp_path_factory.mktemp("results"))
    for scheme in (ATOMIC, SHARED, SEPARATE):
        made.run(scheme)
    return made


@pytest.fixture(scope="module")
def trec(cells: Cells, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folder of each scheme's run and qrels files."""
    folders = {scheme: tmp_path_factory.mktemp("trec") for scheme in (ATOMIC, SHARED)}
    for scheme, folder in folders.items():
        export_trec("smoke", scheme, cache=cells.store, out=folder)
    return folders


def aggregated(values: Mapping[str, float], qrels: Path) -> float:
    """The mean over units of the mean of their queries, as docs/how-to/exchange.md computes it from the files alone."""
    units: dict[str, list[float]] = {}
    for line in qrels.read_text().splitlines():
        query, _, item, _ = line.split()
        units.setdefault(item if qrels.name.startswith("search") else query, []).append(values.get(query, 0.0))
    return float(np.mean([np.mean(of_unit) for of_unit in units.values()]))


Values = dict[Task, dict[str, dict[str, float]]]  # by task, measure and query


def by_ir_measures(folder: Path, names: list[str]) -> Values:
    measures = {ir_measures.parse_measure(name): name for name in names}
    found: Values = {task: {name: {} for name in names} for task in TASKS}
    for task in TASKS:
        qrels = ir_measures.read_trec_qrels(str(folder / f"{task}.qrels.trec"))
        run = ir_measures.read_trec_run(str(folder / f"{task}.run.trec"))
        for metric in ir_measures.iter_calc(list(measures), qrels, run):
            found[task][measures[metric.measure]][metric.query_id] = metric.value
    return found


RANX = """
import json, ranx, sys
found = {}
for task in ("search", "rec"):
    run, qrels = (kind.from_file(f"{sys.argv[1]}/{task}.{name}.trec", kind="trec")
                  for kind, name in ((ranx.Run, "run"), (ranx.Qrels, "qrels")))
    ranx.evaluate(qrels, run, sys.argv[2:], make_comparable=True)
    found[task] = [{query: float(value) for query, value in run.scores[name].items()} for name in sys.argv[2:]]
print(json.dumps(found))
"""


def by_ranx(folder: Path, names: list[str]) -> Values:
    # numba would compile for a minute; a process of its own runs the same code without
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-c", RANX, str(folder), *(name.lower().replace("r@", "recall@") for name in names)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    return {task: dict(zip(names, found[task], strict=True)) for task in TASKS}


@pytest.mark.parametrize("evaluator", [by_ir_measures, by_ranx])
def test_others_read_the_harness_numbers_where_nothing_ties(
    cells: Cells, trec: dict[str, Path], evaluator: Callable[[Path, list[str]], Values]
) -> None:
    """Atomic IDs never collide: every table number follows from the files, and every query's."""
    recalls = {f"R@{k}": k for k in SMOKE.evaluation.recall_at}
    ndcgs = {f"nDCG@{k}": k for k in SMOKE.evaluation.ndcg_at}
    found = evaluator(trec[ATOMIC], [*recalls, *ndcgs])
    for task in TASKS:
        table, placed = cells.result(ATOMIC).metrics[task]["all"], cells.cases(ATOMIC)[task].placements
        assert (placed.size <= 1).all()
        ours = {name: (table.recall[k], recall_at(placed.start, placed.size, k)) for name, k in recalls.items()}
        ours |= {name: (table.ndcg[k], ndcg_at(placed.start, placed.size, k)) for name, k in ndcgs.items()}
        for name, (mean, values) in ours.items():
            theirs = found[task][name]
            assert aggregated(theirs, trec[ATOMIC] / f"{task}.qrels.trec") == pytest.approx(mean, abs=1e-6)
            of_queries = [theirs.get(str(query), 0.0) for query in range(len(values))]
            np.testing.assert_allclose(of_queries, values, rtol=0, atol=1e-6)


def read_run(path: Path) -> dict[int, list[tuple[int, int, float]]]:
    """(item, rank, score) of each query's lines, in the file's order."""
    found: dict[int, list[tuple[int, int, float]]] = {}
    for line in path.read_text().splitlines():
        query, constant, item, rank, score, tag = line.split(" ")
        assert constant == "Q0"
        assert tag == slug(SHARED, 0)
        found.setdefault(int(query), []).append((int(item), int(rank), float(score)))
    return found


@pytest.mark.parametrize("task", TASKS)
def test_ties_are_the_items_of_one_id(cells: Cells, trec: dict[str, Path], task: Task) -> None:
    """With collisions, a target's group in the file is the one that the harness counted: same p, same g."""
    placed, lists = cells.cases(SHARED)[task].placements, read_run(trec[SHARED] / f"{task}.run.trec")
    qrels = [line.split() for line in (trec[SHARED] / f"{task}.qrels.trec").read_text().splitlines()]
    assert [int(query) for query, *_ in qrels] == list(range(len(placed)))
    assert (placed.size > 1).any()
    for query, _, target, relevance in qrels:
        ranked = lists[int(query)]
        assert relevance == "1"
        assert [rank for _, rank, _ in ranked] == list(range(1, len(ranked) + 1))
        assert ranked == sorted(ranked, key=lambda line: (-line[2], line[0]))  # ties by item number
        scores = {item: score for item, _, score in ranked}
        own = scores.get(int(target))
        start = 0 if own is None else 1 + sum(score > own for score in scores.values())
        size = 0 if own is None else sum(score == own for score in scores.values())
        assert (start, size, len(ranked)) == tuple(
            int(column[int(query)]) for column in (placed.start, placed.size, placed.n_items)
        )


def test_others_differ_only_where_the_cut_goes_through_a_tie(cells: Cells, trec: dict[str, Path]) -> None:
    """There the harness has the expectation over the ties' orders, and others the value of one order."""
    found, cut = by_ir_measures(trec[SHARED], ["R@5", "R@10", "R@30"]), 0
    for task in TASKS:
        placed = cells.cases(SHARED)[task].placements
        for k in (5, 10, 30):
            ours = recall_at(placed.start, placed.size, k)
            theirs = np.array([found[task][f"R@{k}"].get(str(query), 0.0) for query in range(len(ours))])
            through = (placed.start <= k) & (k < placed.start + placed.size - 1)
            np.testing.assert_allclose(theirs[~through], ours[~through], rtol=0, atol=1e-6)
            assert ((ours[through] > 0) & (ours[through] < 1)).all()
            assert np.isin(theirs[through], [0, 1]).all()
            cut += through.sum()
    assert cut > 0


SCORES = st.sampled_from([0.0, -1.0, -1.0000001, -1.0000002, -1e-45, -3e38])


@settings(deadline=None)
@given(arrays(np.float32, st.tuples(st.integers(1, 3), st.integers(1, 6)), elements=SCORES), st.data())
def test_scores_are_made_to_differ_and_keep_their_order(scores: np.ndarray, data: st.DataObject) -> None:
    scores = -np.sort(-scores, axis=1)
    used = data.draw(arrays(bool, scores.shape))
    found = strictly_falling(scores, used)
    for row, new, kept in zip(scores, found, used, strict=True):
        assert (np.diff(new[kept]) < 0).all()
        assert (new[kept] <= row[kept]).all()
        if len(set(row[kept].tolist())) == kept.sum():  # nothing tied: nothing changed
            np.testing.assert_array_equal(new[kept], row[kept])
        text = [float(repr(value)) for value in new[kept].tolist()]
        assert np.array(text, np.float32).tolist() == new[kept].tolist()


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 9))
def test_lines_place_targets_as_the_harness_does(seed: int, n_ids: int, n_beams: int) -> None:
    """Duplicates, unused beams and IDs of several items, at random; equal scores of different IDs among them."""
    rng = np.random.default_rng(seed)
    item_to_id = np.concatenate([np.arange(n_ids), rng.integers(0, n_ids, 5)])
    beams = rng.integers(-1, n_ids, (4, n_beams))
    scores = -np.sort(rng.integers(0, 3, (4, n_beams)), axis=1).astype(np.float32)
    targets = rng.integers(0, len(item_to_id), 4)
    placed = place_beams(beams, scores, item_to_id, targets)
    lines = b"".join(run_lines(beams, scores, item_to_id, "tag")).decode().splitlines()
    lists: list[dict[int, float]] = [{} for _ in targets]
    for line in lines:
        query, _, item, _, score, _ = line.split()
        lists[int(query)][int(item)] = float(score)
    for query, (target, of_query) in enumerate(zip(targets.tolist(), lists, strict=True)):
        own = of_query.get(target)
        assert placed.start[query] == (0 if own is None else 1 + sum(score > own for score in of_query.values()))
        assert placed.size[query] == (0 if own is None else sum(score == own for score in of_query.values()))
    assert len(lines) == placed.n_items.sum()
    assert first_occurrences(beams).sum() == placed.n_ids.sum()


def test_many_queries_are_written_in_pieces() -> None:
    targets = np.arange(5000)
    pieces = list(qrels_lines(targets))
    assert len(pieces) > 1
    assert b"".join(pieces) == b"".join(b"%d 0 %d 1\n" % (query, query) for query in range(5000))
    beams, scores = np.zeros((5000, 1), int), np.zeros((5000, 1), np.float32)
    lines = b"".join(run_lines(beams, scores, np.array([0]), "t")).splitlines()
    assert [int(line.split()[0]) for line in lines] == list(range(5000))


def test_an_export_says_what_made_it(cells: Cells, trec: dict[str, Path]) -> None:
    about, cell = json.loads((trec[SHARED] / "trec.about.json").read_text()), cells.result(SHARED)
    assert about["semidbench_trec"] == 1
    assert about["id_table_sha256"] == cell.id_table_sha256
    assert about["rankings_sha256"] == cell.rankings_sha256
    assert about["made_by"]["track"] == cell.track.model_dump()
    assert (about["made_by"]["scheme"], about["made_by"]["seed"]) == (SHARED, 0)
    assert about["made_by"]["dataset_sha256"] == cell.dataset.sha256
    assert sorted(path.name for path in trec[SHARED].iterdir()) == sorted([*about["files"], "trec.about.json"])


@pytest.mark.parametrize("scheme", [SHARED, SEPARATE])
def test_ids_come_back_as_they_were(cells: Cells, scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exported, imported and run, IDs give the code table and the rankings of the scheme that they come from."""
    monkeypatch.setenv(IDS_VARIABLE, str(tmp_path / "ids"))
    (path,) = export_ids("smoke", scheme, cache=cells.store, out=tmp_path)
    imported = import_ids(path, None, "back", SMOKE, cells.session.dataset.train.n_items)
    again, first = cells.run(imported.scheme), cells.result(scheme)
    assert again.id_table_sha256 == first.id_table_sha256
    assert again.rankings_sha256 == first.rankings_sha256
    assert again.metrics == first.metrics
    assert again.options["layout"] == {"ids": "back", "sha256": str(first.id_table_sha256)[:12]}


@pytest.mark.parametrize("scheme", [SHARED, SEPARATE])
def test_the_index_tells_the_same_items_apart(
    cells: Cells, scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JSON has no room for codes that no item has; the others are numbered anew, in their order."""
    monkeypatch.setenv(IDS_VARIABLE, str(tmp_path / "ids"))
    *files, about = export_ids("smoke", scheme, format="json", cache=cells.store, out=tmp_path)
    (parquet,) = export_ids("smoke", scheme, cache=cells.store, out=tmp_path)
    assert [path.name for path in files] == (
        ["ids.search.json", "ids.rec.json"] if scheme == SEPARATE else ["ids.json"]
    )
    told = json.loads(about.read_text())
    assert (told["semidbench_id_index"], told["id_table_sha256"]) == (1, cells.result(scheme).id_table_sha256)
    n_items = cells.session.dataset.train.n_items
    back = import_ids(files[0], files[1] if len(files) > 1 else None, "back", SMOKE, n_items).ids
    ids = from_parquet(parquet.read_bytes(), "").ids
    for task in TASKS:
        used = [np.unique(level) for level in ids[task].codes.T]
        assert back[task].slots == ids[task].slots
        assert back[task].sizes == tuple(map(len, used))
        for level, codes in enumerate(used):
            np.testing.assert_array_equal(codes[back[task].codes[:, level]], ids[task].codes[:, level])
        assert told["tasks"][task]["sizes"] == list(ids[task].sizes)


def test_the_index_is_what_codebases_read(cells: Cells, tmp_path: Path) -> None:
    """Item number to token strings, a letter a level: {"0": ["<a_11>", "<b_3>"], ...}; stage and file agree."""
    files = export_ids("smoke", SEPARATE, format="json", cache=cells.store, out=tmp_path)
    wanted = cells.result(SEPARATE).id_table_sha256
    stages = [load_ids(stage.parent) for stage in (cells.store / "ids").glob("*/stage.json")]
    ids = next(stage for stage in stages if ids_sha256(stage) == wanted)
    for path, task, letters in ((files[0], "search", "ab"), (files[1], "rec", "cd")):
        index = json.loads(path.read_text())
        expected = {
            str(item): [f"<{letter}_{code}>" for letter, code in zip(letters, codes, strict=True)]
            for item, codes in enumerate(ids[task].codes.tolist())  # type: ignore[index]
        }
        assert index == expected


def test_the_parquet_has_a_row_for_each_item_and_task(cells: Cells, tmp_path: Path) -> None:
    (path,) = export_ids("smoke", SEPARATE, cache=cells.store, out=tmp_path)
    table = pq.read_table(path)
    assert table.column_names == ["task", "item", "code_1", "code_2"]
    assert table["item"].to_pylist() == list(range(240)) * 2
    assert table["task"].to_pylist() == ["search"] * 240 + ["rec"] * 240
    held = json.loads(table.schema.metadata[b"semidbench_ids"])
    assert held["format"] == 1
    assert held["search"] == {"slots": ["search-1", "search-2"], "sizes": [16, 16]}
    assert held["made_by"]["scheme"] == SEPARATE
    assert held["id_table_sha256"] == cells.result(SEPARATE).id_table_sha256


def test_the_same_cell_gives_the_same_bytes(cells: Cells, trec: dict[str, Path], tmp_path: Path) -> None:
    again = export_trec("smoke", SHARED, cache=cells.store, out=tmp_path)
    assert {path.name: path.read_bytes() for path in again} == {
        path.name: path.read_bytes() for path in trec[SHARED].iterdir()
    }
    for format in ("parquet", "json"):
        first, second = (
            [path.read_bytes() for path in export_ids("smoke", SEPARATE, format=format, cache=cells.store, out=out)]  # type: ignore[arg-type]
            for out in (tmp_path / "one", tmp_path / "two")
        )
        assert first == second


def test_nothing_is_computed(cells: Cells, trec: dict[str, Path], tmp_path: Path) -> None:
    before = set(cells.store.rglob("stage.json"))
    with pytest.raises(UserError, match=r"its ids is not in .* `semidbench run --track smoke .* --seeds 4`"):
        export_trec("smoke", SHARED, 3, cache=cells.store, out=tmp_path / "out")
    with pytest.raises(UserError, match=r"its ids is not in .*--scheme -/-/random --seeds 1`"):
        export_ids("smoke", "-/-/random", cache=cells.store, out=tmp_path / "out")
    assert set(cells.store.rglob("stage.json")) == before
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("scheme", "seed", "message"),
    [
        ("bm25", 0, "bm25 is a ranker: it has no IDs"),
        ("popularity[x=1]", 0, "is a ranker"),
        ("content/shared", 0, "has 2 parts, not 3"),
        (ATOMIC, -1, "seed must not be negative"),
    ],
)
def test_refuses_in_one_line(scheme: str, seed: int, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message) as refused:
        export_trec("smoke", scheme, seed, cache=tmp_path / "cache", out=tmp_path / "out")
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")

    def cut_short() -> object:
        yield b"new"
        raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match=r"cannot write to .*No space left on device.*--out"):
        write_files(tmp_path, {"a": [b"new"], "b": cut_short()})  # type: ignore[dict-item]
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "old"}
    with pytest.raises(UserError, match="cannot write to"):
        write_files(tmp_path / "a" / "below", {"a": [b"new"]})


def test_command_line(
    cells: Cells, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("semidbench-export/smoke") / slug(ATOMIC, 0)
    for words, files in (
        (["trec"], ["search.run.trec", "search.qrels.trec", "rec.run.trec", "rec.qrels.trec", "trec.about.json"]),
        (["ids"], ["ids.parquet"]),
        (["ids", "--format", "json"], ["ids.json", "ids.about.json"]),
    ):
        common = ["--track", "smoke", "--scheme", ATOMIC, "--cache", str(cells.store)]
        monkeypatch.setattr(sys, "argv", ["semidbench", "export", *words, *common])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
        assert capsys.readouterr().out.splitlines() == [str(folder / name) for name in files]
        assert all((folder / name).stat().st_size for name in files)
