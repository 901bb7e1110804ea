"""`semidbench inspect` on the smoke track, with this repository's plugins: what it says equals what the stages hold."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from semidbench.api import Floats, ItemIds, Task
from semidbench.cli import main
from semidbench.errors import UserError
from semidbench.ids.embedder import load_views
from semidbench.ids.layout import load_ids
from semidbench.ids.usage import id_use
from semidbench.preview.inspection import Inspection, ViewError, inspect
from semidbench.preview.inspection_tables import error_table, to_json, use_table
from semidbench.preview.variance_left import left_by_means, left_by_sums
from semidbench.runs.shared.session import open_session
from semidbench.tracks.files import load_track

SHARED, SEPARATE, RANDOM = "content/rq-kmeans[beam=3]/shared", "content+search/rq-kmeans/separate", "-/-/random"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def found(cache: Path) -> Inspection:
    return inspect([SHARED, SEPARATE, RANDOM], "smoke", cache=cache)


def lines(table: object, width: int) -> list[str]:
    from rich.console import Console

    console = Console(width=width, file=io.StringIO())
    with console.capture() as capture:
        console.print(table)
    return capture.get().splitlines()


def stored_ids(cache: Path) -> list[dict[Task, ItemIds]]:
    return [load_ids(stage.parent) for stage in (cache / "ids").glob("*/stage.json")]


def is_measured_on(error: ViewError, view: Floats, ids: ItemIds) -> bool:
    dealt = np.random.default_rng(0).permutation(ids.codes)
    return error == ViewError(
        error.view,
        sums=left_by_sums(view, ids.codes),
        chance_sums=left_by_sums(view, dealt),
        means=left_by_means(view, ids.codes),
        chance_means=left_by_means(view, dealt),
    )


def test_numbers_are_those_of_the_stages(found: Inspection, cache: Path) -> None:
    views = [load_views(stage.parent)["item"] for stage in (cache / "embedding").glob("*/stage.json")]
    shared = found.schemes[0]
    assert (found.track, found.items, found.seed, shared.scheme, shared.tokens) == ("smoke", 240, 0, SHARED, 32)
    (ids,) = shared.ids
    (error,) = ids.errors
    assert ids.tasks == ("search", "rec")
    assert error.view == "content"
    assert error.sums < 0.8 < error.chance_sums
    tables = [one["search"] for one in stored_ids(cache) if id_use(one["search"]) == ids.use]
    assert any(is_measured_on(error, view, table) for view in views for table in tables)


def test_tasks_with_ids_of_their_own_are_told_apart(found: Inspection, cache: Path) -> None:
    views = [load_views(stage.parent)["item"] for stage in (cache / "embedding").glob("*/stage.json")]
    separate = found.schemes[1]
    (stored,) = (one for one in stored_ids(cache) if one["search"].slots == ("search-1", "search-2"))
    assert separate.tokens == 64
    assert [ids.tasks for ids in separate.ids] == [("search",), ("rec",)]
    for ids in separate.ids:
        assert ids.use == id_use(stored[ids.tasks[0]])
        assert ids.use.tokens == 32
        assert [error.view for error in ids.errors] == ["content", "search"]
        for error in ids.errors:
            assert any(is_measured_on(error, view, stored[ids.tasks[0]]) for view in views)


def test_a_scheme_without_embedder_is_measured_on_the_texts(found: Inspection) -> None:
    (ids,) = found.schemes[2].ids
    (error,) = ids.errors
    assert error.view == "item texts"
    assert error.sums == pytest.approx(error.chance_sums, abs=0.05)


def test_views_name_what_all_are_measured_on(cache: Path) -> None:
    for scheme in inspect([SHARED, RANDOM], "smoke", views="search+content", cache=cache).schemes:
        assert [error.view for error in scheme.ids[0].errors] == ["search", "content"]


def test_seed_and_cache(found: Inspection, cache: Path) -> None:
    before = set(cache.rglob("stage.json"))
    assert inspect([SHARED, SEPARATE, RANDOM], "smoke", cache=cache) == found
    assert set(cache.rglob("stage.json")) == before
    assert inspect([RANDOM], "smoke", 1, cache=cache).schemes != found.schemes[2:]


def test_a_run_finds_what_was_inspected(found: Inspection, cache: Path) -> None:
    """The IDs are those that a run trains on: the stage has the same key."""
    from semidbench.methods.registry import load_registry
    from semidbench.methods.resolve import resolve_scheme
    from semidbench.runs.stages.assign_ids import ids_key
    from semidbench.store.stages import find_stage

    track = load_track("smoke")
    session = open_session(track, "test", None, cache, "cpu")
    scheme = resolve_scheme(load_registry(), SHARED, track)
    assert find_stage(session.store, ids_key(session, scheme, 0)) is not None


@pytest.mark.parametrize("width", [80, 100])
def test_tables_fit_and_say_all(found: Inspection, width: int) -> None:
    for table, words in (
        (use_table(found), ("item-1", "search-2", "240 items", "Load")),
        (error_table(found), ("item texts", "Means", "content")),
    ):
        printed = lines(table, width)
        text = "\n".join(printed)
        assert max(map(len, printed)) <= width
        assert "…" not in text
        assert "[beam=3]" in text.replace(" ", "").replace("\n", "")
        assert all(word in text for word in words)


def test_json_is_versioned_and_whole(found: Inspection) -> None:
    told = json.loads(to_json(found))
    assert told["semidbench_inspection"] == 1
    assert [row["scheme"] for row in told["schemes"]] == [SHARED, SEPARATE, RANDOM]
    assert told["schemes"][0]["ids"][0]["use"]["distinct"] == found.schemes[0].ids[0].use.distinct


def test_refuses_in_one_line(cache: Path) -> None:
    with pytest.raises(UserError, match="at least one scheme"):
        inspect([], "smoke", cache=cache)
    with pytest.raises(UserError, match="seed must not be negative"):
        inspect([RANDOM], "smoke", -1, cache=cache)
    with pytest.raises(UserError, match="unknown embedder 'serach'"):
        inspect([RANDOM], "smoke", views="serach+rec", cache=cache)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["content/shared"], "has 2 parts, not 3"),
        ([RANDOM, "--trak", "demo"], "no such option: --trak"),
        (["content/rq-kmeans/random"], "uses no embedder"),
    ],
)
def test_command_line_errors(
    words: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["semidbench", "inspect", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr()
    assert ended.value.code == 2
    assert message in told.err
    assert len(told.err.splitlines()) == 1
    assert told.out == ""


@pytest.mark.parametrize("asked", [True, False])
def test_a_traceback_is_shown_when_asked_for(
    asked: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*args: object, **options: object) -> None:
        raise UserError("the plugin failed") from ZeroDivisionError("deep inside")

    monkeypatch.setattr("semidbench.preview.inspection.inspect", broken)
    monkeypatch.setattr(sys, "argv", ["semidbench", "inspect", RANDOM, *["--traceback"] * asked])
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert told.splitlines()[-1] == "error: the plugin failed"
    assert ("ZeroDivisionError: deep inside" in told) == asked


def test_command_line(
    found: Inspection, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["semidbench", "inspect", RANDOM, "--track", "smoke", "--cache", str(cache)]
    monkeypatch.setenv("COLUMNS", "100")
    for as_json in (["--json"], []):
        monkeypatch.setattr(sys, "argv", [*words, *as_json])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
        out = capsys.readouterr().out
        if as_json:
            assert json.loads(out)["schemes"] == json.loads(to_json(found))["schemes"][2:]
        else:
            assert "item-2 16/16" in out
            assert "Chance" in out
