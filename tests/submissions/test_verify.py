"""`semidbench verify`: made-up boards that are right pass, and every way to be wrong is named on a line of its own."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.special import stdtr
from typer.testing import CliRunner

from semidbench.cli.app import app
from semidbench.errors import UserError
from semidbench.leaderboards.board import leaderboard
from semidbench.leaderboards.tables import write_tables
from semidbench.results import cell_metrics as scoring
from semidbench.results.files import read_cases, read_cell, write_cell
from semidbench.submissions.pair_checks import MAX_BYTES, two_sided_p
from semidbench.submissions.verify import tracks_of, verify_files
from tests.forged import (
    CONTENT,
    POPULARITY,
    RANDOM,
    ROWS,
    SEARCH,
    SEEDS,
    TRACK,
    first,
    forge,
    forge_cases,
    made_cell,
    make_results,
    path_of,
)

Change = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("boards")
    make_results(out / TRACK.name / "results")
    write_tables(leaderboard(TRACK, out), out)
    return out


@pytest.fixture
def out(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "boards"))


@pytest.fixture
def results(out: Path) -> Path:
    return out / TRACK.name / "results"


def problems(out: Path) -> tuple[str, ...]:
    found = verify_files(TRACK, out).problems
    assert not any("\n" in line for line in found)
    return found


def test_a_board_that_is_right_has_no_problems(made: Path) -> None:
    found = verify_files(TRACK, made)
    assert found.problems == ()
    assert (len(found.results), found.rows) == (len(ROWS) * SEEDS, len(ROWS))


def put(*keys: Any, value: Any) -> Change:
    def change(raw: dict[str, Any]) -> None:
        at = raw
        for key in keys[:-1]:
            at = at[key]
        at[keys[-1]] = value

    return change


def keep_first(field: str) -> Change:
    def change(raw: dict[str, Any]) -> None:
        del raw[field][1:]

    return change


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (CONTENT, put("track", "version", value=99), "its track is demo version 99, not demo version 2"),
        (CONTENT, put("track", "name", value="smoke"), "its track is smoke version"),
        (CONTENT, put("track", "protocol_sha256", value="0" * 64), "its protocol numbers are not those of demo"),
        (CONTENT, put("split", value="development"), "it is of the development split"),
        (CONTENT, put("environment", "threads", value=7), "it ran with 7 threads, not the track's 1"),
        (CONTENT, put("seed", value=99), "has seed 99; track demo asks for seeds 0 to 4 only"),
        (CONTENT, put("seed", value=99), "lacks seed 2;"),
        (CONTENT, put("name", value="content/rq-kmeans/shared[]"), "must be written 'content/rq-kmeans/shared'"),
        (CONTENT, put("name", value="content//shared"), "its name is not the name of a scheme: cannot read ''"),
        (POPULARITY, put("name", value="Popularity"), "its name is not the name of a ranker: cannot read 'Popularity'"),
        (CONTENT, put("options", "quantizer", "beam", value=6), "ran with other options than its seed 0"),
        (CONTENT, put("options", "quantizer", "beam", value=5.0), "{'beam': 5.0} and {'beam': 5}"),
        (CONTENT, put("options", "ranker", value={}), "records the options of embedder, layout, quantizer, ranker"),
        (SEARCH, put("options", "embedder", "lr", value=0.5), "option lr of the embedder is 0.01 by the row's name or"),
        (SEARCH, put("options", "embedder", value={}), "and nothing is recorded"),
        (CONTENT, put("name", value="content/rq-kmeans[beam=9]/shared"), "option beam of the quantizer is 9"),
        (CONTENT, put("dataset", "sha256", value="e" * 64), "its data is eeeeeeeeeeee, and 19 other results have dddd"),
        (CONTENT, put("dataset", "load", value=0.5), "its numbers about the data are"),
        (CONTENT, put("models", value={"generator": {"a/b.json": "0" * 64}}), "its pretrained models are"),
        (CONTENT, put("dataset", "test_queries", value=7), "search: it has 120 test cases, and the data has 7"),
        (CONTENT, put("dataset", "test_users", value=7), "rec: it has 40 test cases, and the data has 7"),
        (CONTENT, put("dataset", "items", value=50), "search: a case is of item 59, and there are 50"),
        (CONTENT, put("dataset", "users", value=30), "rec: a case is of user 39, and there are 30"),
        (CONTENT, put("ids", "rec", "possible", value=9), "ids.rec.possible is 9, and its other fields give 1024"),
        (CONTENT, put("ids", "rec", "load", value=0.5), "ids.rec.load is 0.5"),
        (CONTENT, put("ids", "rec", "mean_items", value=1.5), "ids.rec.mean_items is 1.5"),
        (CONTENT, put("ids", "rec", "tokens", value=10**30), "ids.rec.tokens is"),
        (CONTENT, put("ids", "rec", "levels", value=[]), "ids.rec has 0 levels"),
        (CONTENT, put("ids", "rec", "levels", 0, "used", value=33), "ids.rec.levels.0 cannot be: 33 codes used of 32"),
        (CONTENT, put("ids", "rec", "levels", 0, "perplexity", value=31.9), "ids.rec.levels.0 cannot be: "),
        (CONTENT, put("ids", "rec", "max_items", value=60), "of up to 60 items"),
        (CONTENT, put("ids", "rec", "colliding", value=1.0), "ids.rec.colliding is 1.0"),
        (CONTENT, put("ids", "rec", "max_items", value=1), "of up to 1 items"),
        (CONTENT, put("distributions", value=[]), "it records nothing as its code"),
        (CONTENT, keep_first("distributions"), "it records semidbench as its code"),
        (POPULARITY, put("distributions", 0, "name", value="semidbench-y"), "it records semidbench-x, semidbench-y as"),
        (POPULARITY, put("distributions", 0, "name", value="semidbench-x"), "it records semidbench-x twice as"),
        (CONTENT, put("environment", "machines", value=[]), "it records no machine"),
        (CONTENT, put("environment", "libraries", value={"scipy": "1"}), "its libraries lack numpy"),
        (CONTENT, put("timings", value={}), "its timings are of nothing; the stages of a scheme are decoder, embedder"),
        (POPULARITY, put("timings", "layout", value=1.0), "its timings are of layout, ranker; the stages of a ranker"),
        (CONTENT, put("peak_memory_mib", value=0.0), "its peak memory is 0"),
        (CONTENT, put("environment", "device", value="abacus"), "its device is 'abacus'"),
        (CONTENT, put("environment", "gpus", value=2), "it records 2 graphics cards; a scheme on cpu has at most 1"),
    ],
)  # fmt: skip
def test_a_forged_result_is_named(out: Path, results: Path, name: str, change: Change, message: str) -> None:
    """The hashes were made to fit again: only what the result says gives it away."""
    path = forge(path_of(results, name, 2), change)
    found = problems(out)
    assert any(message in line for line in found), found
    assert any(str(path) in line or name in line for line in found)


@pytest.mark.parametrize(
    ("name", "task", "columns", "message"),
    [
        (CONTENT, "search", {"start": first(61), "size": first(1), "id_rank": first(1)}, "beyond the 60 of the"),
        (CONTENT, "rec", {"start": first(1), "size": first(0), "id_rank": first(1)}, "a rank without a group"),
        (CONTENT, "rec", {"n_items": first(61)}, "a list of more items than the 60"),
        (CONTENT, "rec", {"n_items": first(1)}, "more IDs in a list than items"),
        (CONTENT, "rec", {"n_ids": first(61), "n_items": first(60)}, "more IDs in a list than 60 beams"),
        (CONTENT, "rec", {"start": first(1), "size": first(1), "id_rank": first(2)}, "a target before its ID"),
        (CONTENT, "rec", {"start": first(1), "size": first(1), "id_rank": first(0)}, "a ranked ID without a"),
        (CONTENT, "rec", {"start": first(59), "size": first(1), "id_rank": first(59)}, "an ID beyond the end of"),
        (CONTENT, "rec", {"start": first(60), "size": first(1), "id_rank": first(5)}, "a target beyond the end"),
        (CONTENT, "rec", {"start": first(1), "size": first(9), "id_rank": first(1)}, "more items to an ID than"),
        (CONTENT, "rec", {"units": first(1)}, "rec: a user has more than one test case"),
        (CONTENT, "rec", {"units": first(40)}, "rec: a case is of user 40"),
        (CONTENT, "search", {"units": first(1)}, "its search test cases are"),
        (CONTENT, "rec", {"head": lambda head: ~head}, "its recommendation test cases are"),
        (POPULARITY, "rec", {"id_rank": first(1), "n_ids": first(1)}, "an ID in the list of a ranker"),
        (POPULARITY, "rec", {"n_items": first(59)}, "a list that is not the whole catalogue"),
        (POPULARITY, "rec", {"start": first(0), "size": first(0)}, "a target without a rank"),
    ],
)  # fmt: skip
def test_forged_placements_are_named(
    out: Path, results: Path, name: str, task: Any, columns: dict[str, Any], message: str
) -> None:
    path = forge_cases(path_of(results, name, 2), task, **columns)
    found = problems(out)
    assert any(message in line and str(path) in line for line in found), found


def test_a_missing_seed_and_an_odd_file_are_named(out: Path, results: Path) -> None:
    gone = path_of(results, SEARCH, 3)
    gone.unlink()
    link = results / "link.json"
    link.symlink_to(path_of(results, SEARCH, 2))
    (results / "notes.txt").touch()
    (results / "folder").mkdir()
    assert sorted(problems(out)) == [
        *sorted(
            f"{results / name} is not one of a result's two files. Delete it"
            for name in ("folder", "link.json", "notes.txt", gone.with_suffix(".parquet").name)
        ),
        f"{results}: row {SEARCH!r} lacks seed 3; track demo asks for seeds 0 to 4. Run and submit those too, or "
        "delete the row's files",
    ]


def test_all_problems_are_listed_at_once(out: Path, results: Path) -> None:
    path_of(results, SEARCH, 3).unlink()
    forge(path_of(results, CONTENT, 2), put("split", value="development"))
    path_of(results, RANDOM, 0).write_text("{")
    text = "\n".join(problems(out))
    assert all(part in text for part in ("lacks seed 3", "development split", "cannot read result", "lacks seed 0"))


@pytest.mark.parametrize("recorded", [5, 5.0, "5"])
def test_a_row_under_two_names_is_named(out: Path, results: Path, recorded: Any) -> None:
    """`beam=5` is the default, so that both names say the same, as does another way to write the number."""
    options = made_cell(CONTENT, 0)[0].options | {"quantizer": {"beam": recorded}}
    for seed in range(SEEDS):
        write_cell(results, *made_cell("content/rq-kmeans[beam=5]/shared", seed, options=options))
    (line,) = (line for line in problems(out) if "repeats the row" in line)
    assert f"'content/rq-kmeans[beam=5]/shared' repeats the row {CONTENT!r}" in line


def test_a_seed_that_is_a_copy_is_named(out: Path, results: Path) -> None:
    copied = made_cell(CONTENT, 0)[0].rankings_sha256
    path = forge(path_of(results, CONTENT, 4), put("rankings_sha256", value=copied))
    assert any(f"{path}: seeds 0 and 4 of {CONTENT!r} have exactly the same rankings" in line for line in problems(out))


def copy_result(results: Path, source: tuple[str, int], name: str, seed: int, **changes: Any) -> Path:
    """The placements of one result under the name and seed of another, which is replaced."""
    own = read_cell(path_of(results, name, seed))
    path = path_of(results, *source)
    taken = read_cell(path)
    cell = own.model_copy(update={"metrics": taken.metrics, **changes})
    write_cell(results, cell, read_cases(results, taken))
    return path_of(results, name, seed)


def test_a_seed_whose_placements_are_a_copy_is_named(out: Path, results: Path) -> None:
    path = copy_result(results, (CONTENT, 0), CONTENT, 4)
    assert any(
        line == f"{path}: seeds 0 and 4 of {CONTENT!r} have exactly the same placements: one is a copy. Run both again"
        for line in problems(out)
    )


def swap_two_queries(table: pa.Table) -> pa.Table:
    """Of one item, so that it is the same case by all that the other checks see."""
    return table.take([1, 0, *range(2, len(table))])


@pytest.mark.parametrize("change", [lambda table: table, swap_two_queries])
def test_a_copy_in_other_bytes_is_named(out: Path, results: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """Hashes that do not tell: of a Parquet that is written in another way, and of rankings that nobody sees."""
    path = copy_result(results, (CONTENT, 0), CONTENT, 4)
    parquet = path.with_suffix(".parquet")
    pq.write_table(change(pq.read_table(parquet)), parquet, compression="none")
    data = parquet.read_bytes()
    assert data != path_of(results, CONTENT, 0).with_suffix(".parquet").read_bytes()
    forge(path, put("placements_sha256", value=hashlib.sha256(data).hexdigest()))
    assert f"{path}: seeds 0 and 4 of {CONTENT!r} have exactly the same placements: one is a copy. Run both again" in (
        problems(out)
    )


@pytest.mark.parametrize("seed", [0, 3])
def test_a_row_that_is_a_copy_is_named(out: Path, results: Path, seed: int) -> None:
    path = copy_result(results, (CONTENT, 0), SEARCH, seed)
    assert any(
        f"{path}: {SEARCH!r} seed {seed} has exactly the same placements as {CONTENT!r} seed 0" in line
        for line in problems(out)
    )


def test_rankers_are_not_each_others_copies(out: Path, results: Path) -> None:
    for seed in range(SEEDS):
        cell, cases = made_cell(POPULARITY, seed)
        write_cell(results, cell.model_copy(update={"name": "bm25"}), cases)
    assert sum("has exactly the same rankings as 'bm25' seed" in line for line in problems(out)) == SEEDS


def test_a_ranker_without_randomness_is_the_same_for_each_seed(out: Path, results: Path) -> None:
    for seed in range(SEEDS):
        cell, cases = made_cell(POPULARITY, 0)
        write_cell(results, cell.model_copy(update={"seed": seed}), cases)
    assert not any("exactly the same" in line for line in problems(out))


def test_schemes_that_come_to_the_same_ids_may_be_alike(out: Path, results: Path) -> None:
    """As multi-task[ratio=1:0] and search do: the same IDs, the same seed, and so the same generator."""
    taken = read_cell(path_of(results, CONTENT, 0))
    same = {part: getattr(taken, part) for part in ("ids", "id_table_sha256", "rankings_sha256")}
    copy_result(results, (CONTENT, 0), SEARCH, 0, **same)
    assert not any("exactly the same" in line for line in problems(out))
    copy_result(results, (CONTENT, 0), SEARCH, 0, **same | {"id_table_sha256": "2" * 64})
    assert any("exactly the same rankings" in line for line in problems(out))


def test_a_linked_folder_is_refused(out: Path, tmp_path: Path) -> None:
    moved = (out / TRACK.name).rename(tmp_path / "elsewhere")
    (out / TRACK.name).symlink_to(moved)
    assert problems(out) == (f"{out / TRACK.name} is a link. Put the folder itself there",)


def edit_pairs(field: str, change: Callable[[Any], Any]) -> Callable[[dict[str, Any]], None]:
    def edit(board: dict[str, Any]) -> None:
        column = next(column for column in board["columns"] if (column["task"], column["group"]) == ("rec", "torso"))
        column["pairs"][field][1] = change(column["pairs"][field][1])

    return edit


def edit_column(field: str, change: Callable[[Any], Any]) -> Callable[[dict[str, Any]], None]:
    def edit(board: dict[str, Any]) -> None:
        column = next(column for column in board["columns"] if (column["task"], column["group"]) == ("rec", "torso"))
        column[field] = change(column[field])

    return edit


@example(t=30.0, freedom=1000)  # where p is far below the rounding of 1
@given(t=st.floats(1e-6, 60), freedom=st.integers(1, 800_000))
def test_p_by_two_functions(t: float, freedom: int) -> None:
    assert float(two_sided_p(t, freedom)) == pytest.approx(2 * stdtr(freedom, -t), rel=1e-9)


@pytest.mark.parametrize("name", ["ndcg_at", "id_recall_at", "recall_at"])
def test_an_error_in_the_scoring_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """It writes and reads by the same wrong formula, so that only counting shows it."""
    right = getattr(scoring, name)
    monkeypatch.setattr(scoring, name, lambda *args: right(*args[:-1], args[-1] - 1))
    make_results(tmp_path / TRACK.name / "results", (CONTENT,))
    said = [line for line in problems(tmp_path) if "and counting gives" in line]
    assert len(said) == SEEDS * 2
    assert all(f"{name.removesuffix('_at')}@" in line for line in said)


def test_an_error_in_the_means_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = scoring.kinds
    monkeypatch.setattr(scoring, "kinds", lambda units, head: right(units, ~head))
    make_results(tmp_path / TRACK.name / "results", (CONTENT,))
    assert sum("search, head: " in line for line in problems(tmp_path)) == SEEDS


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (edit_pairs("corrected_p", lambda p: p * (1 - 1e-7)), "rec, torso: the corrected p of"),
        (edit_pairs("corrected_p", lambda p: None), "rec, torso: the corrected p of"),
        (edit_pairs("difference", lambda d: d + 1e-8), "rec, torso: the difference of"),
        (edit_pairs("significant", lambda yes: not yes), "rec, torso: `significant` of"),
        (edit_pairs("seeds_ahead", lambda n: n + SEEDS), "rec, torso: `seeds_ahead` of"),
        (edit_pairs("common_seeds", lambda n: n - 1), "rec, torso: `common_seeds` of"),
        (edit_pairs("holds", lambda yes: not yes), "rec, torso: `holds` of"),
        (edit_column("critical_t", lambda t: t * (1 + 1e-5)), "rec, torso: `critical_t` "),
        (edit_column("critical_t", lambda t: None), "rec, torso: `critical_t` is None for 3 tests"),
        (edit_column("critical_t", lambda t: -t), "rec, torso: `critical_t` is -"),
        (edit_column("critical_t", lambda t: 0), "rec, torso: `critical_t` is 0 for 3 tests"),
        (edit_column("critical_t", str), "rec, torso: `critical_t` is '"),
        (edit_column("critical_t", lambda t: [t]), "rec, torso: `critical_t` is ["),
        (edit_column("critical_t", lambda t: 10**400), "rec, torso: `critical_t` is 1000"),
        (edit_column("critical_t", lambda t: 1e400), "is no leaderboard: ValueError Infinity where a number belongs"),
        (edit_column("m", lambda m: m - 1), "rec, torso: m is 2, and there are n = "),
        (edit_column("m", str), "rec, torso: m is '3', and there are n = "),
        (edit_column("m", lambda m: 10**400), "rec, torso: m is 1000"),
        (edit_column("n", lambda n: n + 1), "rec, torso: n is "),
        (edit_pairs("difference", lambda d: 10**400), "is no leaderboard: OverflowError"),
        (edit_pairs("difference", str), "is no leaderboard: TypeError difference is '"),
        (edit_pairs("corrected_p", lambda p: True), "is no leaderboard: TypeError corrected_p is True"),
        (edit_pairs("holds", int), "is no leaderboard: TypeError holds is "),
        (
            lambda board: board["columns"].insert(0, board["columns"][0] | {"m": 9}),
            "ValueError a column is there twice",
        ),
        (
            lambda board: board["columns"].append({"task": "x", "group": "all"}),
            "ValueError a column is there twice, or",
        ),
        (lambda board: board["rows"].append(board["rows"][0]), "ValueError a row, or the number of one, is there"),
        (lambda board: board["rows"].append(board["rows"][0] | {"number": 9}), "ValueError a row, or the number"),
        (edit_pairs("a", lambda a: a % 3 + 1), "rec, torso: its pairs are not those of the 3 rows"),
        (lambda board: board["rows"].pop(), "is no leaderboard: KeyError"),
        (lambda board: board["columns"][0]["pairs"]["a"].pop(), "is no leaderboard: ValueError"),
        (lambda board: board["columns"].pop(), "is no leaderboard: KeyError"),
        (lambda board: board.clear(), "is no leaderboard: KeyError"),
    ],
)
def test_false_tests_are_named(out: Path, change: Callable[[dict[str, Any]], None], message: str) -> None:
    path = out / TRACK.name / "leaderboard.json"
    board = json.loads(path.read_text())
    change(board)
    path.write_text(json.dumps(board))
    found = problems(out)
    assert len(found) == 1
    assert message in found[0]
    assert "leaderboard build" in found[0]


def test_a_false_test_does_not_hide_others(out: Path) -> None:
    path = out / TRACK.name / "leaderboard.json"
    board = json.loads(path.read_text())
    edit_column("critical_t", lambda t: 10**400)(board)
    board["columns"][0]["m"] = 99
    path.write_text(json.dumps(board))
    found = problems(out)
    assert len(found) == 2
    assert "search, all: m is 99" in found[0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (os.mkfifo, "is a link or no file"),
        (lambda path: path.mkdir(), "is a link or no file"),
        (lambda path: path.symlink_to("/dev/zero"), "is a link or no file"),
        (lambda path: path.write_bytes(b" " * (MAX_BYTES + 1)), "and at most 25,165,824 are read"),
    ],
)
def test_a_leaderboard_that_would_hang_is_not_read(out: Path, make: Callable[[Path], object], message: str) -> None:
    path = out / TRACK.name / "leaderboard.json"
    path.unlink()
    make(path)
    (line,) = problems(out)
    assert line.startswith(f"{path} ")
    assert message in line
    assert line.endswith("Run `semidbench leaderboard build` and commit what it writes")


def test_a_leaderboard_says_each_thing_once(out: Path) -> None:
    path = out / TRACK.name / "leaderboard.json"
    path.write_text(path.read_text().replace('"m": 3', '"m": 99, "m": 3', 1))
    (line,) = problems(out)
    assert "a key is there twice" in line


@pytest.mark.parametrize("content", [None, b"", b"[" * 10**5, b"[]", b"3", b'{"rows": 1}', b"\xff"])
def test_a_leaderboard_that_is_none_is_one_line(out: Path, content: bytes | None) -> None:
    path = out / TRACK.name / "leaderboard.json"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    (line,) = problems(out)
    assert line.startswith(str(path))


def test_a_board_that_is_not_built_yet_is_stale(out: Path, results: Path) -> None:
    for seed in range(SEEDS):
        write_cell(results, *made_cell("-/-/atomic", seed, options={"layout": {}}))
    found = problems(out)
    assert found
    assert all("its pairs are not those of the 4 rows that have results (-/-/atomic)" in line for line in found)


def test_tracks_are_the_folders_or_what_is_named(out: Path) -> None:
    (out / "strange").mkdir()
    tracks, lines = tracks_of(out, [])
    assert [track.name for track in tracks] == ["demo"]
    assert lines == [
        f"{out / 'strange'}: no built-in track has that name. Give its file with --track FILE, or delete the folder"
    ]
    assert [track.name for track in tracks_of(out, ["smoke"])[0]] == ["smoke"]
    for bad in ("../demo", "/etc", "demo/results", ""):
        with pytest.raises(UserError, match="unknown track"):
            tracks_of(out, [bad])
    with pytest.raises(UserError, match="cannot read"):
        tracks_of(out / "none", [])


def test_the_command_lists_problems_and_exits_with_2(out: Path, results: Path) -> None:
    """The data is made up, so level two has something to say too."""
    path_of(results, SEARCH, 3).unlink()
    ran = CliRunner().invoke(app, ["verify", "--out", str(out)])
    assert ran.exit_code != 0
    assert isinstance(ran.exception, UserError)
    assert "problems in" in str(ran.exception)
    lines = ran.stdout.splitlines()
    assert any("lacks seed 3" in line for line in lines)
    assert any("it records other data: sha256 dddd" in line for line in lines)
