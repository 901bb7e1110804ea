from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from semidbench.dataset.movielens.locate import find_descriptions, find_queries, find_release
from semidbench.dataset.movielens.read import read_movielens, turn_title
from semidbench.errors import UserError
from tests.movielens_files import DESCRIPTIONS, MOVIES, RATINGS, SECTION, TAGS, write_folder, write_zip

REAL = Path(os.environ.get("SEMIDBENCH_DATA", Path(__file__).parents[3] / "shared" / "data"))


def test_reads_catalogue_and_interactions(tmp_path: Path) -> None:
    data = read_movielens(SECTION, write_folder(tmp_path / "data"))
    assert data.movie_ids.tolist() == [1, 2, 3]
    assert data.dropped == {9}
    assert data.catalogue.titles == ("The Grey Harbour", "Silent Orchard", "Nameless")
    assert data.catalogue.years.tolist() == [1995, 2001, 0]
    assert data.catalogue.categories == (("Comedy", "Drama"), ("Thriller",), ())
    assert data.catalogue.tags == (("Harbour town", "windy"), (), ())
    assert data.cast == (("Ada Plum", "Bo Reed"), (), ())
    assert "A lonely sailor" in data.catalogue.texts[0]
    assert "(1995)" in data.catalogue.texts[0]
    # User 10 rated 1 and 3 at one time: by movieId. User 40 only rated the movie that was dropped.
    assert data.interactions.users.tolist() == [0, 0, 0, 1, 1, 2]
    assert data.interactions.items.tolist() == [1, 0, 2, 0, 1, 2]
    assert data.interactions.timestamps.tolist() == [100, 300, 300, 40, 50, 10]


def test_oddities_are_counted_not_refused(tmp_path: Path) -> None:
    notes = "\n".join(read_movielens(SECTION, write_folder(tmp_path / "data")).notes)
    for expected in (
        "items without a year in their title: 1",
        "items without genres: 1",
        "items without a description: 1",
        "blank tags in tags.csv, dropped: 2",
        "users with one interaction (kept in training, no test case): 1",
        "users without any other rating, left out: 1",
        "movies with fewer than 2 ratings, left out: 1",
    ):
        assert expected in notes


@pytest.mark.parametrize(
    ("title", "turned"),
    [
        ("Postman, The (Postino, Il)", "The Postman (Il Postino)"),
        ("Avventura, L'", "L'Avventura"),
        ("Good, the Bad and the Ugly, The", "The Good, the Bad and the Ugly"),
        ("Corrina, Corrina", "Corrina, Corrina"),
    ],
)
def test_articles_are_turned(title: str, turned: str) -> None:
    assert turn_title(title) == turned


def test_folder_inner_folder_and_zip_agree(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "folder")
    zipped = tmp_path / "zipped"
    zipped.mkdir()
    archive = write_zip(zipped / "ml-latest-small.zip")
    (zipped / "descriptions.csv").write_text(DESCRIPTIONS)
    texts = {read_movielens(SECTION, data).catalogue.texts for data in (folder, zipped, archive)}
    assert len(texts) == 1


def test_nothing_beside_the_data_folder_is_read(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "folder", queries="{}")
    assert find_queries(folder) == folder / "queries.jsonl"
    assert find_queries(folder / "ml-latest-small") is None
    with pytest.raises(UserError, match=r"no descriptions\*.csv in .*ml-latest-small or its direct subfolders"):
        read_movielens(SECTION, folder / "ml-latest-small")


@pytest.mark.parametrize(
    ("role", "content", "message"),
    [
        (
            "movies",
            MOVIES.replace("movieId,", "id,"),
            r"movies.csv has no column 'movieId'; its columns are 'id', 'title'",
        ),
        ("movies", MOVIES + "2,Twice (1990),Drama\n", r"movies.csv, line 6: movieId 2 is there a second time"),
        ("movies", MOVIES + "x,Odd (1990),Drama\n", r"movies.csv, line 6: movieId 'x' is not a whole number"),
        (
            "movies",
            MOVIES + '7,"Never closed (1990),Drama\n',
            r"movies.csv, line \d+: .*cut short or has a stray quote",
        ),
        ("movies", MOVIES + "7,Too (1990),Drama,more\n", r"movies.csv, line 6: 4 fields where the header has 3"),
        (
            "movies",
            MOVIES.encode() + b"7,Caf\xe9 (1990),Drama\n",
            r"movies.csv, line 6: byte 0xe9 at offset \d+ is not",
        ),
        ("movies", "movieId,title,genres\n", r"movies.csv has no movies"),
        ("ratings", "", r"ratings.csv is empty"),
        ("ratings", "userId,movieId,rating,timestamp\n", r"ratings.csv has no ratings"),
        ("ratings", RATINGS.replace("rating,", "stars,"), r"ratings.csv has no column 'rating'"),
        ("ratings", RATINGS.replace("3.5", "great"), r"ratings.csv, line 3: rating 'great' is not a number"),
        ("ratings", RATINGS.replace(",50\n", ",5O\n"), r"ratings.csv, line 5: timestamp '5O' is not a whole number"),
        ("ratings", RATINGS + "1,77,3,5\n1,78,3,5\n", r"2 ratings are of movies .* first on line 9 \(movieId 77\)"),
        ("ratings", RATINGS + "20,2,1.0,60\n", r"1 duplicate ratings .* lines 5 and 9 \(user 20, movie 2\)"),
        ("tags", TAGS + "1,77,odd,5\n", r"1 tags are of movies .* first on line 7 \(movieId 77\)"),
        ("tags", TAGS.replace("tag,", "label,"), r"tags.csv has no column 'tag'"),
        ("descriptions", "movieId,text\n1,Some\n", r"descriptions.csv has no column 'description'"),
        ("descriptions", DESCRIPTIONS + "1,Again,\n", r"descriptions.csv, line 4: movieId 1 is there a second time"),
        ("descriptions", None, r"no descriptions\*.csv in .* Provide one CSV"),
        ("tags", None, r"has no tags.csv. Unpack all of ml-latest-small"),
    ],
)
def test_bad_input_gives_one_clear_line(tmp_path: Path, role: str, content: str | bytes | None, message: str) -> None:
    data = write_folder(tmp_path / "data", **{role: content})
    with pytest.raises(UserError, match=message) as error:
        read_movielens(SECTION, data)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_the_offset_of_a_bad_byte_is_the_files(tmp_path: Path, mark: bytes) -> None:
    content = mark + MOVIES.encode() + b"7,Caf\xe9 (1990),Drama\n"
    data = write_folder(tmp_path / "data", movies=content)
    with pytest.raises(UserError, match=rf"line 6: byte 0xe9 at offset {content.index(0xE9)} "):
        read_movielens(SECTION, data)


def test_a_byte_order_mark_is_no_part_of_a_column(tmp_path: Path) -> None:
    data = write_folder(tmp_path / "data", movies=b"\xef\xbb\xbf" + MOVIES.encode())
    assert len(read_movielens(SECTION, data).catalogue) == 3


def test_a_missing_or_empty_folder_says_where_to_get_the_data(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"does not exist.*grouplens.org/datasets/movielens/latest"):
        find_release(SECTION, tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"looked for movies.csv, ratings.csv and tags.csv.*grouplens.org"):
        find_release(SECTION, tmp_path)


def test_several_descriptions_are_named(tmp_path: Path) -> None:
    data = write_folder(tmp_path / "data")
    (data / "more").mkdir()
    (data / "more" / "descriptions_other.csv").write_text(DESCRIPTIONS)
    with pytest.raises(UserError, match=r"2 files match .*descriptions.csv, .*descriptions_other.csv"):
        find_descriptions(data)


@pytest.mark.parametrize("cut", [10, 200, -30])
def test_a_truncated_zip_is_refused(tmp_path: Path, cut: int) -> None:
    archive = write_zip(tmp_path / "ml-latest-small.zip")
    archive.write_bytes(archive.read_bytes()[:cut])
    (tmp_path / "descriptions.csv").write_text(DESCRIPTIONS)
    with pytest.raises(UserError, match=r"cannot unpack movies.csv .* download it again"):
        read_movielens(SECTION, tmp_path)


def test_a_damaged_member_is_refused(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "ml-latest-small.zip")
    content = bytearray(archive.read_bytes())
    content[70] ^= 0xFF  # inside the first member's compressed bytes
    archive.write_bytes(content)
    (tmp_path / "descriptions.csv").write_text(DESCRIPTIONS)
    with pytest.raises(UserError, match=r"cannot unpack movies.csv"):
        read_movielens(SECTION, tmp_path)


@pytest.mark.skipif(not REAL.is_dir(), reason="MovieLens data not there (SEMIDBENCH_DATA)")
def test_real_data() -> None:
    data = read_movielens(SECTION.model_copy(update={"min_ratings": 5}), REAL)
    assert len(data.catalogue) == 3650
    assert data.interactions.n_users == 610
    assert len(data.interactions) == 90_274
    assert sum(not text for text in data.catalogue.descriptions) == 495
    users, times = data.interactions.users, data.interactions.timestamps
    assert (np.diff(users) >= 0).all()
    assert (np.diff(times)[np.diff(users) == 0] >= 0).all()
