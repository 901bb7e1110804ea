from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from semidbench.dataset.prepare import prepare, source_hashes
from semidbench.errors import UserError
from semidbench.tracks.files import load_track
from semidbench.tracks.track import MovieLens, Track
from tests.movielens_files import (
    DESCRIPTIONS,
    MOVIES,
    RATINGS,
    SECTION,
    TAGS,
    jsonl,
    own_track,
    query_lines,
    write_folder,
    write_ml25m,
)


@pytest.fixture
def movielens() -> Track:
    return load_track("ml-small").model_copy(update={"dataset": SECTION})


def test_the_built_in_world_needs_no_data() -> None:
    prepared = prepare(load_track("smoke"), None)
    assert len(prepared.raw.catalogue) > 0
    assert prepared.notes == ()


def test_data_that_would_not_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="reads no files"):
        prepare(load_track("smoke"), tmp_path)


def test_movielens_without_data_says_what_to_give(movielens: Track) -> None:
    with pytest.raises(
        UserError, match=r"--data DIR must hold .*grouplens.org/datasets/movielens/latest.*descriptions"
    ):
        prepare(movielens, None)


def test_written_queries(movielens: Track, tmp_path: Path) -> None:
    prepared = prepare(movielens, write_folder(tmp_path / "data"))
    assert len(prepared.raw.train_queries) == 6
    assert len(prepared.raw.test_queries) == 3
    assert prepared.notes


def test_given_queries(movielens: Track, tmp_path: Path) -> None:
    given = movielens.model_copy(update={"dataset": from_file(movielens)})
    prepared = prepare(given, write_folder(tmp_path / "data", queries=jsonl(query_lines())))
    assert prepared.raw.test_queries.texts == tuple(f"something test 0 near {movie}" for movie in (1, 2, 3))
    (tmp_path / "data" / "queries.jsonl").unlink()
    (tmp_path / "queries.jsonl").write_text(jsonl(query_lines()))  # beside the folder: not its own
    with pytest.raises(UserError, match=r"no queries.jsonl in .*data.* `semidbench data queries`"):
        prepare(given, tmp_path / "data")


def from_file(movielens: Track) -> MovieLens:
    table = movielens.dataset.model_dump() | {"queries": "file", "queries_seed": None}
    return MovieLens.model_validate(table)


def test_a_stray_query_file_is_not_read_and_noted(movielens: Track, tmp_path: Path) -> None:
    without = prepare(movielens, write_folder(tmp_path / "without"))
    stray = prepare(movielens, write_folder(tmp_path / "stray", queries="not even JSON"))
    assert stray.raw.train_queries.texts == without.raw.train_queries.texts
    assert stray.raw.test_queries.texts == without.raw.test_queries.texts
    assert stray.notes == (*without.notes, 'queries.jsonl is not read: the track has queries = "templates"')
    hashes = [source_hashes(movielens, tmp_path / name) for name in ("without", "stray")]
    assert {role for role in hashes[1] if hashes[0].get(role) != hashes[1][role]} == {"queries"}


def test_each_file_that_is_read_counts_for_the_identity(movielens: Track, tmp_path: Path) -> None:
    base = source_hashes(movielens, write_folder(tmp_path / "base"))
    assert set(base) == {"movies", "ratings", "tags", "descriptions"}
    changes = {"movies": MOVIES, "ratings": RATINGS, "tags": TAGS, "descriptions": DESCRIPTIONS}
    for role, content in changes.items():
        changed = source_hashes(movielens, write_folder(tmp_path / role, **{role: content + "\n"}))
        assert {name for name in base if base[name] != changed[name]} == {role}
    given = movielens.model_copy(update={"dataset": from_file(movielens)})
    one, other = (
        source_hashes(given, write_folder(tmp_path / name, queries=text)) for name, text in (("a", "{}"), ("b", "[]"))
    )
    assert {role for role in one if one[role] != other[role]} == {"queries"}


def test_links_and_genome_count_where_they_are_read(tmp_path: Path) -> None:
    write_ml25m(tmp_path, movies=20, users=5, ratings_per_user=4)
    own = load_track(str(own_track(tmp_path / "own.toml")))
    assert set(source_hashes(own, tmp_path)) == {"movielens", "descriptions", "queries"}
    with zipfile.ZipFile(tmp_path / "ml-25m.zip") as archive:
        archive.extractall(tmp_path)
    every = {"movies", "ratings", "tags", "links", "genome-scores", "genome-tags", "descriptions", "queries"}
    assert set(source_hashes(own, tmp_path)) == every
