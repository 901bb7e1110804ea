"""What a leaderboard and a result's cases hand out as pandas tables."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from semidbench import to_pandas
from semidbench.api import TASKS
from semidbench.leaderboards.board import Leaderboard, leaderboard
from semidbench.leaderboards.frames import Frames
from semidbench.leaderboards.tables import render
from semidbench.results.case_frame import to_pandas as cases_to_pandas
from semidbench.results.files import read_cases, read_cells
from semidbench.results.metrics import recall_at
from tests.leaderboards.test_leaderboard import CONTENT, REC, SEARCH, write

SKILLS = {CONTENT: (0.3, 0.2), SEARCH: (0.6, 0.2), REC: (0.0, 0.6), "-/-/random": (0.0, 0.0), "popularity": (0.0, 0.9)}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out")
    for name, skill in SKILLS.items():
        for seed in range(1 if name == "popularity" else 4):
            write(folder, name, seed, *skill)
    return folder


@pytest.fixture(scope="module")
def board(out: Path) -> Leaderboard:
    return leaderboard("smoke", out)


@pytest.fixture(scope="module")
def frames(board: Leaderboard) -> Frames:
    return to_pandas(board)


def test_means_and_deviations_follow_from_the_seeds(frames: Frames) -> None:
    key = ["row", "kind", "task", "group", "metric"]
    by_seed = frames.seeds.groupby(key)["value"].agg(["mean", "std", "count"])
    said = frames.metrics.set_index(key).loc[by_seed.index]
    np.testing.assert_allclose(said["mean"], by_seed["mean"], rtol=1e-12)
    np.testing.assert_allclose(said["std"], by_seed["std"], rtol=1e-9, atol=1e-15)
    assert (said["n_seeds"] == by_seed["count"]).all()
    assert len(said) == len(frames.metrics)
    assert frames.metrics.loc[frames.metrics["row"] == "popularity", "number"].isna().all()


def test_pairs_are_the_board_s(frames: Frames, board: Leaderboard) -> None:
    assert len(frames.pairs) == 6 * 6
    names = [row.name for row in board.rows]
    for line in frames.pairs.itertuples():
        column = board.column(line.task, line.group)
        at = names.index(line.better), names.index(line.worse)
        verdicts = column.verdicts
        assert line.difference == verdicts.difference[at] >= 0
        assert (line.p, line.holm_p, line.bh_p) == (verdicts.p[at], verdicts.holm[at], verdicts.fdr[at])
        assert (line.high - line.low) / 2 == pytest.approx(verdicts.margin_of_error[at])
        assert (line.verdict, line.equivalent) == (verdicts.verdict(*at), verdicts.equivalent(0.01)[at])
        assert (line.paper_p, line.paper_corrected_p) == (column.tests.uncorrected_p[at], column.tests.p[at])
    assert {"holds", "unsettled"} <= set(frames.pairs["verdict"])


def test_the_csv_is_the_table_of_metrics(frames: Frames, board: Leaderboard) -> None:
    read = pd.read_csv(io.StringIO(render(board, "csv")), dtype={"number": "Int64"})
    read["row"] = read["row"].str.removeprefix("'")
    pd.testing.assert_frame_equal(read, frames.metrics, rtol=1e-9, check_dtype=False)


def test_cases_are_those_that_the_metrics_follow_from(out: Path) -> None:
    folder = out / "smoke" / "results"
    cell = next(one for one in read_cells(folder) if one.name == REC)
    cases = read_cases(folder, cell)
    frame = cases_to_pandas(cases)
    assert frame["task"].unique().tolist() == [*TASKS]
    for task in TASKS:
        of_task = frame[frame["task"] == task]
        recall = recall_at(of_task["start"].to_numpy(), of_task["size"].to_numpy(), 30)
        for group, chosen in (("all", slice(None)), ("head", of_task["head"]), ("torso", ~of_task["head"])):
            mean = of_task.assign(recall=recall)[chosen].groupby("unit")["recall"].mean().mean()
            assert mean == pytest.approx(cell.metrics[task][group].recall[30])  # type: ignore[index]


def test_without_schemes_there_are_no_pairs(tmp_path: Path) -> None:
    write(tmp_path, "popularity", 0, 0.0, 0.5)
    frames = to_pandas(leaderboard("smoke", tmp_path))
    assert (len(frames.pairs), set(frames.metrics["row"])) == (0, {"popularity"})


def test_listing_loads_neither_pandas_nor_pingouin() -> None:
    code = (
        "import sys; sys.argv = ['semidbench', 'list']\n"
        "from semidbench.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "assert not {'pandas', 'pingouin', 'scipy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
