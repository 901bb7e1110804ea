"""The rehearsal of the paper's track, at a tiny size."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import rehearse, scale
from benchmarks.rehearsal.parts import Counts, Measured, Part, counts
from benchmarks.rehearsal.place import Amounts, Enough, Place, StepClock
from benchmarks.rehearsal.release import Size, _ratings
from semidbench.tracks.files import load_track

TINY = ["--items", "300", "--shape", "tiny", "--threads", "1", "--steps", "1", "--prompts", "4", "--texts", "3"]


def run(monkeypatch: pytest.MonkeyPatch, *more: str) -> None:
    monkeypatch.setattr(sys, "argv", ["rehearse", *TINY, "--pairs", "2", *more])
    rehearse.main()


def test_every_stage_is_measured_and_set_beside_the_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rehearse, "measured_apart", rehearse.measure)  # in this process: it has loaded the libraries
    commands = {"leaderboard": scale.WORK["paper"].commands["leaderboard"]}
    monkeypatch.setitem(scale.WORK, "paper", replace(scale.WORK["paper"], commands=commands))
    run(monkeypatch, "--keep", str(tmp_path / "kept"))
    printed = capsys.readouterr().out
    rows = [line.strip("| ").split(" | ") for line in printed.splitlines() if line.startswith("|")]
    table = {row[0]: row for row in rows[2:] if len(row) == len(rehearse.HEADERS)}
    whole = {name: int(row[3].replace(",", "")) for name, row in table.items()}
    users = Size().scaled(300).users
    assert whole["test prompts decoded"] == 40 * (300 * 10 + users)
    assert whole["fine-tuned for search"] == 10 * 5 * 300 * 10
    assert whole["queries encoded"] == 10 * 300 * 10
    assert whole["bm25's answers, placed"] == 5 * (300 * 10 + users)
    assert whole["prefix-share's codebooks learnt"] == 5 * 100
    assert table["generator trained in batches of 128"][1] == "1 step"
    assert table["test prompts decoded"][1] == "4 prompts"
    assert table["fine-tuned for multi-task"][1] == "2 query-item pairs"
    assert "tables of all cells: leaderboard" in table
    assert all(float(row[2].replace(",", "")) > 0 for row in table.values())
    beside = [row for row in rows if row[0] in ("a training step, ms", "a test prompt, ms")]
    assert [float(row[3]) > 0 for row in beside] == [True, True]


def test_counts_are_the_papers() -> None:
    paper = load_track("paper")
    found = counts(paper)
    assert found == Counts(5, 40, 25, {"search": 10, "multi-task": 10}, factors=10, codebooks=40, joint=5)


def test_hours_extend_what_was_measured() -> None:
    part = Part("a part", 2, "steps", 10.0, 720)
    assert part.hours == 1.0
    found = Measured("stage", (part,), 1.25, 0.0)
    assert Measured.from_json(found.as_json()) == found
    assert rehearse.rows(found) == [("a part", "2 steps", "10", "720", "1", "1.2")]
    assert rehearse.rows(Measured("stage", (part,), 1.0, 3.0))[0][-1] == "1.0; card 3.0"


def test_plan_is_set_beside_what_was_measured() -> None:
    found = {
        "train": Measured("train", (Part("generator trained", 4, "steps", 2.0, 7200),), 1.0, 0.0),
        "decode": Measured("decode", (Part("decoded", 10, "prompts", 1.0, 36_000),), 1.0, 0.0),
        "plan": Measured("plan", (Part("", 1, "steps", 1.0, 7200), Part("", 1, "prompts", 0.05, 36_000)), 1.0, 0.0),
    }
    assert rehearse.beside_plan(found) == [
        ("a training step, ms", "1,000", "500", "2.00"),
        ("generator trained, all cells, hours", "2", "1", "2.00"),
        ("a test prompt, ms", "50", "100", "0.50"),
        ("decoded, all cells, hours", "0.5", "1", "0.50"),
    ]


def test_the_clock_ends_the_work_and_leaves_the_first_step_out(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([100.0, 103.0, 104.0])
    monkeypatch.setattr("benchmarks.rehearsal.place.now", lambda device: next(times))
    clock = StepClock(2, "cpu")
    clock("step", 1, 9)
    clock("step", 2, 9)
    with pytest.raises(Enough):
        clock("step", 3, 9)
    assert (clock.timed, clock.seconds) == (2, 4.0)


def test_what_is_kept_is_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(tmp_path, Amounts(300, "tiny", "cpu", 1, 1, 4, 3, 2))
    kept = tmp_path / "measured" / "train.json"
    kept.parent.mkdir()
    kept.write_text('{"stage": "train", "parts": [], "peak_gib": 1.5, "card_gib": 0.0}')
    assert rehearse.measured_apart("train", place) == Measured("train", (), 1.5, 0.0)


def test_a_folder_of_something_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(SystemExit, match="was not made with these numbers"):
        run(monkeypatch, "--keep", str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_made_ratings_are_of_different_movies_and_as_many_as_movielens_has() -> None:
    size = Size().scaled(2_000)
    columns = _ratings(size, np.random.default_rng(0))
    pairs = np.stack([columns["userId"], columns["movieId"]], axis=1)
    assert len(np.unique(pairs, axis=0)) == len(pairs)
    assert (pairs == pairs[np.lexsort(pairs.T[::-1])]).all()
    assert len(pairs) == pytest.approx(size.ratings, rel=0.05)
    assert np.bincount(columns["userId"].astype(np.int64))[1:].min() >= 20
    assert Size().scaled(62_138) == Size()
