from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from semidbench.api import Catalogue, Queries
from semidbench.dataset.item_text import item_text
from semidbench.dataset.movielens.read import MovieLensData, read_movielens
from semidbench.dataset.prepare import query_targets
from semidbench.dataset.queries import wording
from semidbench.dataset.queries.facets import title_pattern
from semidbench.dataset.queries.query_files import read_queries
from semidbench.dataset.queries.templates import write_queries
from semidbench.errors import UserError
from semidbench.tracks import track
from tests.movielens_files import SECTION, jsonl, query_lines, write_folder

REAL = Path(os.environ.get("SEMIDBENCH_DATA", Path(__file__).parents[3] / "shared" / "data"))
ML_SMALL = track.MovieLens(recipe="movielens", min_ratings=5, train_queries=10, test_queries=10, queries_seed=20250822)


def catalogue(*items: tuple[str, int, tuple[str, ...], str]) -> Catalogue:
    titles, years, categories, descriptions = zip(*items, strict=True)
    tags: tuple[tuple[str, ...], ...] = tuple(() for _ in items)
    return Catalogue(
        texts=tuple(map(item_text, titles, years, categories, tags, descriptions)),
        titles=titles,
        years=np.array(years, dtype=np.int64),
        categories=categories,
        tags=tags,
        descriptions=descriptions,
    )


@pytest.fixture(scope="module")
def real() -> tuple[MovieLensData, Queries, Queries]:
    if not REAL.is_dir():
        pytest.skip("MovieLens data not there (SEMIDBENCH_DATA)")
    data = read_movielens(ML_SMALL, REAL)
    return data, *write_queries(ML_SMALL, data.catalogue, data.cast)


def test_ten_and_ten_for_every_item(real: tuple[MovieLensData, Queries, Queries]) -> None:
    data, train, test = real
    for queries in (train, test):
        assert np.bincount(queries.items, minlength=len(data.catalogue)).tolist() == [10] * len(data.catalogue)
        assert len(queries.texts) == len(queries.items)
        by_item = np.array(queries.texts, dtype=object).reshape(-1, 10)
        assert all(len(set(texts)) == 10 for texts in by_item)


def test_no_test_query_equals_a_training_query(real: tuple[MovieLensData, Queries, Queries]) -> None:
    _, train, test = real
    assert not {text.casefold() for text in train.texts} & {text.casefold() for text in test.texts}


def test_no_query_holds_its_title(real: tuple[MovieLensData, Queries, Queries]) -> None:
    data, train, test = real
    titles = [re.compile(rf"(?<!\w){re.escape(title)}(?!\w)", re.IGNORECASE) for title in data.catalogue.titles]
    patterns = [title_pattern(title) for title in data.catalogue.titles]
    for queries in (train, test):
        for item, text in zip(queries.items.tolist(), queries.texts, strict=True):
            assert not titles[item].search(text), (data.catalogue.titles[item], text)
            assert not patterns[item].search(text), (data.catalogue.titles[item], text)


def test_no_query_is_malformed(real: tuple[MovieLensData, Queries, Queries]) -> None:
    for queries in real[1:]:
        assert not [text for text in queries.texts if "  " in text or "{" in text or text != text.strip()]


def test_the_same_in_another_process(real: tuple[MovieLensData, Queries, Queries]) -> None:
    """Another hash seed, a tenth of the data: the order of sets and dicts must not matter."""
    program = """
import hashlib, sys
from pathlib import Path
from semidbench.dataset.movielens.read import read_movielens
from semidbench.dataset.queries.templates import write_queries
from semidbench.tracks import track
section = track.MovieLens(recipe="movielens", min_ratings=60, train_queries=3, test_queries=3, queries_seed=5)
data = read_movielens(section, Path(sys.argv[1]))
queries = write_queries(section, data.catalogue, data.cast)
print(hashlib.sha256(repr([each.texts for each in queries]).encode()).hexdigest())
"""
    hashes = {
        subprocess.run(
            [sys.executable, "-c", program, str(REAL)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(hashes) == 1


def test_items_without_text_get_queries() -> None:
    items = catalogue(("It", 1990, ("Horror",), ""), ("Up", 0, (), ""), ("Comedy of War", 2003, ("Comedy", "War"), ""))
    train, test = write_queries(ML_SMALL, items, ((), (), ()))
    assert len(train) == len(test) == 30
    assert not set(train.texts) & set(test.texts)
    for item, text in zip([*train.items, *test.items], [*train.texts, *test.texts], strict=True):
        assert not re.search(r"\bit\b|\bup\b" if item < 2 else r"\bcomedy\b|\bwar\b", text, re.IGNORECASE)


def test_a_training_text_is_never_drawn_for_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if both sides spoke in the same frames and words."""
    monkeypatch.setattr(wording, "BARE_FRAMES", (wording.BARE_FRAMES[0],) * 2)
    for name in ("DECADES", "YEARS", "ANYTHING"):
        monkeypatch.setattr(wording, name, (getattr(wording, name)[0],) * 2)
    monkeypatch.setattr(wording, "GENRES", {name: (pools[0],) * 2 for name, pools in wording.GENRES.items()})
    train, test = write_queries(ML_SMALL, catalogue(("Zog", 0, ("Horror",), "")), ((),))
    assert len(test) == 10
    assert not set(train.texts) & set(test.texts)


def test_an_impossible_title_is_refused() -> None:
    with pytest.raises(UserError, match=r"could be written without its title. .*provide all of them in queries"):
        write_queries(ML_SMALL, catalogue(("Movie (Film)", 0, (), "")), ((),))


@pytest.mark.parametrize(
    ("title", "text", "leaks"),
    [
        ("The Grey Harbour", "a story of a grey day", True),
        ("The Grey Harbour", "the story", False),
        ("Heat", "in the heat, a heist", True),
        ("Heat", "a heated debate", False),
        ("Léon: The Professional (Léon)", "a hired professional", True),
        ("The Postman (Il Postino)", "something on a postino", True),
        ("Scary Movie", "a funny movie", False),
    ],
)
def test_title_pattern(title: str, text: str, leaks: bool) -> None:
    assert bool(title_pattern(title).search(text)) == leaks


@pytest.fixture
def tiny(tmp_path: Path) -> MovieLensData:
    return read_movielens(SECTION, write_folder(tmp_path / "data"))


def test_reads_queries(tmp_path: Path, tiny: MovieLensData) -> None:
    path = tmp_path / "queries.jsonl"
    dropped: dict[str, object] = {"movieId": 9, "split": "test", "text": "of a movie that was dropped"}
    path.write_text(jsonl([*query_lines()[::-1], dropped]))
    train, test, notes = read_queries(path, query_targets(tiny), 2, 1)
    assert train.items.tolist() == [0, 0, 1, 1, 2, 2]
    assert test.items.tolist() == [0, 1, 2]
    assert test.texts[1] == "something test 0 near 2"
    assert train.texts[:2] == ("something train 1 near 1", "something train 0 near 1")
    assert notes == ()


def test_title_leaks_are_counted(tmp_path: Path, tiny: MovieLensData) -> None:
    lines = query_lines()
    lines[0]["text"] = "that grey thing"
    path = tmp_path / "queries.jsonl"
    path.write_text(jsonl(lines))
    assert read_queries(path, query_targets(tiny), 2, 1)[2] == (
        "queries that contain their item's title or a distinctive word of it: 1",
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (jsonl(query_lines()) + "{oops\n", r"line 10: not valid JSON"),
        (jsonl(query_lines()) + "[]\n", r"line 10: not a JSON object"),
        (jsonl([{"movieId": 1, "text": "x"}]), r"line 1: no field 'split'"),
        (jsonl([{"movieId": 1, "split": "dev", "text": "x"}]), r"line 1: split 'dev' is neither"),
        (jsonl([{"movieId": "1", "split": "test", "text": "x"}]), r"line 1: movieId '1' is not of type int"),
        (jsonl([{"movieId": 1, "split": "test", "text": "x", "extra": 1}]), r"line 1: unknown field 'extra'"),
        (jsonl([{"movieId": 77, "split": "test", "text": "x"}]), r"line 1: movieId 77 is not in movies.csv"),
        (jsonl([{"movieId": 1, "split": "test", "text": "  "}]), r"line 1: text is blank"),
        (jsonl(query_lines()[1:]), r"movieId 1 has 1 train queries, not 2"),
        (jsonl([*query_lines()[:8], {**query_lines()[8], "text": query_lines()[0]["text"]}]), r"line 9: test query"),
        (jsonl(query_lines()).encode() + b"\xff\n", r"line 10: byte 0xff at offset \d+ is not UTF-8"),
        ("", r"is empty"),
    ],
)
def test_bad_query_files(tmp_path: Path, tiny: MovieLensData, content: str | bytes, message: str) -> None:
    path = tmp_path / "queries.jsonl"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=message) as error:
        read_queries(path, query_targets(tiny), 2, 1)
    assert "\n" not in str(error.value)
    assert "queries.jsonl" in str(error.value)


@pytest.mark.parametrize(
    "same",
    ["Something TRAIN 0 near 1", "something  train\t0 near 1 ", "something train 0 near \N{FULLWIDTH DIGIT ONE}"],
)
def test_a_training_query_in_other_letters_is_no_test_query(tmp_path: Path, tiny: MovieLensData, same: str) -> None:
    lines = query_lines()
    lines[8]["text"] = same
    path = tmp_path / "queries.jsonl"
    path.write_text(jsonl(lines))
    with pytest.raises(UserError, match=r"line 9: test query .* is also a training query, on line 1"):
        read_queries(path, query_targets(tiny), 2, 1)
