"""All of the deliberately broken plugins in one run: none keeps it from finishing the others."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from semidbench.methods.registry import MethodKind
from semidbench.runs.run import Run, run
from tests import broken_plugins
from tests.broken_plugins import EXPECTED
from tests.smoke_tracks import smoke_track

GOOD = "broken-good"
SCHEMES: dict[MethodKind, str] = {
    "embedder": f"{{}}/{GOOD}/{GOOD}",
    "quantizer": f"{GOOD}/{{}}/{GOOD}",
    "layout": f"{GOOD}/{GOOD}/{{}}",
    "ranker": "{}",
}
CAUSES = {
    "broken-made-raises": "cannot be made with options {}: not today",
    "broken-made-lacks": "AttributeError",
    "broken-raise": "RuntimeError: the deed is done",
    "broken-exit": "SystemExit: 0",
    "broken-hard-exit": "its process left with exit code 0",
    "broken-crash": "its process was ended by SIGSEGV",
    "broken-hang": "it took longer than 0.2 minutes",
    "broken-memory-hog": "MemoryError",
    "broken-flood": "it printed more than 16 MiB",
    "broken-flood-without-lines": "it printed more than 16 MiB",
    "broken-inputs": "read-only",
    "broken-inputs-histories": "read-only",
    "broken-made-unkept": "limit: a number is NaN",
}
BROKEN = [(kind, name) for (kind, name), rule in EXPECTED.items() if rule]
# What a run notices by itself; the other rules are for `check` alone, and their breakers make rows.
NOTICED = [(kind, name) for kind, name in BROKEN if name in CAUSES or "-returns-" in name]


def row(kind: MethodKind, name: str) -> str:
    return SCHEMES[kind].format(name)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A run of them all, and of a row and a ranker that work."""
    home = tmp_path_factory.mktemp("home")
    rankers = [GOOD, *(name for kind, name in BROKEN if kind == "ranker")]
    track = smoke_track(home, "broken", rankers, epochs=2)
    rows = [row(kind, name) for kind, name in BROKEN if kind != "ranker"]
    with pytest.MonkeyPatch.context() as patch:
        broken_plugins.install(home / "site", patch)
        yield run(
            track,
            [*rows, row("layout", GOOD)],
            1,
            out=home / "out",
            cache=home / "cache",
            jobs=2,
            plugin_minutes=0.2,
            plugin_memory=0.75,
        )
    for module in broken_plugins.MODULES.values():
        sys.modules.pop(module, None)


def test_the_others_finish(done: Run) -> None:
    assert done.leaderboard is not None
    assert row("layout", GOOD) in [each.name for each in done.leaderboard.rows]
    assert GOOD in [each.name for each in done.leaderboard.references]


def test_each_has_results_or_is_told_of_once(done: Run) -> None:
    assert done.leaderboard is not None
    rows = [each.name for each in (*done.leaderboard.rows, *done.leaderboard.references)]
    told = [one.row for one in done.failures]
    assert sorted([*rows, *told]) == sorted([row("layout", GOOD), GOOD, *(row(kind, name) for kind, name in BROKEN)])


@pytest.mark.parametrize(("kind", "name"), NOTICED, ids=map("-".join, NOTICED))
def test_a_broken_plugin_is_named_with_its_breach(kind: MethodKind, name: str, done: Run) -> None:
    (failure,) = (one for one in done.failures if one.row == row(kind, name))
    assert f"{kind} {name!r} of broken-plugins 1" in failure.message
    assert CAUSES.get(name, "broke its contract: expected") in failure.message
