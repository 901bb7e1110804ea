"""`semidbench submit`: a run's results reach a leaderboard whole, or nothing does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from semidbench.cli.app import app
from semidbench.errors import UserError
from semidbench.leaderboards.build import build, write
from semidbench.results import cell_metrics
from semidbench.results.files import write_cell
from semidbench.submissions import submit as submitting
from semidbench.submissions.data_checks import data_problems
from semidbench.submissions.submit import Refused, submit
from semidbench.submissions.verify import verify_files
from tests.forged import CONTENT, POPULARITY, RANDOM, ROWS, SEEDS, TRACK, forge, made_cell, make_results, path_of


@pytest.fixture(autouse=True)
def _data_is_made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submitting, "data_problems", lambda results, track, data: [])


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """What a run of the demo track leaves."""
    make_results(tmp_path / "run" / "demo" / "results", (CONTENT, POPULARITY))
    (tmp_path / "run" / "demo" / "leaderboard.md").touch()
    return tmp_path / "run" / "demo"


@pytest.fixture
def board(tmp_path: Path) -> Path:
    return tmp_path / "boards"


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def other_run(tmp_path: Path, name: str, seeds: int = SEEDS) -> Path:
    """A run of the same rows with another outcome."""
    for seed in range(seeds):
        cell, cases = made_cell(name, seed)
        write_cell(
            tmp_path / "other" / "demo" / "results", cell.model_copy(update={"rankings_sha256": f"{seed:064x}"}), cases
        )
    return tmp_path / "other" / "demo"


@pytest.mark.parametrize("inside", [".", "results"])
def test_a_run_is_copied_byte_for_byte(run: Path, board: Path, inside: str) -> None:
    done = submit(run / inside, board)
    assert content(board / "demo") == {name: data for name, data in content(run).items() if name.startswith("results/")}
    assert len(done.written) == 2 * SEEDS
    assert done.kept == done.removed == ()
    lines = verify_files(TRACK, board).problems
    assert all(" is missing. " in line and "semidbench leaderboard build" in line for line in lines)
    write(build(board))
    assert verify_files(TRACK, board).problems == ()


def test_a_second_time_writes_nothing(run: Path, board: Path) -> None:
    submit(run, board)
    done = submit(run, board)
    assert done.written == ()
    assert len(done.kept) == 2 * SEEDS


def test_rows_can_be_chosen(run: Path, board: Path) -> None:
    submit(run, board, schemes=[f" {CONTENT}"])
    assert {path.name for path in (board / "demo/results").glob("*.json")} == {
        path_of(run / "results", CONTENT, seed).name for seed in range(SEEDS)
    }
    with pytest.raises(UserError, match=r"unknown row 'populariti'\. Did you mean 'popularity'"):
        submit(run, board, schemes=["populariti"])


def test_rows_join_those_that_are_there(run: Path, board: Path, tmp_path: Path) -> None:
    submit(run, board)
    make_results(tmp_path / "more" / "demo" / "results", (RANDOM,))
    submit(tmp_path / "more" / "demo", board)
    assert verify_files(TRACK, board).rows == 3


def test_missing_seeds_can_come_later_but_not_never(board: Path, tmp_path: Path) -> None:
    make_results(tmp_path / "a" / "demo" / "results", (CONTENT,), seeds=SEEDS - 1)
    with pytest.raises(Refused) as refused:
        submit(tmp_path / "a" / "demo", board)
    assert len(refused.value.problems) == 1
    assert f"lacks seed {SEEDS - 1};" in refused.value.problems[0]
    assert not board.exists()


def refused(run: Path, board: Path, message: str, **options: bool) -> None:
    """It is refused with that line, and not a byte changes."""
    before = content(board)
    with pytest.raises(Refused) as error:
        submit(run, board, **options)
    assert any(re.search(message, line) for line in error.value.problems), error.value.problems
    assert not any("\n" in line for line in error.value.problems)
    assert content(board) == before


def test_another_result_of_the_same_cell_is_refused(run: Path, board: Path, tmp_path: Path) -> None:
    submit(run, board)
    refused(other_run(tmp_path, CONTENT), board, " is another result of .* seed 0. Give --replace")


def test_a_row_is_replaced_whole(run: Path, board: Path, tmp_path: Path) -> None:
    submit(run, board)
    other = other_run(tmp_path, CONTENT)
    done = submit(other, board, replace=True)
    assert len(done.written) == SEEDS
    assert done.removed == ()
    for path in done.written:
        assert path.read_bytes() == (other / "results" / path.name).read_bytes()
    assert {path.name for path in (board / "demo/results").iterdir()} == {
        path.name for path in (run / "results").iterdir()
    }


def test_some_seeds_of_a_row_do_not_replace_all(run: Path, board: Path, tmp_path: Path) -> None:
    submit(run, board)
    refused(other_run(tmp_path, CONTENT, seeds=2), board, "lacks seeds 2, 3, 4", replace=True)


def test_results_on_other_data_are_refused(run: Path, board: Path, tmp_path: Path) -> None:
    submit(run, board)
    make_results(tmp_path / "more" / "demo" / "results", (RANDOM,))
    for seed in range(SEEDS):
        forge(
            path_of(tmp_path / "more" / "demo" / "results", RANDOM, seed),
            lambda raw: raw["dataset"].update(sha256="e" * 64),
        )
    refused(tmp_path / "more" / "demo", board, "its data is eeeeeeeeeeee, and 10 other results have dddd")


def test_whatever_verify_refuses_is_refused(run: Path, board: Path) -> None:
    submit(run, board, schemes=[POPULARITY])
    path = path_of(run / "results", CONTENT, 1)
    forge(path, lambda raw: raw.update(split="development"))
    refused(run, board, "development split")
    path.write_text("{")
    refused(run, board, "cannot read result")


def test_data_that_is_at_hand_is_looked_at(run: Path, board: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submitting, "data_problems", data_problems)
    refused(run, board, "it records other data: sha256 dddd")


def test_metrics_that_do_not_follow_from_the_placements_are_refused(
    board: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = cell_metrics.recall_at
    with monkeypatch.context() as patch:
        patch.setattr(cell_metrics, "recall_at", lambda *args: right(*args[:-1], args[-1] - 1))
        make_results(tmp_path / "wrong" / "demo" / "results", (CONTENT,))
    refused(tmp_path / "wrong" / "demo", board, "the metrics in the JSON for search, all, do not follow")


def test_what_was_wrong_before_does_not_stop_a_row(run: Path, board: Path) -> None:
    submit(run, board, schemes=[POPULARITY])
    path_of(board / "demo/results", POPULARITY, 1).unlink()
    submit(run, board, schemes=[CONTENT])


def test_what_others_did_wrong_does_not_stop_a_row(run: Path, board: Path, tmp_path: Path) -> None:
    """One result there is on other data; how many others there are changes its line, and nothing else."""
    submit(run, board)
    forge(path_of(board / "demo/results", POPULARITY, 1), lambda raw: raw["dataset"].update(sha256="e" * 64))
    make_results(tmp_path / "more" / "demo" / "results", (RANDOM,))
    assert len(submit(tmp_path / "more" / "demo", board).written) == SEEDS


def test_a_row_that_stays_incomplete_is_refused(run: Path, board: Path) -> None:
    submit(run, board)
    for seed in (2, 3):
        path = path_of(board / "demo/results", CONTENT, seed)
        path.unlink()
        path.with_suffix(".parquet").unlink()
    path_of(run / "results", CONTENT, 2).unlink()
    refused(run, board, "lacks seed 2;")


def test_a_run_is_found_from_within(run: Path, board: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run / "results")
    assert len(submit(Path(".."), board).written) == len(submit(Path(), board).kept) == 2 * SEEDS


def test_a_row_of_imported_ids_says_which_file_to_publish(
    run: Path, board: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEMIDBENCH_IDS", str(tmp_path / "ids"))
    name, options = f"-/-/imported[ids=mine,sha256={'1' * 12}]", {"layout": {"ids": "mine", "sha256": "1" * 12}}
    for seed in range(SEEDS):
        write_cell(run / "results", *made_cell(name, seed, options=options))
    ran = CliRunner().invoke(app, ["submit", str(run), "--to", str(board)])
    assert ran.exit_code == 0
    assert ran.stdout.count(f"publish {tmp_path / 'ids' / 'mine.111111111111.parquet'}, the IDs of {name},") == 1
    assert ran.stdout.count("publish") == 1
    forge(path_of(run / "results", name, 0), lambda raw: raw.update(id_table_sha256="2" * 64))
    refused(run, board, "its IDs have sha256 222222.*, and its name says 111111")


@pytest.mark.parametrize("fails_at", [1, 2, 7])
def test_a_write_that_fails_changes_nothing(
    run: Path, board: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    submit(run, board)
    before, calls, write = content(board), 0, submitting.write_atomically

    def full(path: Path, data: bytes) -> None:
        nonlocal calls
        calls += 1
        if calls == fails_at:
            raise OSError(28, "No space left on device", str(path))
        write(path, data)

    monkeypatch.setattr(submitting, "write_atomically", full)
    with pytest.raises(UserError, match=r"No space left on device\. Nothing was changed"):
        submit(other_run(tmp_path, CONTENT), board, replace=True)
    assert content(board) == before


def test_the_destination_is_named_by_the_track_alone(run: Path, board: Path, tmp_path: Path) -> None:
    strange = run.rename(tmp_path / "run" / "..demo")
    with pytest.raises(UserError, match=r"unknown track '\.\.demo'"):
        submit(strange, board)
    moved = strange.rename(tmp_path / "run" / "smoke")
    refused(moved, board, "its track is demo version 2, not smoke")
    assert not board.exists()


def test_a_linked_destination_is_refused(run: Path, board: Path, tmp_path: Path) -> None:
    board.mkdir()
    (tmp_path / "outside").mkdir()
    (board / "demo").symlink_to(tmp_path / "outside")
    with pytest.raises(UserError, match="demo is a link"):
        submit(run, board)
    assert not list((tmp_path / "outside").iterdir())


def test_a_folder_without_results_says_where_some_are(run: Path, board: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no results in .*/run/results\. Name one of the folders in it: demo"):
        submit(run.parent, board)
    with pytest.raises(UserError, match="Name the OUT/TRACK of a run"):
        submit(tmp_path / "none", board)


def test_the_command_says_what_comes_next(run: Path, board: Path) -> None:
    ran = CliRunner().invoke(app, ["submit", str(run), "--to", str(board)])
    assert ran.exit_code == 0
    assert ran.stdout.count("wrote ") == 2 * SEEDS
    assert f"semidbench leaderboard build --out {board}" in ran.stdout
    assert "nothing new" in CliRunner().invoke(app, ["submit", str(run), "--to", str(board)]).stdout
    path_of(run / "results", CONTENT, 1).unlink()
    ran = CliRunner().invoke(app, ["submit", str(run), "--to", str(board / "other")])
    assert "lacks seed 1" in ran.stdout
    assert str(ran.exception) == "1 problem, so nothing was written"


def test_every_row_of_the_made_up_board_is_submitted(tmp_path: Path, board: Path) -> None:
    make_results(tmp_path / "run" / "demo" / "results")
    assert len(submit(tmp_path / "run" / "demo", board).written) == len(ROWS) * SEEDS
