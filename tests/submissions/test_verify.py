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
from typer.testing import CliRunner

from semidbench.cli.app import app
from semidbench.errors import UserError
from semidbench.leaderboards.board import leaderboard
from semidbench.leaderboards.build import build, write
from semidbench.leaderboards.claims.compare import write_comparison
from semidbench.leaderboards.tables import write_tables
from semidbench.results import cell_metrics
from semidbench.results.cell_result import TrackStamp, protocol_sha256
from semidbench.results.files import read_cases, read_cell, write_cell
from semidbench.store.json_text import json_text
from semidbench.submissions.verify import page_problems, tracks_of, verify_files
from semidbench.tracks.files import load_track
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
SMOKE = load_track("smoke")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run and `submit` leave: results and tables, and no page."""
    out = tmp_path_factory.mktemp("boards")
    make_results(out / TRACK.name / "results")
    board = leaderboard(TRACK, out)
    write_tables(board, out)
    write_comparison(board, out)
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


def edit_paper_test(field: str, change: Callable[[Any], Any]) -> Callable[[dict[str, Any]], None]:
    return edit_column("paper_test", lambda test: test | {field: change(test[field])})


def edit_column(field: str, change: Callable[[Any], Any]) -> Callable[[dict[str, Any]], None]:
    def edit(board: dict[str, Any]) -> None:
        column = next(column for column in board["columns"] if (column["task"], column["group"]) == ("rec", "torso"))
        column[field] = change(column[field])

    return edit


@pytest.mark.parametrize("name", ["ndcg_at", "id_recall_at", "recall_at"])
def test_metrics_that_do_not_follow_from_the_placements_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """By a wrong formula in whatever wrote them; hashes and all else fit."""
    right = getattr(cell_metrics, name)
    with monkeypatch.context() as patch:
        patch.setattr(cell_metrics, name, lambda *args: right(*args[:-1], args[-1] - 1))
        make_results(tmp_path / TRACK.name / "results", (CONTENT,))
    named = [line for line in problems(tmp_path) if "the metrics in the JSON for search, all, do not follow" in line]
    assert len(named) == SEEDS


def test_a_metric_that_was_edited_is_named(out: Path, results: Path) -> None:
    """By more than rounding; its hash fits again."""

    def better(raw: dict[str, Any]) -> None:
        raw["metrics"]["rec"]["torso"]["recall"]["30"] += 1e-8

    path = forge(path_of(results, CONTENT, 2), better)
    assert any(
        f"{path.with_suffix('.parquet')}: the metrics in the JSON for rec, torso, do not follow" in line
        for line in problems(out)
    )


def rewrite(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Edit a leaderboard.json and write it in the form in which semidbench does."""
    board = json.loads(path.read_text("utf-8"))
    change(board)
    path.write_text(json_text(board), "utf-8")


def named(path: Path, state: str) -> str:
    """The line about a built file."""
    out = path.parent if path.name == "index.html" else path.parents[1]
    build_it = (
        f"`semidbench leaderboard build --out {out}` makes it from the results: run that, and commit what it writes"
    )
    return f"{path} is {state}. {'Delete it. ' if state == 'not a file' else ''}{build_it}"


def test_the_form_itself_is_no_problem(out: Path) -> None:
    rewrite(out / TRACK.name / "leaderboard.json", lambda board: None)
    assert problems(out) == ()


@pytest.mark.parametrize(
    "change",
    [
        edit_pairs("paper_corrected_p", lambda p: p * (1 - 1e-7)),
        edit_pairs("paper_corrected_p", lambda p: None),
        edit_pairs("difference", lambda d: d + 1e-8),
        edit_pairs("paper_significant", lambda yes: not yes),
        edit_pairs("seeds_ahead", lambda n: n + SEEDS),
        edit_pairs("common_seeds", lambda n: n - 1),
        edit_pairs("verdict", lambda verdict: "holds" if verdict != "holds" else "likely"),
        edit_paper_test("critical_t", lambda t: t * (1 + 1e-5)),
        edit_paper_test("critical_t", lambda t: None),
        edit_paper_test("critical_t", lambda t: -t),
        edit_paper_test("critical_t", lambda t: 0),
        edit_paper_test("critical_t", str),
        edit_paper_test("critical_t", lambda t: [t]),
        edit_paper_test("critical_t", lambda t: 10**400),
        edit_paper_test("smallest_detectable_difference", lambda d: d + 1e-8),
        edit_paper_test("m", lambda m: m - 1),
        edit_paper_test("m", str),
        edit_paper_test("m", lambda m: 10**400),
        edit_column("n", lambda n: n + 1),
        edit_pairs("difference", lambda d: 10**400),
        edit_pairs("difference", str),
        edit_pairs("paper_corrected_p", lambda p: True),
        edit_pairs("equivalent", int),
        lambda board: board["rows"][0]["metrics"][0].update(mean=0.5),
        lambda board: board["columns"].insert(0, board["columns"][0] | {"m": 9}),
        lambda board: board["columns"].append({"task": "x", "group": "all"}),
        lambda board: board["rows"].append(board["rows"][0]),
        lambda board: board["rows"].append(board["rows"][0] | {"number": 9}),
        edit_pairs("a", lambda a: a % 3 + 1),
        lambda board: board["rows"].pop(),
        lambda board: board["columns"][0]["pairs"]["a"].pop(),
        lambda board: board["columns"].pop(),
        lambda board: board.clear(),
    ],
)
def test_a_false_leaderboard_is_named(out: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = out / TRACK.name / "leaderboard.json"
    rewrite(path, change)
    assert problems(out) == (named(path, "stale"),)


def test_each_false_file_is_named(out: Path) -> None:
    paths = sorted(path for path in (out / TRACK.name).iterdir() if path.is_file())
    assert len(paths) == 6
    for path in paths:
        path.write_text(path.read_text("utf-8").replace("0", "1", 1), "utf-8")
    assert problems(out) == tuple(named(path, "stale") for path in paths)


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**40)  # more than there is memory


HARM: tuple[tuple[Callable[[Path], object], str], ...] = (
    (os.mkfifo, "not a file"),
    (lambda path: path.mkdir(), "not a file"),
    (lambda path: path.symlink_to("/dev/zero"), "a link"),
    (lambda path: path.symlink_to(path.parent / "results"), "a link"),
    (sparse, "stale"),
    (lambda path: None, "missing"),
)


@pytest.mark.parametrize(("make", "state"), HARM)
def test_a_leaderboard_that_would_hang_is_not_read(out: Path, make: Callable[[Path], object], state: str) -> None:
    path = out / TRACK.name / "leaderboard.json"
    path.unlink()
    make(path)
    assert problems(out) == (named(path, state),)


def test_no_table_that_would_hang_is_read(out: Path) -> None:
    paths = sorted(path for path in (out / TRACK.name).iterdir() if path.is_file())
    for path, (make, _) in zip(paths, HARM, strict=True):
        path.unlink()
        make(path)
    assert problems(out) == tuple(named(path, state) for path, (_, state) in zip(paths, HARM, strict=True))


def test_a_link_to_the_right_content_is_named(out: Path, tmp_path: Path) -> None:
    path = out / TRACK.name / "leaderboard.json"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert problems(out) == (named(path, "a link"),)


def test_a_leaderboard_has_each_key_once(out: Path) -> None:
    path = out / TRACK.name / "leaderboard.json"
    path.write_text(path.read_text().replace('"m": 3', '"m": 99, "m": 3', 1))
    assert problems(out) == (named(path, "stale"),)


@pytest.mark.parametrize(
    "content", [b"", b"[" * 10**5, b"[]", b"3", b'{"rows": 1}', b"\xff", b'{"m": Infinity}', b"1" * 10**6]
)
def test_a_leaderboard_that_is_none_is_one_line(out: Path, content: bytes) -> None:
    path = out / TRACK.name / "leaderboard.json"
    path.write_bytes(content)
    assert problems(out) == (named(path, "stale"),)


def test_a_board_that_is_not_built_yet_is_stale(out: Path, results: Path) -> None:
    for seed in range(SEEDS):
        write_cell(results, *made_cell("-/-/atomic", seed, options={"layout": {}}))
    assert {f"leaderboard.{suffix}" for suffix in ("csv", "json", "md", "tex")} <= {
        Path(line.partition(" is stale. ")[0]).name for line in problems(out)
    }


def test_tables_are_compared_once_the_results_are_right(out: Path, results: Path) -> None:
    (out / TRACK.name / "leaderboard.json").unlink()
    path_of(results, SEARCH, 3).unlink()
    assert not any("leaderboard.json" in line for line in problems(out))


def of_page(out: Path, *names: str) -> list[str]:
    return page_problems([verify_files(track, out) for track in tracks_of(out, names)[0]], out)


def edit_text(path: Path) -> None:
    path.write_text(path.read_text("utf-8").replace("demo", "dem0", 1), "utf-8")


@pytest.fixture
def pages(out: Path) -> Path:
    """Two tracks, whose page lists them in an order of its own."""
    for name in ROWS:
        cell, cases = made_cell(name, 0)
        stamp = TrackStamp(name=SMOKE.name, version=SMOKE.version, protocol_sha256=protocol_sha256(SMOKE))
        write_cell(out / "smoke" / "results", cell.model_copy(update={"track": stamp}), cases)
    write(build(out))
    return out


def test_a_page_is_what_the_results_of_all_tracks_give(pages: Path) -> None:
    assert of_page(pages) == of_page(pages, "smoke", "demo") == []
    edit_text(pages / "index.html")
    assert of_page(pages) == of_page(pages, "smoke", "demo") == [named(pages / "index.html", "stale")]


def test_a_page_is_checked_with_all_of_its_tracks_only(pages: Path) -> None:
    """It cannot be made from some of them, or from wrong results, which are reported."""
    edit_text(pages / "index.html")
    assert of_page(pages, "demo") == []
    path_of(pages / "demo" / "results", SEARCH, 3).unlink()
    assert of_page(pages) == []
    assert any("lacks seed 3" in line for line in problems(pages))


def test_a_page_that_is_not_there_is_no_problem_and_one_that_would_hang_is_not_read(out: Path) -> None:
    """`semidbench run` writes none; `leaderboard build --check` finds that it is missing."""
    assert of_page(out) == []
    page = out / "index.html"
    page.symlink_to("/dev/zero")
    assert of_page(out) == [named(page, "a link")]
    page.unlink()
    os.mkfifo(page)
    assert of_page(out) == [named(page, "not a file")]
    page.unlink()
    sparse(page)
    assert of_page(out) == [named(page, "stale")]


def test_the_command_names_a_stale_page(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("semidbench.submissions.data_checks.data_problems", lambda results, track, data: [])
    write(build(out))
    assert CliRunner().invoke(app, ["verify", "--out", str(out)]).exit_code == 0
    edit_text(out / "index.html")
    ran = CliRunner().invoke(app, ["verify", "--out", str(out)])
    assert named(out / "index.html", "stale") in ran.stdout.splitlines()
    assert str(ran.exception) == f"1 problem in {out}"


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
