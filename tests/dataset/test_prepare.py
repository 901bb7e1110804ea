from __future__ import annotations

from pathlib import Path

import pytest

from semidbench.dataset.prepare import prepare
from semidbench.errors import UserError
from semidbench.track import Track, load_track
from tests.movielens_files import SECTION, jsonl, query_lines, write_folder


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
    prepared = prepare(movielens, write_folder(tmp_path / "data", queries=jsonl(query_lines())))
    assert prepared.raw.test_queries.texts == tuple(f"something test 0 near {movie}" for movie in (1, 2, 3))
