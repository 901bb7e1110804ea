"""The paper beside a leaderboard: only where their numbers compare."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from semidbench.errors import UserError
from semidbench.isolation.resolver import resolve_here
from semidbench.leaderboards.board import Leaderboard, leaderboard
from semidbench.leaderboards.claims.compare import paper_grids, to_json, to_markdown, to_rich, write_comparison
from semidbench.leaderboards.claims.judge import Ledger, judge
from semidbench.leaderboards.tables import render
from semidbench.methods.registry import Registry
from semidbench.published import paper, table_rows
from semidbench.runs.run import run
from tests.facts import FACTS
from tests.leaderboards.test_leaderboard import CONTENT, REC, SEARCH, write


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out")
    for seed in range(3):
        for name, *skill in ((REC, 0.0, 0.6), (SEARCH, 0.6, 0.2), ("-/-/random", 0.0, 0.0)):
            write(folder, name, seed, *skill)
    return folder


@pytest.fixture(scope="module")
def ledger(out: Path) -> Ledger:
    return judge(leaderboard("smoke", out))


def on_the_paper_track(board: Leaderboard) -> Leaderboard:
    return replace(board, track=board.track.model_copy(update={"name": "paper"}))


def test_on_the_paper_track_ours_stand_beside(ledger: Ledger) -> None:
    board = on_the_paper_track(ledger.board)
    for grid, table in zip(paper_grids(board), paper().tables, strict=True):
        assert len(grid.rows) == len(table.rows) * len(table.columns)
        lines = {(row[0].text, row[1].text): row for row in grid.rows}
        for row in table.rows:
            own = next((one for one in board.rows if one.name == row.scheme), None)
            line = lines[row.label, "Search All"]
            assert line[2].text.startswith(row.search["all"].printed)
            if own is None:
                assert [cell.text for cell in line[3:]] == ["not run", "–"]
            else:
                mean = own.mean(("search", "all", "R@30"))
                assert mean is not None
                assert line[3].text.startswith(f"{mean:.3f} ± ")
                assert float(line[4].text) == pytest.approx(mean - row.search["all"].value, abs=5e-4)
    text = to_markdown(judge(board))
    sizes = (
        "30 items, 9 users and 90 training interactions; the paper's 62,138 movies and 1.24 M user-item interactions"
    )
    assert text.count(sizes) == 3
    assert "do not compare" not in text
    assert "carries over" not in text


def test_on_other_tracks_the_paper_s_tables_stand_apart(ledger: Ledger) -> None:
    for grid, table in zip(paper_grids(ledger.board), paper().tables, strict=True):
        assert [row[1].text for row in grid.rows] == list(table_rows(str(table.number)))
        assert not any("Ours" in header for header in grid.headers)
    text = to_markdown(ledger)
    assert text.count("do not compare with this track's") == 3
    assert "a verdict says whether a claim carries over" in text
    raw = json.loads(to_json(ledger))
    assert not raw["comparable"]
    assert "62,138" not in text
    assert raw["dataset"] == FACTS.model_dump()
    assert raw["rows"] == [{"name": name, "seeds": [0, 1, 2]} for name in (SEARCH, REC, "-/-/random")]
    assert (raw["provisional"], raw["mixed"]) == (False, [])
    assert all(cell["mean"] is None for table in raw["tables"] for cell in table["cells"])
    development = replace(on_the_paper_track(ledger.board), split="development")
    assert not json.loads(to_json(judge(development)))["comparable"]


def test_marks_and_superscripts_are_the_paper_s(ledger: Ledger) -> None:
    text = to_markdown(ledger)
    assert "**0.072 ± 0.028**<sup>13</sup>" in text
    assert "<ins>0.048</ins>" in text
    assert "four rows All lies outside" in text


def test_json_holds_ours_on_the_paper_track(ledger: Ledger) -> None:
    board = on_the_paper_track(ledger.board)
    raw = json.loads(to_json(judge(board)))
    assert (raw["semidbench_compare"], raw["comparable"]) == (2, True)
    assert raw["paper"]["dataset"] == {"items": 62138, "interactions": "1.24 M"}
    cells = {(table["number"], cell["scheme"], cell["task"], cell["group"]): cell for table in raw["tables"]
             for cell in table["cells"]}  # fmt: skip
    assert len(cells) == 3 * 2 + 7 * 4 + 4 * 2
    own = next(row for row in board.rows if row.name == REC)
    cell = cells[2, REC, "rec", "torso"]
    assert cell["paper"]["printed"] == "0.035"
    assert cell["mean"] == pytest.approx(own.mean(("rec", "torso", "R@30")), rel=1e-9)
    assert cell["difference"] == pytest.approx(cell["mean"] - 0.035, abs=1e-9)
    assert cells[1, CONTENT, "search", "all"]["difference"] is None


@pytest.mark.parametrize("width", [80, 160])
def test_the_terminal_shows_all_of_it(ledger: Ledger, width: int) -> None:
    for one in (ledger, judge(on_the_paper_track(ledger.board))):
        console = Console(width=width, file=io.StringIO(), color_system=None)
        console.print(*to_rich(one), sep="\n")
        text = console.file.getvalue()  # type: ignore[attr-defined]
        assert all(len(line) <= width for line in text.split("\n"))
        assert re.search(r"0\.072 ± 0\.028 \[13\]", text)
        assert "not run" in text
        assert "…" not in text


def test_files_and_command_line_agree_and_need_no_torch(ledger: Ledger, out: Path) -> None:
    paths = write_comparison(ledger.board, out)
    assert [path.name for path in paths] == ["claims.md", "claims.json"]
    code = (
        "import sys; from semidbench.cli import main\n"
        "try: main()\n"
        "except SystemExit as e: assert not e.code, e.code\n"
        "assert 'torch' not in sys.modules"
    )
    words = ["compare", "--track", "smoke", "--out", str(out), "--format", "md"]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == paths[0].read_bytes() == to_markdown(ledger).encode()
    assert paths[1].read_bytes() == to_json(ledger).encode()


def test_a_table_s_rows_make_a_leaderboard_of_their_own(out: Path) -> None:
    whole, table = leaderboard("smoke", out), leaderboard("smoke", out, rows=table_rows("1"))
    assert [row.name for row in table.rows] == [SEARCH, REC]
    assert (whole.columns[0].tests.m, table.columns[0].tests.m) == (3, 1)
    assert table.columns[0].tests.p[0, 1] == pytest.approx(whole.columns[0].tests.p[0, 1] / 3)
    assert (whole.left_out, table.left_out) == ((), ("-/-/random",))
    assert "leave out" not in render(whole, "md")
    assert "its tests leave out (m counts the pairs of the rows shown): -/-/random." in render(table, "md")
    with pytest.raises(UserError, match=r"no results of the rows asked for: multi-task/rq-kmeans/shared, .*Run them"):
        leaderboard("smoke", out, rows=table_rows("3"))


def test_rows_come_in_the_paper_s_order(tmp_path: Path) -> None:
    names = [*table_rows("extra")[2:], "a/b/c", *table_rows("3"), *table_rows("2")]
    for name in names:
        write(tmp_path, name, 0, 0.0, 0.0)
    expected = [name for name in table_rows("all") if name in names]
    assert [row.name for row in leaderboard("smoke", tmp_path).rows] == [*expected, "a/b/c"]


def test_a_run_takes_the_rows_of_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("semidbench.isolation.resolver.load_registry", Registry)
    monkeypatch.setattr("semidbench.runs.run.resolve_isolated", resolve_here)
    with pytest.raises(UserError) as error:
        run("smoke", table="3", out=tmp_path, cache=tmp_path)
    assert all(name in str(error.value) for name in table_rows("3"))
    assert "content/rq-kmeans/shared" not in str(error.value)
    with pytest.raises(UserError, match="--table names the rows and so does --scheme"):
        run("smoke", ["content/rq-kmeans/shared"], table="3", out=tmp_path, cache=tmp_path)
    with pytest.raises(UserError, match="unknown table '4'"):
        run("smoke", table="4", out=tmp_path, cache=tmp_path)
