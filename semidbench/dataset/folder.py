"""A dataset folder of one's own: items, interactions and queries (docs/how-to/data.md)."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from semidbench.api import Catalogue, Interactions, Ints
from semidbench.dataset import RawData, counted
from semidbench.dataset.item_text import item_text
from semidbench.dataset.latest import latest
from semidbench.dataset.queries.query_files import QueryTargets, read_queries
from semidbench.dataset.tables.csv_files import TableRow, csv_file, read_rows
from semidbench.dataset.tables.parquet_rows import read_parquet
from semidbench.errors import UserError
from semidbench.tracks import track

QUERIES = "queries.jsonl"
MUST_HOLD = (
    "--data DIR must hold items.csv or items.parquet, interactions.csv or interactions.parquet, and queries.jsonl; "
    "docs/how-to/data.md has the columns"
)
_OPTIONAL = ("year", "categories", "tags", "description", "text")


@dataclass(frozen=True, slots=True)
class FolderFiles:
    """The three files of a dataset folder."""

    items: Path
    interactions: Path
    queries: Path


@dataclass(frozen=True, slots=True)
class _Item:
    title: str
    year: int
    categories: tuple[str, ...]
    tags: tuple[str, ...]
    description: str
    text: str


def find_files(data: Path) -> FolderFiles:
    """The files of a dataset folder.

    Raises:
        UserError: one is missing, or there as CSV and as Parquet.
    """
    return FolderFiles(table_file(data, "items"), table_file(data, "interactions"), query_file(data))


def table_file(data: Path, stem: Literal["items", "interactions"]) -> Path:
    """The CSV or Parquet file of that name in `data`.

    Raises:
        UserError: there is none, or there are both.
    """
    _refuse_missing(data)
    paths = [path for suffix in ("csv", "parquet") if (path := data / f"{stem}.{suffix}").is_file()]
    if not paths:
        raise UserError(f"{data} has neither {stem}.csv nor {stem}.parquet. {MUST_HOLD}")
    if len(paths) > 1:
        raise UserError(f"{data} has both {stem}.csv and {stem}.parquet. Keep one, move the other away")
    return paths[0]


def query_file(data: Path) -> Path:
    """queries.jsonl in `data`.

    Raises:
        UserError: there is none.
    """
    _refuse_missing(data)
    if not (data / QUERIES).is_file():
        raise UserError(f"{data} has no {QUERIES}. {MUST_HOLD}")
    return data / QUERIES


def read_folder(section: track.Folder, data: Path) -> tuple[RawData, tuple[str, ...]]:
    """The dataset, and one sentence each about what was left out.

    Items stand in the file's order, users in that of their names. A user's interactions are ordered by timestamp,
    then item, and may repeat an item, as logs do. First all but each user's last interactions are left out, where the
    section requires it; then items with fewer than `min_interactions`, with theirs.

    Raises:
        UserError: a file is missing, malformed or inconsistent; the message names file and line.
    """
    files = find_files(data)
    named = _read_items(files.items)
    rows = {name: row for row, name in enumerate(named)}
    users, items, timestamps = _read_interactions(files.interactions, rows, files.items.name)
    order = latest(users, items, timestamps, section.last_interactions)
    counts = np.bincount(items[order], minlength=len(named))
    kept_items = np.flatnonzero(counts >= section.min_interactions)
    kept = order[counts[items[order]] >= section.min_interactions]
    if not len(kept):
        raise UserError(
            f"{files.interactions}: no item has {section.min_interactions} or more interactions (min_interactions of "
            "the track). Lower it, or give more interactions"
        )
    names = list(named)
    kept_names = [names[row] for row in kept_items.tolist()]
    targets = QueryTargets(
        field="item",
        kinds=(str, int),
        rows={name: row for row, name in enumerate(kept_names)},
        dropped=named.keys() - set(kept_names),
        titles=[named[name].title for name in kept_names],
        known_in=files.items.name,
    )
    train, test, query_notes = read_queries(files.queries, targets, section.train_queries, section.test_queries)
    user_names, user_rows = np.unique(users[kept], return_inverse=True)
    interactions = Interactions(
        users=user_rows.astype(np.int64),
        items=np.searchsorted(kept_items, items[kept]).astype(np.int64),
        timestamps=timestamps[kept],
    )
    notes = counted(
        (len(items) - len(order), f"interactions before a user's last {section.last_interactions}, left out"),
        (len(named) - len(kept_names), f"items with fewer than {section.min_interactions} interactions, left out"),
        (len(order) - len(kept), "interactions of those items, left out"),
        (len(np.unique(users)) - len(user_names), "users without any other interaction, left out"),
        (int((np.bincount(user_rows) == 1).sum()), "users with one interaction (kept in training, no test case)"),
    )
    catalogue = _catalogue([named[name] for name in kept_names])
    return RawData(catalogue, interactions, train, test), (*notes, *query_notes)


def _refuse_missing(data: Path) -> None:
    if not data.is_dir():
        raise UserError(f"data folder {data} does not exist. {MUST_HOLD}")


def _read(path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> Iterator[TableRow]:
    if path.suffix == ".parquet":
        return read_parquet(path, required, optional)
    return read_rows(csv_file(path), required, optional)


def _name(row: TableRow, field: int, column: str) -> str:
    """An item's or a user's name: any text, a number as it is written."""
    name = row.fields[field].strip()
    if not name:
        raise row.error(f"{column} is blank")
    return name


def _read_items(path: Path) -> dict[str, _Item]:
    items: dict[str, _Item] = {}
    for row in _read(path, ("item", "title"), _OPTIONAL):
        name, title = _name(row, 0, "item"), " ".join(row.fields[1].split())
        if name in items:
            raise row.error(f"item {name!r} is there a second time")
        if not title:
            raise row.error(f"the title of item {name!r} is blank")
        items[name] = _Item(
            title=title,
            year=row.integer(2, "year") if row.fields[2].strip() else 0,
            categories=_entries(row.fields[3]),
            tags=_entries(row.fields[4]),
            description=" ".join(row.fields[5].split()),
            text=" ".join(row.fields[6].split()),
        )
    if not items:
        raise UserError(f"{path} has no items. Put the complete file there")
    return items


def _entries(text: str) -> tuple[str, ...]:
    stripped = (" ".join(entry.split()) for entry in text.split("|"))
    return tuple(dict.fromkeys(entry for entry in stripped if entry))


def _read_interactions(path: Path, rows: dict[str, int], known_in: str) -> tuple[Ints, Ints, Ints]:
    """Users (numbered in the order of their names), rows of items, and timestamps, in the file's order."""
    numbers: dict[str, int] = {}
    users, items, timestamps = array("q"), array("q"), array("q")
    for row in _read(path, ("user", "item", "timestamp")):
        user, item = _name(row, 0, "user"), _name(row, 1, "item")
        if item not in rows:
            raise row.error(f"item {item!r} is not in {known_in}")
        timestamps.append(row.integer(2, "timestamp"))
        users.append(numbers.setdefault(user, len(numbers)))
        items.append(rows[item])
    if not users:
        raise UserError(f"{path} has no interactions. Put the complete file there")
    place = np.empty(len(numbers), dtype=np.int64)
    place[np.argsort(np.array(list(numbers), dtype=object), kind="stable")] = np.arange(len(numbers))
    return place[np.array(users, dtype=np.int64)], np.array(items, dtype=np.int64), np.array(timestamps, dtype=np.int64)


def _catalogue(items: Sequence[_Item]) -> Catalogue:
    return Catalogue(
        texts=tuple(
            item.text or item_text(item.title, item.year, item.categories, item.tags, item.description)
            for item in items
        ),
        titles=tuple(item.title for item in items),
        years=np.array([item.year for item in items], dtype=np.int64),
        categories=tuple(item.categories for item in items),
        tags=tuple(item.tags for item in items),
        descriptions=tuple(item.description for item in items),
    )
