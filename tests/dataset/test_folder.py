"""Datasets and tracks of one's own: the examples of docs/how-to/data.md, and what is refused."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from semidbench.dataset.folder import read_folder
from semidbench.dataset.prepare import prepare, source_hashes
from semidbench.errors import UserError
from semidbench.leaderboards.board import leaderboard
from semidbench.runs.run import run
from semidbench.tracks import track
from semidbench.tracks.files import load_track

GUIDE = (Path(__file__).parents[2] / "docs" / "how-to" / "data.md").read_text("utf-8")
SECTION = track.Folder(recipe="folder", min_interactions=0)


def block(language: str, number: int) -> str:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)[number]


ITEMS, INTERACTIONS, QUERIES = block("csv", 0), block("csv", 1), block("json", 0)


def write(folder: Path, **replaced: str | None) -> Path:
    """The guide's folder, with files replaced by stem."""
    folder.mkdir(exist_ok=True)
    contents = {"items": ITEMS, "interactions": INTERACTIONS, "queries": QUERIES, **replaced}
    for stem, content in contents.items():
        if content is not None:
            (folder / f"{stem}.{'jsonl' if stem == 'queries' else 'csv'}").write_text(content)
    return folder


def section(**changes: Any) -> track.Folder:
    return track.Folder(**{**SECTION.model_dump(), **changes})


def test_the_guides_folder(tmp_path: Path) -> None:
    table = tomllib.loads(block("toml", 0))["dataset"]
    raw, notes = read_folder(track.Folder.model_validate(table), write(tmp_path / "data"))
    assert raw.catalogue.titles == ("Green tea", "Clay pot", "Blue cup")
    assert raw.catalogue.years.tolist() == [0, 2019, 2021]
    assert raw.catalogue.tags == (("hot", "leaves"), (), ("glazed",))
    assert raw.catalogue.texts[0] == "Green tea. Genres: Drinks. Tags: hot, leaves. Steamed leaves from the hills."
    assert [history.tolist() for history in raw.interactions.histories()] == [[0, 1, 0], [2, 1, 0]]
    assert raw.train_queries.items.tolist() == [0, 1, 2]
    assert raw.test_queries.items.tolist() == [0, 2]
    assert notes == ()


SMALLER = """semidbench_track = 1
name = "smaller"
extends = "guide.toml"
version = 1
about = "The guide's track with fewer epochs and beams."
ids.codebook_sizes = [8, 8]
text_encoder.dimension = 16
training.epochs = 1
decoding.beams = 4
decoding.groups = 2
"""


def test_the_guides_track_runs_by_its_path(tmp_path: Path) -> None:
    """Through `run` and `leaderboard`, on a folder made from the smoke track's world, with fewer epochs and beams."""
    guide = tmp_path / "guide.toml"
    guide.write_text(block("toml", 1))
    assert load_track(str(guide)).dataset == SECTION
    own = tmp_path / "own.toml"
    own.write_text(SMALLER)
    data = write_world(tmp_path / "data")
    done = run(
        str(own), ["content/rq-kmeans/shared"], 1, data=data, out=tmp_path / "out", cache=tmp_path / "cache", jobs=1
    )
    assert done.folder == tmp_path / "out" / "smaller"
    board = leaderboard(str(own), tmp_path / "out")
    assert [row.name for row in board.rows] == ["content/rq-kmeans/shared"]
    assert board.track.name == "smaller"


def write_world(data: Path) -> Path:
    """A folder with a synthetic world of 60 items."""
    world = load_track("smoke").dataset.model_copy(update={"items": 60, "users": 40})
    raw = prepare(load_track("smoke").model_copy(update={"dataset": world}), None).raw
    data.mkdir()
    catalogue = raw.catalogue
    columns = {
        "item": list(range(60)),
        "title": catalogue.titles,
        "year": catalogue.years,
        "categories": catalogue.categories,
        "tags": catalogue.tags,
        "description": catalogue.descriptions,
        "text": catalogue.texts,
    }
    pq.write_table(pa.table({name: list(values) for name, values in columns.items()}), data / "items.parquet")
    seen = raw.interactions
    pq.write_table(
        pa.table({"user": seen.users, "item": seen.items, "timestamp": seen.timestamps}), data / "interactions.parquet"
    )
    lines = [
        f'{{"item": {item}, "split": "{split}", "text": "{text}"}}'
        for split, queries in (("train", raw.train_queries), ("test", raw.test_queries))
        for item, text in zip(queries.items.tolist(), queries.texts, strict=True)
    ]
    (data / "queries.jsonl").write_text("\n".join(lines))
    return data


def test_a_world_survives_parquet(tmp_path: Path) -> None:
    world = load_track("smoke").dataset.model_copy(update={"items": 60, "users": 40})
    raw = prepare(load_track("smoke").model_copy(update={"dataset": world}), None).raw
    exact = section(train_queries=4, test_queries=2)
    again, notes = read_folder(exact, write_world(tmp_path / "data"))
    assert again.catalogue.texts == raw.catalogue.texts
    assert again.catalogue.categories == raw.catalogue.categories
    assert again.catalogue.years.tolist() == raw.catalogue.years.tolist()
    assert again.test_queries.texts == raw.test_queries.texts
    assert sorted(map(tuple, again.interactions.histories())) == sorted(map(tuple, raw.interactions.histories()))
    assert all("title" in note for note in notes)


def test_csv_and_parquet_agree(tmp_path: Path) -> None:
    from pyarrow import csv

    data = write(tmp_path / "csv")
    other = write(tmp_path / "parquet", items=None, interactions=None)
    for stem in ("items", "interactions"):
        pq.write_table(csv.read_csv(data / f"{stem}.csv"), other / f"{stem}.parquet")
    first, second = (read_folder(SECTION, folder)[0] for folder in (data, other))
    assert first.catalogue.texts == second.catalogue.texts
    assert np.array_equal(first.interactions.items, second.interactions.items)


def test_filters_come_last_interactions_first(tmp_path: Path) -> None:
    data = write(tmp_path / "data", interactions=INTERACTIONS + "cy,cup,1\ncy,tea,2\ncy,pot,3\ndee,cup,1\n")
    raw, notes = read_folder(section(last_interactions=2, min_interactions=2), data)
    # The cup has three interactions, but one only that is among its user's last two.
    assert raw.catalogue.titles == ("Green tea", "Clay pot")
    assert [history.tolist() for history in raw.interactions.histories()] == [[1, 0], [1, 0], [0, 1]]
    assert raw.test_queries.items.tolist() == [0]
    assert notes == (
        "interactions before a user's last 2, left out: 3",
        "items with fewer than 2 interactions, left out: 1",
        "interactions of those items, left out: 1",
        "users without any other interaction, left out: 1",
    )


def test_each_file_counts_for_the_identity(tmp_path: Path) -> None:
    chosen = load_track("smoke").model_copy(update={"dataset": SECTION})
    base = source_hashes(chosen, write(tmp_path / "base"))
    for stem, content in (("items", ITEMS), ("interactions", INTERACTIONS), ("queries", QUERIES)):
        changed = source_hashes(chosen, write(tmp_path / stem, **{stem: content + "\n"}))
        assert {role for role in base if base[role] != changed[role]} == {stem}


@pytest.mark.parametrize(
    ("stem", "content", "message"),
    [
        ("items", None, r"has neither items.csv nor items.parquet. --data DIR must hold"),
        ("interactions", None, r"has neither interactions.csv nor interactions.parquet"),
        ("queries", None, r"has no queries.jsonl"),
        ("items", ITEMS + "tea,Again,,,,\n", r"items.csv, line 5: item 'tea' is there a second time"),
        ("items", ITEMS + "jug, ,,,,\n", r"items.csv, line 5: the title of item 'jug' is blank"),
        ("items", ITEMS + " ,Jug,,,,\n", r"items.csv, line 5: item is blank"),
        ("items", ITEMS + "jug,Jug,soon,,,\n", r"items.csv, line 5: year 'soon' is not a whole number"),
        ("items", ITEMS.replace("title", "name"), r"items.csv has no column 'title'"),
        ("items", "item,title\n", r"items.csv has no items"),
        ("interactions", INTERACTIONS + "ann,jug,9\n", r"interactions.csv, line 8: item 'jug' is not in items.csv"),
        ("interactions", INTERACTIONS + ",tea,9\n", r"interactions.csv, line 8: user is blank"),
        ("interactions", INTERACTIONS + "ann,tea,now\n", r"line 8: timestamp 'now' is not a whole number"),
        ("interactions", "user,item,timestamp\n", r"interactions.csv has no interactions"),
        ("queries", QUERIES.replace('"tea"', '"jug"'), r"queries.jsonl, line 1: item jug is not in items.csv"),
        ("queries", QUERIES.replace('"tea"', "true"), r"line 1: item True is not of type str or int"),
        ("queries", QUERIES.replace('"test"', '"train"'), r"has no test queries of items that are kept"),
        ("queries", QUERIES.replace("to sip from", "Something  HOT to drink"), r"line 5: test query .* on line 1"),
    ],
)
def test_bad_input_gives_one_clear_line(tmp_path: Path, stem: str, content: str | None, message: str) -> None:
    data = write(tmp_path / "data", **{stem: content})
    with pytest.raises(UserError, match=message) as error:
        read_folder(SECTION, data)
    assert "\n" not in str(error.value)


def test_counts_are_exact_where_the_track_has_them(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"item pot has 0 test queries, not 1"):
        read_folder(section(train_queries=1, test_queries=1), write(tmp_path / "data"))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"item": ["a"]}, r"items.parquet has no column 'title'"),
        ({"item": ["a"], "title": [None]}, r"items.parquet, row 1: the title of item 'a' is blank"),
        ({"item": ["a"], "title": ["A"], "tags": [["x|y"]]}, r"an entry of a list in tags holds a \|"),
        ({"item": ["a"], "title": ["A"], "year": [1990.5]}, r"column year is of type double"),
        ({"item": ["a"], "title": [b"A"]}, r"column title is of type binary"),
    ],
)
def test_bad_parquet_gives_one_clear_line(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    data = write(tmp_path / "data", items=None)
    pq.write_table(pa.table(columns), data / "items.parquet")
    with pytest.raises(UserError, match=message):
        read_folder(SECTION, data)
    (data / "items.parquet").write_bytes(b"PAR1 cut short")
    with pytest.raises(UserError, match=r"cannot read .*items.parquet"):
        read_folder(SECTION, data)
