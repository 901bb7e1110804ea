"""`semidbench verify` beyond the files: the data prepared anew, and the cells run again."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from semidbench.cli import main
from semidbench.cli.app import app
from semidbench.errors import UserError
from semidbench.leaderboards.build import build, write
from semidbench.methods.resolved import ResolvedRow
from semidbench.runs import run as runs
from semidbench.runs.cell import run_cell
from semidbench.runs.reporter import Silent, Work
from semidbench.runs.run import run
from semidbench.runs.shared.session import Session
from semidbench.submissions import recompute as recomputing
from semidbench.submissions.data_checks import data_problems
from semidbench.submissions.filed_result import read_result
from semidbench.submissions.recompute import Recomputed, recompute
from semidbench.submissions.verify import select_results, verify_files
from semidbench.tracks.files import load_track
from tests import broken_plugins
from tests.forged import POPULARITY, forge, forge_cases, make_results, path_of

TRACK = load_track("smoke")
NAME, RANKER = "-/-/random", "popularity"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, store: Path) -> Path:
    """A scheme and a ranker, run on `smoke`."""
    out = tmp_path_factory.mktemp("out")
    track = TRACK.model_copy(update={"plan": TRACK.plan.model_copy(update={"references": (RANKER,)})})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "load_track", lambda name: track)
        run("smoke", [NAME], seeds=1, out=out, cache=store, device="cpu", jobs=1)
    return out


@pytest.fixture
def out(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "out"))


def again(out: Path, name: str, store: Path) -> Recomputed:
    board = verify_files(TRACK, out).results
    (one,) = [one for one in board if one.cell.name == name]
    (found,) = recompute([one], board, TRACK, None, store, "cpu", Silent())
    return found


def test_a_run_passes_every_level(made: Path, store: Path) -> None:
    found = verify_files(TRACK, made)
    assert found.problems == ()
    assert list(data_problems(found.results, TRACK, None)) == []
    for each in recompute(found.results, found.results, TRACK, None, store, "cpu", Silent()):
        assert (each.differs, each.elsewhere, each.is_problem, each.is_undecided) == ((), (), False, False)
        assert str(each).endswith("the same when run again")


def test_no_plugin_is_imported_here(out: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken_plugins.install(tmp_path / "site", monkeypatch)
    assert not again(out, RANKER, store).failed
    assert not {*broken_plugins.MODULES.values()} & {*sys.modules}


def test_a_row_that_cannot_be_made_here_is_undecided(out: Path, store: Path) -> None:
    path = path_of(out / "smoke/results", RANKER, 0)
    one, _ = read_result(path)
    unknown = replace(one, cell=one.cell.model_copy(update={"name": "nobodys"}))
    (found,) = recompute([unknown], [unknown], TRACK, None, store, "cpu", Silent())
    assert found.is_undecided
    assert str(found).startswith(f"{path}: undecided: it cannot be run again here: ")
    assert "nobodys" in found.failed


def change(field: str, **values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda raw: raw[field].update(values)


def test_other_data_is_named(out: Path) -> None:
    path = forge(path_of(out / "smoke/results", NAME, 0), change("dataset", sha256="e" * 64, train_queries=7))
    one, _ = read_result(path)
    (line,) = data_problems([one], TRACK, None)
    assert line.startswith(f"{path}: it records other data: sha256 {'e' * 64}, not ")
    assert "train_queries 7, not 960" in line


def test_other_test_cases_are_named(out: Path) -> None:
    """The same number of them, and each possible."""
    path = forge_cases(path_of(out / "smoke/results", NAME, 0), "rec", head=lambda head: ~head)
    one, _ = read_result(path)
    assert list(data_problems([one], TRACK, None)) == [
        f"{path}: its rec test cases are not those of the data. Run the cell again"
    ]


def test_a_careful_forgery_is_found_by_running_it_again(out: Path, store: Path) -> None:
    """Better placements, with metrics and hashes that fit."""
    path = path_of(out / "smoke/results", NAME, 0)
    forge_cases(path, "rec", start=lambda start: start.clip(max=1))
    found = again(out, NAME, store)
    assert found.is_problem
    assert any(part.endswith("rec cases") for part in found.differs)
    assert any(part.startswith("metrics, by up to 0.") for part in found.differs)
    assert "it was edited or does not repeat. Refuse it" in str(found)


def test_another_hash_of_the_rankings_is_found(out: Path, store: Path) -> None:
    forge(path_of(out / "smoke/results", RANKER, 0), lambda raw: raw.update(rankings_sha256="0" * 64))
    assert again(out, RANKER, store).differs == ("rankings_sha256",)


def test_an_option_that_is_recorded_as_another_type_is_found(
    out: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_an_option(session: Session, row: ResolvedRow, seed: int, folder: Path, work: Work, failed: Any) -> None:
        run_cell(session, row, seed, folder, work, failed)
        forge(path_of(folder, RANKER, seed), change("options", ranker={"k": 5}))

    monkeypatch.setattr(recomputing, "run_cell", with_an_option)
    forge(path_of(out / "smoke/results", RANKER, 0), change("options", ranker={"k": 5.0}))
    assert again(out, RANKER, store).differs == ("options",)


def test_other_machines_are_named_instead(out: Path, store: Path) -> None:
    def elsewhere(raw: dict[str, Any]) -> None:
        raw["environment"]["machines"][0]["cpu"] = "another"
        raw["environment"]["libraries"]["numpy"] = "1.0"
        raw["distributions"][1]["code_sha256"] = "0" * 64
        raw["rankings_sha256"] = "0" * 64

    path = forge(path_of(out / "smoke/results", RANKER, 0), elsewhere)
    found = again(out, RANKER, store)
    assert (found.is_problem, found.is_undecided) == (False, True)
    assert str(found).startswith(
        f"{path}: undecided: when run again, it differs in rankings_sha256. It was made with other processor ("
    )
    assert "numpy (1.0; here " in str(found)
    assert "code of semidbench-popularity" in str(found)


def test_libraries_that_a_row_does_not_use_explain_nothing(out: Path, store: Path) -> None:
    """The placements of another row, said to be made with a library that popularity never heard of."""
    path = forge(
        path_of(out / "smoke/results", RANKER, 0), lambda raw: raw["environment"]["libraries"].update(bm25s="9.9")
    )
    found = again(out, RANKER, store)
    assert (found.differs, found.elsewhere, found.is_problem) == ((), (), True)
    assert str(found).startswith(f"{path}: when run again, it differs in libraries that its row does not use (bm25s)")
    forge_cases(path, "rec", start=lambda start: start.clip(max=1))
    assert again(out, RANKER, store).is_problem


def test_another_machine_does_not_explain_everything(out: Path, store: Path) -> None:
    """Beyond three times the distance between the row's seeds; with one seed no such distance is known."""

    def elsewhere(raw: dict[str, Any]) -> None:
        raw["environment"]["machines"][0]["cpu"] = "another"

    path = forge(path_of(out / "smoke/results", RANKER, 0), elsewhere)
    forge_cases(path, "rec", start=lambda start: start.clip(max=1))
    assert again(out, RANKER, store).is_undecided
    one, _ = read_result(path)
    same = replace(one, cell=one.cell.model_copy(update={"seed": 1}))
    k = TRACK.evaluation.primary
    said = one.cell.metrics["rec"]["all"].recall[k]
    (found,) = recompute([one], [one, same], TRACK, None, store, "cpu", Silent())
    assert found.is_problem
    assert f"rec R@{k} ({said:.3f}; here " in str(found)
    assert "It was made with other processor (another; here" in str(found)
    assert str(found).endswith("this does not explain so large a difference. Refuse it")
    groups = one.cell.metrics["rec"]
    far = groups["all"].model_copy(update={"recall": {k: said / 2}})
    apart = replace(
        one, cell=one.cell.model_copy(update={"metrics": one.cell.metrics | {"rec": groups | {"all": far}}})
    )
    (found,) = recompute([one], [one, apart], TRACK, None, store, "cpu", Silent())
    assert (found.is_problem, found.is_undecided) == (False, True)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (NAME, "-/-/imported[ids=mine,sha256=0123456789ab]", "no IDs 'mine' with sha256 0123456789ab"),
        (NAME, "-/-/nowhere", "unknown layout 'nowhere'"),
    ],
)
def test_a_cell_that_cannot_be_run_again_costs_no_other(
    out: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, says: str
) -> None:
    monkeypatch.setenv("SEMIDBENCH_IDS", str(tmp_path / "ids"))
    path = forge(path_of(out / "smoke/results", old, 0), lambda raw: raw.update(name=new))
    board = verify_files(TRACK, out).results
    found = {one.path: one for one in recompute(board, board, TRACK, None, store, "cpu", Silent())}
    assert len(found) == 2
    failed = found.pop(path)
    assert (failed.is_problem, failed.is_undecided) == (False, True)
    assert says in str(failed)
    assert str(found.popitem()[1]).endswith("the same when run again")


def test_undecided_cells_are_counted_and_the_exit_code_is_1(
    out: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def elsewhere(raw: dict[str, Any]) -> None:
        raw["environment"]["libraries"]["numpy"] = "1.0"
        raw["rankings_sha256"] = "0" * 64

    forge(path_of(out / "smoke/results", RANKER, 0), elsewhere)
    write(build(out))  # captions tell of other libraries
    with pytest.MonkeyPatch.context() as patch:
        asked = ["verify", "--out", str(out), "--recompute", "--scheme", RANKER, "--cache", str(store)]
        patch.setattr("sys.argv", ["semidbench", *asked, "--device", "cpu"])
        with pytest.raises(SystemExit) as ended:
            main()
    said = capsys.readouterr()
    assert ended.value.code == 1
    assert "nothing wrong" not in said.out
    assert said.err.splitlines()[-1] == f"1 cell undecided in {out}, and nothing else is wrong"


def test_rows_and_seeds_can_be_chosen(made: Path) -> None:
    found = verify_files(TRACK, made)
    other = replace(found, results=found.results[:1])
    none = replace(found, results=())

    def names(*asked: Any) -> list[list[str]]:
        return [[one.cell.name for one in some] for some in select_results(*asked)]

    assert names([found], [], []) == [[RANKER, NAME]]
    assert names([found], [RANKER], [0]) == [[RANKER]]
    assert names([other, none, found], [NAME], []) == [[], [], [NAME]]
    assert names([none], [NAME], []) == [[]]
    with pytest.raises(UserError, match="no result of seed 3 in smoke, smoke: name a seed that is there"):
        select_results([other, found], [], [3])
    with pytest.raises(UserError, match="unknown row '-/-/rando'"):
        select_results([other, found], ["-/-/rando"], [])


def test_a_track_without_the_row_is_not_in_its_way(out: Path, store: Path) -> None:
    make_results(out / "demo" / "results", (POPULARITY,))
    asked = ["verify", "--out", str(out), "--recompute", "--scheme", NAME, "--cache", str(store), "--device", "cpu"]
    ran = CliRunner().invoke(app, asked)
    assert "the same when run again" in ran.stdout
    assert "smoke: 2 results, 2 rows of 1 seed: nothing wrong" in ran.stdout


def test_the_command_tells_each_level(out: Path, store: Path) -> None:
    ask = ["verify", "--out", str(out), "--track", "smoke"]
    ran = CliRunner().invoke(app, ask)
    assert ran.exit_code == 0
    assert ran.stdout == "smoke: 2 results, 2 rows of 1 seed: nothing wrong; checked files and data\n"
    ran = CliRunner().invoke(app, [*ask, "--recompute", "--scheme", RANKER, "--cache", str(store), "--device", "cpu"])
    assert ran.exit_code == 0
    assert "the same when run again" in ran.stdout
    forge(path_of(out / "smoke/results", RANKER, 0), lambda raw: raw.update(rankings_sha256="0" * 64))
    ran = CliRunner().invoke(app, [*ask, "--recompute", "--scheme", RANKER, "--cache", str(store), "--device", "cpu"])
    assert "Refuse it" in ran.stdout
    assert str(ran.exception) == f"1 problem in {out}"
    assert "give that too" in str(CliRunner().invoke(app, [*ask, "--seed", "0"]).exception)
