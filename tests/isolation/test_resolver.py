"""Finding rows' plugins in a process of its own: whatever they do when imported or built costs their rows alone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from semidbench.errors import UserError
from semidbench.isolation.resolver import resolve_here, resolve_isolated
from semidbench.methods.failure import PluginFailure
from semidbench.methods.registry import load_registry
from semidbench.methods.resolve import outcome
from semidbench.methods.resolved import Outcome, ResolvedScheme, Wanted, as_json, from_json
from semidbench.runs.run import run
from semidbench.tracks.files import load_track
from tests import early_plugin
from tests.smoke_tracks import smoke_track

WHO = "layout {name!r} of early-plugin 1"
SMOKE = load_track("smoke")
PATIENCE = 3.0
CAUSES = {
    "leave": "its process left with exit code 3",
    "crash": "its process was ended by SIGSEGV",
    "hang": "it took longer than 3 seconds",
    "flood": "it printed more than 16 MiB",
}
IMPORTED = ("raise", "exit", "leave", "hang")  # deeds tried at import; all are when built


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("semidbench.isolation.resolver.PATIENCE", PATIENCE)
        yield early_plugin.install(tmp_path_factory.mktemp("early"), patch)
    for name in [name for name in sys.modules if name.startswith("early_")]:
        del sys.modules[name]


def built(deed: str) -> str:
    return f"-/-/early[deed={deed}]"


def imported(deed: str) -> str:
    return f"-/-/early-{deed}"


@pytest.fixture(scope="module")
def found(notes: Path) -> dict[str, Outcome]:
    """Every deed once, a second row of the one that hung, and good rows before and behind."""
    rows = ["-/-/early", *map(built, early_plugin.DEEDS), "-/-/early[deed=hang,width=1]", *map(imported, IMPORTED)]
    rows += ["-/-/early[width=2]"]
    return dict(zip(rows, resolve_isolated(SMOKE, [Wanted("scheme", row) for row in rows]), strict=True))


@pytest.mark.parametrize("deed", early_plugin.DEEDS)
def test_a_factory_costs_its_row_alone(deed: str, found: dict[str, Outcome]) -> None:
    failed, who = found[built(deed)], WHO.format(name="early")
    assert isinstance(failed, PluginFailure)
    options = f'{{"deed": "{deed}", "width": 1}}'
    told = {
        "raise": f"{who} cannot be made with options {{'deed': 'raise', 'width': 1}}: too early",
        "exit": f"{who} failed: SystemExit: enough",
    }
    assert failed.message == told.get(deed, f"{who} failed when it was made with options {options}: {CAUSES.get(deed)}")
    assert ("early_plugin.py" in failed.trace) == (deed not in ("leave", "flood"))
    assert "semidbench/" not in failed.trace


@pytest.mark.parametrize("deed", IMPORTED)
def test_an_import_costs_its_row_alone(deed: str, found: dict[str, Outcome]) -> None:
    failed, who = found[imported(deed)], WHO.format(name=f"early-{deed}")
    assert isinstance(failed, PluginFailure)
    if deed in CAUSES:
        assert failed.message == f"{who} failed when it was imported: {CAUSES[deed]}"
    else:
        assert failed.message.startswith(f"{who} cannot be loaded from 'early_{deed}:Early': ")
    assert ("early_plugin.py" in failed.trace) == (deed != "leave")


def test_the_other_rows_are_found_as_in_this_process(found: dict[str, Outcome]) -> None:
    rows = ["-/-/early", "-/-/early[width=2]"]
    here = resolve_here(SMOKE, [Wanted("scheme", row) for row in rows])
    assert all(isinstance(row, ResolvedScheme) for row in here)
    assert [found[row] for row in rows] == list(here)


def test_what_hung_once_is_not_waited_for_again(found: dict[str, Outcome], notes: Path) -> None:
    first, again = found[built("hang")], found["-/-/early[deed=hang,width=1]"]
    assert isinstance(first, PluginFailure)
    assert isinstance(again, PluginFailure)
    assert first.message == again.message
    assert sum(line.endswith(" hang") for line in notes.read_text().splitlines()) == 1 + 1  # built once, imported once


def test_a_message_changes_nothing() -> None:
    registry = load_registry()
    for wanted in (
        Wanted("scheme", "fused-svd+search/rq-kmeans/separate"),
        Wanted("ranker", "popularity"),
        Wanted("embedder", "fused-svd"),
    ):
        row = outcome(registry, wanted, SMOKE)
        assert not isinstance(row, UserError)
        assert from_json(as_json(row)) == row


@pytest.mark.parametrize("deed", ["exit", "leave", "hang"])
def test_a_plugin_that_cannot_be_listed_leaves_the_others(
    deed: str, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARLY_LISTED", deed)
    wanted = [Wanted("scheme", "-/-/random"), Wanted("scheme", "-/-/early")]
    good, missing = resolve_isolated(SMOKE, wanted)
    assert isinstance(good, ResolvedScheme)
    assert isinstance(missing, UserError)
    cause = CAUSES.get(deed, "SystemExit: enough")
    assert "unknown layout 'early'" in str(missing)
    assert "Plugins that failed to load: early-plugin: " in str(missing)
    assert cause in str(missing)


def test_names_and_options_are_refused_whatever_else_fails(notes: Path) -> None:
    rows = [imported("raise"), "-/-/early[widht=2]"]
    with pytest.raises(UserError, match="Did you mean 'width'"):
        resolve_isolated(SMOKE, [Wanted("scheme", row) for row in rows])
    with pytest.raises(UserError, match="has 2 parts, not 3"):
        resolve_isolated(SMOKE, [Wanted("scheme", "a/b")])


@pytest.fixture(scope="module")
def track(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A track like `smoke`, with little to train and one reference."""
    return smoke_track(tmp_path_factory.mktemp("track"), "quick", ["popularity"], epochs=2)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_run_finishes_the_other_rows_and_imports_no_plugin(
    jobs: int, track: str, notes: Path, tmp_path: Path
) -> None:
    notes.write_text("")
    rows = [built("leave"), imported("raise"), "-/-/early"]
    done = run(track, rows, 1, out=tmp_path / "out", cache=tmp_path / "cache", jobs=jobs)
    assert done.leaderboard is not None
    assert [row.name for row in done.leaderboard.rows] == ["-/-/early"]
    assert [row.name for row in done.leaderboard.references] == ["popularity"]
    assert {(one.row, one.seed, one.stage) for one in done.failures} == {(row, 0, "build") for row in rows[:2]}
    assert len(list((done.folder / "failures").iterdir())) == 2
    programs = {line.split()[0] for line in notes.read_text().splitlines()}
    assert programs == {"semidbench.isolation.resolver_worker", "semidbench.isolation.worker"}
