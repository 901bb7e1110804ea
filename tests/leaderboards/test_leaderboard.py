"""Leaderboards from synthetic results whose winners are known."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from semidbench.api import TASKS, Task
from semidbench.errors import UserError
from semidbench.leaderboards.board import Leaderboard, leaderboard
from semidbench.leaderboards.grids import Cell, main_grid, pairs_grid
from semidbench.leaderboards.significance import paired_tests
from semidbench.leaderboards.tables import render, to_rich, write_tables
from semidbench.leaderboards.verdicts.column import column_verdicts
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
from semidbench.results.files import read_cells, write_cell
from semidbench.results.metrics import recall_at
from semidbench.results.placements import Placements, place_scores
from semidbench.store.json_text import json_text
from semidbench.tracks.files import load_track
from tests.facts import FACTS, IDS

TRACK = load_track("smoke")
CONTENT, SEARCH, REC = "content/rq-kmeans/shared", "search/rq-kmeans/shared", "rec/rq-kmeans/shared"
TRICKY = r"-/-/imported[path=a--b_c|*c*<ins>\`$x$&%#{~^}\\|\_]"
N_ITEMS, N_CASES = 120, 240


def cases_of(name: str, seed: int, skill: Mapping[Task, float], n_cases: int = N_CASES) -> dict[Task, Cases]:
    """Random scores in which the target has a lead of `skill`."""
    data = np.random.default_rng(0)
    noise = np.random.default_rng([seed, *name.encode()])
    found: dict[Task, Cases] = {}
    for task in TASKS:
        targets = data.integers(0, N_ITEMS, n_cases)
        scores = noise.random((n_cases, N_ITEMS)).astype(np.float32).round(2)
        scores[np.arange(n_cases), targets] += np.float32(skill[task])
        units = targets if task == "search" else np.arange(n_cases)
        p = place_scores(scores, targets)
        if "/" in name:
            listed = np.full(n_cases, 30, np.int32)
            p = Placements(p.start, p.size, p.start, listed, listed)
        found[task] = Cases(p, units.astype(np.int32), targets < 20)
    return found


def write(
    out: Path, name: str, seed: int, search: float, rec: float, n_cases: int = N_CASES, **changes: Any
) -> CellResult:
    cases = cases_of(name, seed, {"search": search, "rec": rec}, n_cases)
    fields: dict[str, Any] = {
        "kind": "scheme" if "/" in name else "ranker",
        "track": TrackStamp(name=TRACK.name, version=TRACK.version, protocol_sha256=protocol_sha256(TRACK)),
        "split": "test",
        "name": name,
        "dataset": FACTS,
        "models": {},
        "options": {},
        "seed": seed,
        "metrics": compute_metrics(cases, TRACK.evaluation),
        "ids": IDS if "/" in name else None,
        "id_table_sha256": "1" * 64 if "/" in name else None,
        "rankings_sha256": "0" * 64,
        "distributions": (Distribution(name="some-plugin", version="1", code_sha256="0" * 64),),
        "environment": environment_of(),
        "timings": {},
        "peak_memory_mib": 1,
    }
    return write_cell(out / TRACK.name / "results", CellResult(**fields | changes), cases)


CELLS = [
    *((name, seed, *skill) for seed in range(3) for name, skill in (
        (REC, (0.0, 0.6)), (TRICKY, (0.0, 0.0)), (SEARCH, (0.6, 0.2)), (CONTENT, (0.3, 0.2)),
    )),
    ("popularity", 0, 0.0, 0.9),
    ("bm25", 0, 0.9, 0.0),
]  # fmt: skip


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out")
    for cell in CELLS:
        write(folder, *cell)
    return folder


@pytest.fixture(scope="module")
def board(out: Path) -> Leaderboard:
    return leaderboard("smoke", out)


def cells_of(board: Leaderboard, column: str) -> dict[str, Cell]:
    grid = main_grid(board)
    at = grid.headers.index(column)
    return {row[1].text: row[at] for row in (*grid.rows, *grid.references)}


def test_rows_come_in_the_plans_order_then_by_name(board: Leaderboard) -> None:
    assert [(row.number, row.name) for row in board.rows] == [(1, CONTENT), (2, SEARCH), (3, REC), (4, TRICKY)]
    assert [(row.number, row.name) for row in board.references] == [(None, "popularity"), (None, "bm25")]


def test_best_second_and_superscripts(board: Leaderboard) -> None:
    cells = cells_of(board, "Search R@30 All")
    assert {name for name, cell in cells.items() if cell.best} == {SEARCH}
    assert {name for name, cell in cells.items() if cell.second} == {CONTENT}
    assert {name: cell.beats for name, cell in cells.items() if cell.beats} == {SEARCH: "134", CONTENT: "34"}
    rec = cells_of(board, "Recommendation R@30 All")
    assert rec[REC].best
    assert rec[REC].beats == "124"
    assert not any(
        (cell.best, cell.second, cell.beats) != (False, False, "") for cell in (rec["popularity"], rec["bm25"])
    )


def test_numbers_are_means_and_deviations_over_seeds(board: Leaderboard) -> None:
    values = []
    for seed in range(3):
        p = cases_of(SEARCH, seed, {"search": 0.6, "rec": 0.2})["search"]
        recall = recall_at(p.placements.start, p.placements.size, 30)[~p.head]
        values.append(np.mean([recall[p.units[~p.head] == unit].mean() for unit in np.unique(p.units[~p.head])]))
    expected = f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"
    assert cells_of(board, "Search R@30 Torso")[SEARCH].text == expected
    assert cells_of(board, "Search R@30 Torso")["bm25"].text.endswith("± –")


def test_the_family_is_the_numbered_pairs_of_a_column(board: Leaderboard) -> None:
    assert [(c.task, c.group) for c in board.columns] == [(t, g) for t in TASKS for g in ("all", "head", "torso")]
    assert {column.tests.m for column in board.columns} == {6}
    searched = cases_of(SEARCH, 0, {"search": 0.6, "rec": 0.2})["search"]
    assert board.columns[0].tests.n == len(np.unique(searched.units))
    assert board.columns[1].tests.n == len(np.unique(searched.units[searched.head]))
    assert board.columns[3].tests.n == N_CASES


def test_every_difference_that_holds_or_is_likely_is_listed(board: Leaderboard) -> None:
    listed = pairs_grid(board).rows
    assert len(listed) == sum(int((c.verdicts.holds | c.verdicts.likely).sum()) for c in board.columns) > 0
    line = next(row for row in listed if row[0].text == "Search All" and row[1].text == f"2 {SEARCH}")
    verdicts, other = board.columns[0].verdicts, int(line[2].text.split()[0]) - 1
    half = verdicts.margin_of_error[1, other]
    difference = verdicts.difference[1, other]
    assert line[3].text == f"{difference:.3f}"
    assert line[4].text == f"{difference - half:+.3f} to {difference + half:+.3f}"
    assert (line[5].text, line[6].text) == (f"{verdicts.holm[1, other]:.1e}", f"{verdicts.fdr[1, other]:.1e}")
    assert line[7].text == "3/3"
    assert line[8].text == "holds"


def test_a_pair_that_holds_against_all_is_marked(board: Leaderboard) -> None:
    """In Head the reverse of what holds in All holds: a board whose columns are made to disagree."""
    every, head = board.columns[:2]
    named = [row.name for row in every.scores]
    scores = tuple(replace(row, name=name) for row, name in zip(every.scores[::-1], named, strict=True))
    tests = paired_tests(scores, 0.05, 0.8)
    turned = replace(head, scores=scores, tests=tests, verdicts=column_verdicts(scores, tests))
    lines = pairs_grid(replace(board, columns=(every, turned, *board.columns[2:]))).rows
    marked = [line for line in lines if line[8].text == "holds (in All the reverse holds)"]
    assert marked
    assert {line[0].text for line in marked} == {"Search Head"}
    assert not [line for line in pairs_grid(board).rows if "reverse" in line[8].text]


def test_the_caption_says_what_was_tested(board: Leaderboard) -> None:
    text = " ".join(render(board, "md").split())
    n = board.columns[0].tests.n
    assert f"Track smoke, version {TRACK.version}, test split" in text
    verdicts = board.columns[0].verdicts
    hold, likely = int(verdicts.holds.sum()), int(verdicts.likely.sum())
    detectable = board.columns[0].tests.detectable
    assert f"All ({N_CASES} cases): n = {n}, m = 6, d = {detectable:.3f}; {hold} hold, {likely} are likely" in text
    for words in (
        "alpha = 0.05",
        "rows differ in their seeds: 0, 1, 2 for",
        "0 for popularity, bm25",
        "broken uniformly at random, in expectation",
        "Ours, the paper is silent",
        "leaves out that other seeds give other means",
        "both are random in a crossed (quasi-F) test",
        "lies within ±0.01 (our margin)",
        "1% of items",
    ):
        assert words in text


def test_names_survive_markdown(board: Leaderboard) -> None:
    text = render(board, "md")
    tables = [token for token in MarkdownIt("commonmark").enable("table").parse(text) if token.type == "inline"]
    names = ["".join(child.content for child in token.children or []) for token in tables]
    assert names.count(TRICKY) == 3  # the main table and the two full ones
    assert f"4 {TRICKY}" in names  # the pairs
    assert len(re.findall(r"\*\*\d\.\d+ ± \d\.\d+\*\*<sup>134</sup>", text)) >= 1
    assert "<ins>" in text
    assert "`<ins>` (underlined) the second" in text
    assert text.index(CONTENT) < text.index("*Reference rows, not tested:*") < text.index("popularity")


def test_names_are_inert_in_latex(board: Leaderboard) -> None:
    text = render(board, "latex")
    expected = (
        r"-/-/imported{[}path=a-{}-b\_c\textbar{}*c*\textless{}ins\textgreater{}\textbackslash{}`\$x\$\&\%\#\{"
        r"\textasciitilde{}\textasciicircum{}\}\textbackslash{}\textbackslash{}\textbar{}\textbackslash{}\_{]}"
    )
    assert text.count(expected) >= 3
    assert re.search(r"\\textbf\{0\.\d+ \$\\pm\$ 0\.\d+\}\$\^\{134\}\$", text)
    assert r"\underline{" in text
    table = text.split(r"\end{table}")[0].split("\n")
    rule = max(i for i, line in enumerate(table[: table.index(r"\end{tabular}") - 1]) if line == r"\hline")
    assert REC in "".join(table[:rule])
    assert "popularity" in table[rule + 1]


def test_csv_holds_everything_and_no_formula(board: Leaderboard) -> None:
    lines = list(csv.DictReader(io.StringIO(render(board, "csv"))))
    assert not any(value.startswith(("=", "+", "-", "@")) for line in lines for value in line.values())
    assert {line["row"] for line in lines} == {CONTENT, SEARCH, REC, f"'{TRICKY}", "popularity", "bm25"}
    key = {"row": SEARCH, "task": "rec", "group": "head", "metric": "NDCG@10"}
    (line,) = [line for line in lines if key.items() <= line.items()]
    row = board.rows[1]
    assert float(line["mean"]) == pytest.approx(row.mean(("rec", "head", "NDCG@10")), rel=1e-9)
    assert float(line["std"]) == pytest.approx(row.std(("rec", "head", "NDCG@10")), rel=1e-9)
    assert (line["number"], line["n_seeds"], line["kind"]) == ("2", "3", "scheme")
    (single,) = [line for line in lines if {**key, "row": "bm25"}.items() <= line.items()]
    assert (single["number"], single["std"]) == ("", "")


def test_json_is_versioned_and_holds_every_test(board: Leaderboard) -> None:
    raw = json.loads(render(board, "json"))
    assert raw["semidbench_leaderboard"] == 4
    assert raw["equivalence_margin"] == 0.01
    assert raw["track"]["version"] == TRACK.version
    assert [row["name"] for row in raw["rows"]] == [row.name for row in board.rows]
    for column, said in zip(board.columns, raw["columns"], strict=True):
        listed = [dict(zip(said["pairs"], values, strict=True)) for values in zip(*said["pairs"].values(), strict=True)]
        assert len(listed) == said["paper_test"]["m"] == said["verdicts"]["m"] == 6
        spread = column.verdicts.tests.spread
        assert said["verdicts"]["rows"]["seed_deviation"] == pytest.approx(np.sqrt(spread.own), rel=1e-9)
        for pair in listed:
            a, b, tests, verdicts = pair["a"] - 1, pair["b"] - 1, column.tests, column.verdicts
            assert pair["difference"] == pytest.approx(tests.difference[a, b], rel=1e-9)
            assert pair["difference"] >= 0
            assert pair["paper_corrected_p"] == pytest.approx(tests.p[a, b], rel=1e-9)
            assert pair["holm_p"] == pytest.approx(verdicts.holm[a, b], rel=1e-9)
            assert pair["bh_p"] == pytest.approx(verdicts.fdr[a, b], rel=1e-9)
            assert pair["margin_of_error"] == pytest.approx(verdicts.margin_of_error[a, b], rel=1e-9)
            assert pair["equivalent"] == verdicts.equivalent(0.01)[a, b]
            assert (pair["seeds_ahead"], pair["common_seeds"]) == (tests.seeds_ahead[a, b], tests.n_seeds[a, b])
            assert (pair["paper_significant"], pair["verdict"]) == (tests.beats(a, b), verdicts.verdict(a, b))
    first = raw["columns"][0]["pairs"]
    at = list(zip(first["a"], first["b"], strict=True)).index((2, 1))
    assert first["paper_significant"][at]
    assert first["verdict"][at] == "holds"


@pytest.mark.parametrize("width", [80, 160])
def test_the_terminal_shows_names_as_they_are(board: Leaderboard, width: int) -> None:
    console = Console(width=width, file=io.StringIO(), color_system="standard", force_terminal=True)
    console.print(to_rich(board))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "¹³⁴" in text
    assert "\x1b[1m0." in text
    assert "\x1b[4m0." in text
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert all(len(line) <= width for line in plain.split("\n"))
    assert f"n = {board.columns[0].tests.n}, m = 6" in " ".join(plain.split())
    if width == 160:
        assert TRICKY in plain


def test_tables_do_not_depend_on_order_locale_or_hash_seed(out: Path, board: Leaderboard, tmp_path: Path) -> None:
    for cell in reversed(CELLS):
        write(tmp_path, *cell)
    code = (
        "import locale, sys; locale.setlocale(locale.LC_ALL, '');"
        "from semidbench.leaderboards.board import leaderboard;"
        "from semidbench.leaderboards.tables import write_tables;"
        "write_tables(leaderboard('smoke', sys.argv[1]), sys.argv[1])"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7", "LC_ALL": "C", "PYTHONUTF8": "0"}
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    paths = write_tables(board, out)
    assert [path.name for path in paths] == [f"leaderboard.{suffix}" for suffix in ("md", "csv", "json", "tex")]
    for path in paths:
        assert path.read_bytes() == (tmp_path / "smoke" / path.name).read_bytes()
        assert path.read_bytes().endswith(b"\n")


def test_ten_rows_get_commas_between_superscripts(tmp_path: Path) -> None:
    for i in range(10):
        write(tmp_path, f"x{i}/y/z", 0, 0.9 if i == 0 else 0.0, 0.0)
    assert cells_of(leaderboard("smoke", tmp_path), "Search R@30 All")["x0/y/z"].beats == "2,3,4,5,6,7,8,9,10"


def test_many_rows_are_counted_rather_than_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i, seed in product(range(31), range(3)):
        write(tmp_path, f"x{i}/y/z", seed, 1.0 if i == 3 else 0.01 * i, 0.0)
    board = leaderboard("smoke", tmp_path)
    tests = board.columns[0].tests
    for row, cell in zip(board.rows, cells_of(board, "Search R@30 All").values(), strict=True):
        beaten = sum(tests.beats(tests.rows.index(row.name), at) for at in range(31))
        assert cell.beats == (str(beaten) if beaten else "")
    assert cells_of(board, "Search R@30 All")["x3/y/z"].beats == "30"
    text = render(board, "md")
    assert "Superscripts: how many schemes the row beats significantly" in text
    total = len(pairs_grid(board).rows)
    monkeypatch.setattr("semidbench.leaderboards.grids.MOST_PAIRS", total - 1)
    shortened = pairs_grid(board)
    assert f"best scheme: {len(shortened.rows)} of {total}; leaderboard.json has all" in shortened.title
    search = [row for row in shortened.rows if row[0].text == "Search All"]
    assert {row[1].text.split()[1] for row in search} == {"x3/y/z"}
    assert len(search) == 30


@pytest.mark.parametrize("value", [[], {}, {"b": 1, "a": [1, 2.5, None]}, [[1], {}], [{"a": "\u0131\n"}], "x", (1, 2)])
def test_json_keeps_plain_lists_on_a_line(value: Any) -> None:
    text = json_text(value)
    assert json.loads(text) == json.loads(json.dumps(value))
    assert text.endswith("\n")
    lines = ["{", ' "a": [1, 2.5, null],', ' "b": 1,', ' "c": [', "  {}", " ]", "}", ""]
    assert json_text({"b": 1, "a": [1, 2.5, None], "c": [{}]}) == "\n".join(lines)
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_text([float("nan")])


def test_one_row_and_one_seed(tmp_path: Path) -> None:
    write(tmp_path, REC, 0, 0.1, 0.1)
    board = leaderboard("smoke", tmp_path)
    cell = cells_of(board, "Search R@30 All")[REC]
    assert (cell.best, cell.second, cell.beats) == (False, False, "")
    text = render(board, "md")
    assert "No significance tests: they need two schemes" in text
    assert "every row has the seeds 0" in text
    assert all(render(board, format) for format in ("csv", "json", "latex"))


def test_equal_rows_share_the_best_place(tmp_path: Path) -> None:
    for name in (CONTENT, SEARCH):
        for seed in range(2):
            cases = cases_of("a/b/c", seed, {"search": 0.3, "rec": 0.3})
            write(tmp_path, name, seed, 0, 0)  # for the fields
            (cell,) = [c for c in _cells(tmp_path) if (c.name, c.seed) == (name, seed)]
            metrics = compute_metrics(cases, TRACK.evaluation)
            write_cell(tmp_path / "smoke" / "results", cell.model_copy(update={"metrics": metrics}), cases)
    write(tmp_path, REC, 0, 0, 0)
    board = leaderboard("smoke", tmp_path)
    cells = cells_of(board, "Search R@30 All")
    assert cells[CONTENT].best
    assert cells[SEARCH].best
    assert cells[REC].second
    assert board.columns[0].tests.p[0, 1] == 1


def _cells(out: Path) -> list[CellResult]:
    return read_cells(out / "smoke" / "results")


def test_rankers_alone_make_a_table(tmp_path: Path) -> None:
    write(tmp_path, "popularity", 0, 0, 0.5)
    board = leaderboard("smoke", tmp_path)
    assert board.rows == ()
    assert "popularity" in render(board, "md")
    assert "popularity" in render(board, "latex")
    assert to_rich(board).row_count == 1


def test_no_results_says_which_command_makes_some(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=f"no results in .*: `semidbench run --track smoke --out {tmp_path}` makes some"
    ):
        leaderboard("smoke", tmp_path)
    with pytest.raises(UserError, match="Did you mean 'smoke'"):
        leaderboard("smok", tmp_path)


def test_results_of_another_version_are_refused(tmp_path: Path) -> None:
    write(tmp_path, REC, 0, 0.1, 0.1)
    newer = TRACK.model_copy(update={"version": TRACK.version + 1})
    with pytest.raises(UserError, match=f"smoke version {TRACK.version}, and the track is now smoke version"):
        leaderboard(newer, tmp_path)
    decoding = TRACK.decoding.model_copy(update={"diversity_penalty": 0.75})
    with pytest.raises(UserError, match="other protocol numbers"):
        leaderboard(TRACK.model_copy(update={"decoding": decoding}), tmp_path)


def test_a_row_keeps_its_options_over_its_seeds(tmp_path: Path) -> None:
    write(tmp_path, REC, 0, 0.1, 0.1, options={"embedder": {"epochs": 3}})
    write(tmp_path, REC, 1, 0.1, 0.1, options={"embedder": {"epochs": 4}})
    with pytest.raises(
        UserError, match=r"seeds 0 and 1 of 'rec/.*' ran with different options .*'epochs': 3.*'epochs': 4"
    ):
        leaderboard("smoke", tmp_path)


def test_rows_are_tested_on_the_same_cases(tmp_path: Path) -> None:
    write(tmp_path, REC, 0, 0.1, 0.1)
    write(tmp_path, SEARCH, 0, 0.1, 0.1, n_cases=N_CASES - 1)
    with pytest.raises(UserError, match=r"different search cases \(240 and 239\)"):
        leaderboard("smoke", tmp_path)


def environment_of(cpu: str = "c", **libraries: str) -> Environment:
    machine = MachineStamp(python="3", platform="p", cpu=cpu)
    return Environment(device="cpu", threads=1, machines=(machine,), libraries=libraries)


def test_mixed_machines_and_libraries_are_pointed_out(tmp_path: Path) -> None:
    write(tmp_path, REC, 0, 0.1, 0.1, environment=environment_of(numpy="2"))
    write(tmp_path, SEARCH, 0, 0.1, 0.1, environment=environment_of(numpy="2", faiss="1"))
    assert "Take care" not in render(leaderboard("smoke", tmp_path), "md")
    write(tmp_path, REC, 1, 0.1, 0.1, environment=environment_of("other", numpy="3"))
    assert "more than one state of: the library numpy, the processor." in render(leaderboard("smoke", tmp_path), "md")


def test_other_data_is_refused(tmp_path: Path) -> None:
    write(tmp_path, REC, 0, 0.1, 0.1)
    write(tmp_path, SEARCH, 0, 0.1, 0.1, dataset=FACTS.model_copy(update={"sha256": "e" * 64}))
    with pytest.raises(UserError, match=r"mixes data: data dddddddddddd in .* and data eeeeeeeeeeee in"):
        leaderboard("smoke", tmp_path)


def test_mixed_code_is_pointed_out(tmp_path: Path) -> None:
    write(tmp_path, REC, 0, 0.1, 0.1)
    assert "Take care" not in render(leaderboard("smoke", tmp_path), "md")
    write(tmp_path, REC, 1, 0.1, 0.1, distributions=(Distribution(name="p", version="1", code_sha256="0" * 64),))
    write(tmp_path, REC, 2, 0.1, 0.1, distributions=(Distribution(name="p", version="1", code_sha256="1" * 64),))
    assert "more than one state of: the code of p." in render(leaderboard("smoke", tmp_path), "md")


def test_caption_says_what_data_and_which_ceiling(tmp_path: Path) -> None:
    write(tmp_path, "a/q/l", 0, 0.5, 0.4)
    text = render(leaderboard(TRACK, tmp_path), "md")
    assert "30 items (0.94 per possible ID), 9 users" in text
    assert "2.5% of the held-out queries" in text
    assert "R@30 of 0.990" in text


def test_a_board_of_two_seeds_is_provisional(tmp_path: Path) -> None:
    write(tmp_path, REC, 0, 0.1, 0.1)
    write(tmp_path, REC, 1, 0.1, 0.1)
    board = leaderboard("smoke", tmp_path)
    assert render(board, "md").startswith("# Leaderboard of track smoke, version 2 (provisional)")
    assert "it has no verdicts" in render(board, "latex")
    write(tmp_path, REC, 2, 0.1, 0.1)
    assert "(provisional)" not in render(leaderboard("smoke", tmp_path), "md")


def test_ten_rows_fit_a_terminal_of_80_columns(tmp_path: Path) -> None:
    from rich.console import Console

    for at in range(10):
        write(tmp_path, f"e{at}/q/shared", 0, 0.09 * at, 0.3)
    sink = io.StringIO()
    Console(file=sink, width=80).print(to_rich(leaderboard("smoke", tmp_path)))
    assert "e9/q/shared" in sink.getvalue()
    assert "do not fit here" in sink.getvalue()
    assert not set("⁰¹²³⁴⁵⁶⁷⁸⁹") & set(sink.getvalue())
