"""MovieLens 25M: filters, genome and descriptions against plain Python on a made-up release in its format."""

from __future__ import annotations

import csv
import io
import zipfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semidbench.dataset.movielens.ratings import Ratings, read_ratings
from semidbench.dataset.movielens.read import read_movielens
from semidbench.dataset.tables import csv_files
from semidbench.dataset.tables.csv_files import CsvFile
from semidbench.errors import UserError
from semidbench.tracks import track
from tests.movielens_files import ML25M_MEMBERS, write_ml25m

SECTION = track.MovieLens(
    recipe="movielens",
    release="ml-25m",
    described_only=True,
    min_described=0.5,
    last_interactions=8,
    min_ratings=3,
    genome_tags=4,
    queries="file",
    train_queries=10,
    test_queries=10,
)
Record = dict[str, str]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ml25m")
    write_ml25m(folder, movies=60, users=40)
    return folder


@pytest.fixture
def unpacked(made: Path, tmp_path: Path) -> Path:
    """A data folder of its own, with the release unpacked."""
    with zipfile.ZipFile(made / "ml-25m.zip") as archive:
        archive.extractall(tmp_path)
    for name in ("descriptions.csv", "queries.jsonl"):
        (tmp_path / name).write_bytes((made / name).read_bytes())
    return tmp_path


def section(**changes: Any) -> track.MovieLens:
    return track.MovieLens(**{**SECTION.model_dump(), **changes})


def records(data: Path, name: str) -> list[Record]:
    with zipfile.ZipFile(data / "ml-25m.zip") as archive, archive.open(f"ml-25m/{name}.csv") as content:
        return list(csv.DictReader(io.TextIOWrapper(content, "utf-8")))


def test_the_made_up_zip_is_laid_out_as_the_official_one(made: Path) -> None:
    with zipfile.ZipFile(made / "ml-25m.zip") as archive:
        assert sorted(archive.namelist()) == sorted(
            f"ml-25m/{name}" + ("" if name.endswith(".txt") else ".csv") for name in ML25M_MEMBERS
        )


def test_zip_and_unpacked_folder_agree(made: Path, unpacked: Path) -> None:
    zipped, folder = read_movielens(SECTION, made), read_movielens(SECTION, unpacked)
    assert zipped.catalogue.texts == folder.catalogue.texts
    for name in ("users", "items", "timestamps"):
        assert np.array_equal(getattr(zipped.interactions, name), getattr(folder.interactions, name))


def plain_histories(
    rows: list[Record], described: set[int], last: int | None, least: int
) -> tuple[list[int], list[list[int]]]:
    """movieIds kept and, user by user, the movieIds of their history, by the documented order of filters."""
    by_user: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for row in rows:
        if int(row["movieId"]) in described:
            by_user[int(row["userId"])].append((int(row["timestamp"]), int(row["movieId"])))
    latest = {user: [movie for _, movie in sorted(rated)][-last if last else 0 :] for user, rated in by_user.items()}
    counts = Counter(movie for history in latest.values() for movie in history)
    kept = sorted(movie for movie in described if counts[movie] >= least)
    histories = [[movie for movie in latest[user] if counts[movie] >= least] for user in sorted(latest)]
    return kept, [history for history in histories if history]


@pytest.mark.parametrize(("last", "least", "undescribed"), [(8, 3, 0), (8, 3, 20), (3, 0, 20), (None, 5, 7)])
def test_filters_equal_plain_python(unpacked: Path, last: int | None, least: int, undescribed: int) -> None:
    lines = (unpacked / "descriptions.csv").read_text().splitlines()
    (unpacked / "descriptions.csv").write_text("\n".join([lines[0], *lines[1 + undescribed :]]) + "\n")
    with (unpacked / "ml-25m" / "ratings.csv").open() as ratings, (unpacked / "ml-25m" / "links.csv").open() as links:
        rows = list(csv.DictReader(ratings))
        tmdb = {row["tmdbId"]: int(row["movieId"]) for row in csv.DictReader(links)}
    described = {tmdb[line.split(",")[0]] for line in lines[1 + undescribed :]}
    data = read_movielens(section(last_interactions=last, min_ratings=least), unpacked)
    kept, histories = plain_histories(rows, described, last, least)
    assert data.movie_ids.tolist() == kept
    assert [data.movie_ids[history].tolist() for history in data.interactions.histories()] == histories
    assert any(note == f"movies without a description, left out: {undescribed}" for note in data.notes) == bool(
        undescribed
    )


def test_genome_equals_plain_python(made: Path) -> None:
    names = {row["tagId"]: row["tag"] for row in records(made, "genome-tags")}
    scores: dict[int, list[tuple[float, int, str]]] = defaultdict(list)
    for row in records(made, "genome-scores"):
        scores[int(row["movieId"])].append((-float(row["relevance"]), int(row["tagId"]), names[row["tagId"]]))
    data = read_movielens(SECTION, made)
    for movie, text in zip(data.movie_ids.tolist(), data.catalogue.texts, strict=True):
        top = ", ".join(tag for _, _, tag in sorted(scores[movie])[:4])
        assert f". Genome: {top}. " in text
    assert "Genome" not in "".join(read_movielens(section(genome_tags=None), made).catalogue.texts)


def test_equal_relevance_goes_by_tag_id(unpacked: Path) -> None:
    scores = unpacked / "ml-25m" / "genome-scores.csv"
    lines = [line.split(",") for line in scores.read_text().splitlines()]
    equal = [lines[0], *([movie, tag, "0.25"] for movie, tag, _ in lines[:0:-1])]
    scores.write_text("\n".join(map(",".join, equal)) + "\n")
    names = (unpacked / "ml-25m" / "genome-tags.csv").read_text().splitlines()[1:5]
    expected = "Genome: " + ", ".join(name.split(",")[1] for name in names)
    assert all(expected in text for text in read_movielens(SECTION, unpacked).catalogue.texts)


def test_most_given_tags_stay(unpacked: Path) -> None:
    movie = read_movielens(SECTION, unpacked).movie_ids[0]
    tags = ["late", "often", "early", "OFTEN", "early"]
    lines = [f"{user},{movie},{tag},{9 - user}\n" for user, tag in enumerate(tags)]
    (unpacked / "ml-25m" / "tags.csv").write_text("userId,movieId,tag,timestamp\n" + "".join(lines))
    for most, expected in ((None, ("early", "OFTEN", "late")), (2, ("early", "OFTEN")), (1, ("early",))):
        assert read_movielens(section(max_tags=most), unpacked).catalogue.tags[0] == expected


@pytest.mark.parametrize("key", ["movieId", "imdbId", "tt"])
def test_descriptions_by_any_key_agree(made: Path, unpacked: Path, key: str) -> None:
    of_tmdb = {row["tmdbId"]: row for row in records(made, "links")}
    with (made / "descriptions.csv").open() as content:
        rows = list(csv.DictReader(content))
    column = "imdbId" if key == "tt" else key
    lines = [f"{column},description"]
    for row in rows:
        number = of_tmdb[row["tmdbId"]][column]
        lines.append(f'{"tt" if key == "tt" else ""}{number if key == "tt" else int(number)},"{row["description"]}"')
    (unpacked / "descriptions.csv").write_text("\n".join(lines) + "\n")
    if key == "movieId":
        (unpacked / "ml-25m" / "links.csv").unlink()  # not needed then
    assert read_movielens(SECTION, unpacked).catalogue.texts == read_movielens(SECTION, made).catalogue.texts


def test_movies_of_one_number_share_its_description(unpacked: Path) -> None:
    links = unpacked / "ml-25m" / "links.csv"
    lines = links.read_text().splitlines()
    first, second = (line.split(",") for line in lines[1:3])
    links.write_text("\n".join([lines[0], lines[1], f"{second[0]},{second[1]},{first[2]}", *lines[3:]]) + "\n")
    data = read_movielens(section(min_ratings=0), unpacked)
    assert data.catalogue.descriptions[0] == data.catalogue.descriptions[1]
    assert "descriptions of movies that movies.csv does not have, ignored: 1" in data.notes


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("links.csv", None, r"ml-25m has no links.csv. Unpack all of ml-25m"),
        ("genome-scores.csv", None, r"ml-25m has no genome-scores.csv. Unpack all"),
        ("genome-tags.csv", None, r"ml-25m has no genome-tags.csv. Unpack all"),
        ("genome-tags.csv", "tagId,tag\n1,a\n1,b\n", r"genome-tags.csv, line 3: tagId 1 is there a second time"),
        ("genome-scores.csv", "movieId,tagId,relevance\n{id},99,0.5\n", r"line 2: tagId 99 is not in genome-tags.csv"),
        ("genome-scores.csv", "movieId,tagId,relevance\n5000000,1,0.5\n", r"line 2: movieId 5000000 is not in movies"),
        ("genome-scores.csv", "movieId,tagId,relevance\n{id},1,nan\n", r"line 2: relevance 'nan' is not a number"),
        (
            "genome-scores.csv",
            "movieId,tagId,relevance\n{id},1,.5\n{id},1,.6\n",
            r"line 3: the relevance of tagId 1 to movieId \d+ is there a second time",
        ),
        ("../descriptions.csv", "tmdbId,movieId,description\n", r"exactly one of .* has movieId and tmdbId"),
        ("../descriptions.csv", "id,description\n", r"exactly one of .* has none; its columns are 'id'"),
        ("../descriptions.csv", "imdbId,description\nnm12,x\n", r"line 2: imdbId 'nm12' is not a number, with or"),
        ("../descriptions.csv", "tmdbId,description\n1,x\n", r"describes 0 of the 60 movies of ml-25m \(0.0%\).* 50%"),
    ],
)
def test_bad_input_gives_one_clear_line(unpacked: Path, name: str, content: str | None, message: str) -> None:
    path = unpacked / "ml-25m" / name
    if content is None:
        path.unlink()
    else:
        movie = (unpacked / "ml-25m" / "movies.csv").read_text().splitlines()[1].split(",")[0]
        path.write_text(content.replace("{id}", movie))
    with pytest.raises(UserError, match=message) as error:
        read_movielens(SECTION, unpacked)
    assert "\n" not in str(error.value)


def test_half_of_the_descriptions_is_one_clear_line(unpacked: Path) -> None:
    lines = (unpacked / "descriptions.csv").read_text().splitlines()
    (unpacked / "descriptions.csv").write_text("\n".join(lines[:31]) + "\n")
    assert len(read_movielens(section(min_ratings=0), unpacked).catalogue) == 30
    with pytest.raises(UserError, match=r"describes 30 of the 60 movies of ml-25m \(50.0%\), and the track needs 90%"):
        read_movielens(section(min_described=0.9), unpacked)


def ratings_of(rows: list[tuple[int, int, int]], wanted: list[int], last: int | None, end: str = "") -> Ratings:
    text = "userId,movieId,rating,timestamp\n" + "".join(f"{user},{movie},3.5,{time}\n" for user, movie, time in rows)
    file = CsvFile("ratings.csv", lambda: io.BytesIO((text + end).encode()))
    return read_ratings(file, np.arange(6), np.array(wanted, dtype=np.int64), last)


@given(
    st.lists(
        st.tuples(st.integers(1, 4), st.integers(0, 5), st.integers(0, 3)),
        min_size=1,
        unique_by=lambda row: row[:2],
    ),
    st.sets(st.integers(0, 5)),
    st.one_of(st.none(), st.integers(1, 4)),
    st.integers(35, 200),
)
def test_batches_do_not_matter(rows: list[tuple[int, int, int]], wanted: set[int], last: int | None, size: int) -> None:
    """In batches of a few rows, in one, and row by row (pyarrow takes no sign): all as by hand."""
    by_user: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for user, movie, time in rows:
        if movie in wanted:
            by_user[user].append((time, movie))
    expected = [
        (user, movie, time) for user in sorted(by_user) for time, movie in sorted(by_user[user])[-last if last else 0 :]
    ]
    for batch_bytes, end in ((size, ""), (1 << 20, ""), (1 << 20, "+9,0,1,1\n")):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(csv_files, "BATCH_BYTES", batch_bytes)
            found = ratings_of(rows, sorted(wanted), last, end)
        nine = [(9, 0, 1)] if end and 0 in wanted else []
        columns = (found.users.tolist(), found.movies.tolist(), found.timestamps.tolist())
        assert list(zip(*columns, strict=True)) == expected + nine
        assert found.total == len(rows) + bool(end)
        assert found.of_others == found.total - sum(map(len, by_user.values())) - len(nine)
        assert found.all_users.tolist() == sorted({row[0] for row in rows}) + [9] * bool(end)


def test_of_many_mistakes_the_first_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of the file, whatever batch it stands in."""
    monkeypatch.setattr(csv_files, "BATCH_BYTES", 64)
    rows = [(user, movie, 5) for user in range(1, 20) for movie in range(6)]
    with pytest.raises(UserError, match=r"2 duplicate ratings .* lines 14 and 20 \(user 3, movie 0\)"):
        ratings_of([*rows[:18], (3, 0, 7), *rows[18:], (1, 0, 7)], [0, 1], 2)
    with pytest.raises(UserError, match=r"2 ratings are of movies .* first on line 20 \(movieId 8\)"):
        ratings_of([*rows[:18], (3, 8, 7), *rows[18:], (1, 7, 7)], [0, 1], 2)


def test_a_repeat_in_a_later_batch_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_files, "BATCH_BYTES", 64)
    rows = [(user, movie, 5) for user in range(1, 20) for movie in range(6)]
    with pytest.raises(UserError, match=r"1 duplicate ratings .* lines 2 and 116 \(user 1, movie 0\)"):
        ratings_of([*rows, (1, 0, 7)], [0, 1], 2)


@pytest.mark.parametrize("batch_bytes", [64, 1 << 20])
@pytest.mark.parametrize("in_order", [True, False])
def test_a_second_score_is_found_in_any_batch(
    unpacked: Path, monkeypatch: pytest.MonkeyPatch, batch_bytes: int, in_order: bool
) -> None:
    monkeypatch.setattr(csv_files, "BATCH_BYTES", batch_bytes)
    scores = unpacked / "ml-25m" / "genome-scores.csv"
    header, *lines = scores.read_text().splitlines()
    before = lines if in_order else [*reversed(lines[1:])]
    scores.write_text("\n".join([header, *before, lines[7], *([] if in_order else lines[:1])]) + "\n")
    movie, tag, _ = lines[7].split(",")
    message = f"line {len(before) + 2}: the relevance of tagId {tag} to movieId {movie} is there a second time"
    with pytest.raises(UserError, match=message):
        read_movielens(SECTION, unpacked)


def test_a_user_id_that_is_too_large_is_one_clear_line() -> None:
    for user in (2**62, -(2**62)):
        with pytest.raises(UserError, match=rf"ratings.csv, line 3: userId {user} is too large"):
            ratings_of([(1, 0, 5), (user, 0, 5)], [0], None)
