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
    "demo": "137104c31a41368a70030869418bd1912de3f08528f6a8a5e73187a4a4b51e46",
    "ml-small": "7c6f8a24b3e2bdaa8a39c31fa98c83d193d5aa7134e12c5f13c90cbe2e355f7c",
    "paper": "59ea5ad3662a1835bdf94105b564e53910e55a24ccf9f4b16bcc4b1d02570053",
    "smoke": "ebbe2b9b961c36216e15f48a1c988d9b4973b719fe29b06ca28f7951c050b7cc",
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
