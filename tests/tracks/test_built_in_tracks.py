"""The built-in tracks are what they were when their results were made."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from semidbench.results.cell_result import protocol_sha256
from semidbench.tracks import track
from semidbench.tracks.files import built_in_tracks, load_track
from tests.smoke_tracks import REFERENCES, smoke_track

LEADERBOARDS = Path(__file__).parents[2] / "leaderboards"

# Tracks extend each other, so an edit of demo.toml reaches others. A hash that changes here means: raise that track's
# version, for results under the old hash are refused.
PROTOCOLS = {
    "demo": "0f566d06628857dcc068a8a4329862dbca1054dc19f137693627c72d98cff18c",
    "ml-small": "157a165bd062cba3362a0e9bbfd6edfb2cc67e1cfe01f7d88dabd0cf4b149358",
    "paper": "433081666ac76ed5ce363320b9b6438dffb331cf44446314158ad27808b262be",
    "smoke": "7d6e16e976bcfb365cbec23e3b36e9479906e357087a58f2afe58b99b3d648f2",
}
# All of a track: the options of methods, the plan and the prose too. These may change within a version.
WHOLE = {
    "demo": "9b8da9d9f6a0c30568eb5fa0e3c9d6422061e420cfe714d7a78b4698035f01f9",
    "ml-small": "51bddd587f70499c336d13c2883249af79b146584d0cd876e31abe735487290e",
    "paper": "de64a6cbf9d34e9f392257346a75a27f5753bc4f746581b7d7791c1c30cf0ed1",
    "smoke": "d108daa506ce9060c804bd2592e7cb7035fa30e482460d6d0732b277d0c64869",
}


def test_every_built_in_track_is_pinned() -> None:
    assert set(built_in_tracks()) == set(PROTOCOLS) == set(WHOLE)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_track_is_what_it_was(name: str) -> None:
    loaded = load_track(name)
    assert protocol_sha256(loaded) == PROTOCOLS[name]
    whole = json.dumps(loaded.model_dump(mode="json"), sort_keys=True)
    assert hashlib.sha256(whole.encode()).hexdigest() == WHOLE[name]


@pytest.mark.parametrize("name", ["demo", "ml-small"])
def test_the_committed_results_are_of_these_protocols(name: str) -> None:
    results = [json.loads(path.read_text("utf-8")) for path in (LEADERBOARDS / name / "results").glob("*.json")]
    assert len(results) > 100
    assert {result["track"]["protocol_sha256"] for result in results} == {PROTOCOLS[name]}


def test_a_copy_of_smoke_with_another_name_and_other_references_is_smoke(tmp_path: Path) -> None:
    """Scripts make such copies: they replace the lines `name` and `references` of smoke.toml. They lie anywhere."""
    copy, smoke = load_track(smoke_track(tmp_path, "tiny", ["popularity"])), load_track("smoke")
    assert (copy.name, copy.plan.references) == ("tiny", ("popularity",))
    back = copy.plan.model_copy(update={"references": REFERENCES})
    assert copy.model_copy(update={"name": "smoke", "plan": back}) == smoke


def test_fields_added_later_leave_old_protocols_alone() -> None:
    """A default is left out of what is hashed, anything else is in it."""
    chosen = load_track("ml-small")
    assert set(chosen.dataset.model_dump()) == {
        "recipe",
        "min_ratings",
        "train_queries",
        "test_queries",
        "queries_seed",
    }
    other = chosen.model_copy(update={"dataset": chosen.dataset.model_copy(update={"last_interactions": 8})})
    assert protocol_sha256(other) != protocol_sha256(chosen)


def test_a_seed_without_templates_is_refused() -> None:
    table = load_track("ml-small").dataset.model_dump()
    for wrong in ({"queries": "file"}, {"queries_seed": None}):
        with pytest.raises(ValueError, match="needs queries_seed"):
            track.MovieLens.model_validate(table | wrong)
