"""A split on disk: one folder of training data, another of held-out cases, so that either loads alone.

Each folder holds Parquet tables and a format.json with kind, version and row counts. The same data gives the
same bytes (with one version of pyarrow).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from semidbench.api import Catalogue, Interactions, Ints, Queries, TrainData
from semidbench.dataset import HeldOut
from semidbench.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 1
Tables = dict[str, dict[str, Any]]  # columns by table


def save_train(train: TrainData, folder: Path) -> None:
    """Write training data into `folder`, which is made if need be."""
    catalogue = train.catalogue
    tables: Tables = {
        "catalogue": {
            "text": catalogue.texts,
            "title": catalogue.titles,
            "year": catalogue.years,
            "categories": catalogue.categories,
            "tags": catalogue.tags,
            "description": catalogue.descriptions,
        },
        "interactions": {
            "user": train.interactions.users,
            "item": train.interactions.items,
            "timestamp": train.interactions.timestamps,
        },
        "queries": {"item": train.queries.items, "text": train.queries.texts},
    }
    _save(folder, "train", tables)


def load_train(folder: Path) -> TrainData:
    """Training data from `folder`, arrays read-only.

    Raises:
        UserError: the folder is incomplete or of another version.
    """
    tables = _load(folder, "train", ("catalogue", "interactions", "queries"))
    items, interactions, queries = tables["catalogue"], tables["interactions"], tables["queries"]
    return TrainData(
        catalogue=Catalogue(
            texts=_texts(items, "text"),
            titles=_texts(items, "title"),
            years=_ints(items, "year"),
            categories=_text_lists(items, "categories"),
            tags=_text_lists(items, "tags"),
            descriptions=_texts(items, "description"),
        ),
        interactions=Interactions(
            users=_ints(interactions, "user"),
            items=_ints(interactions, "item"),
            timestamps=_ints(interactions, "timestamp"),
        ),
        queries=Queries(_ints(queries, "item"), _texts(queries, "text")),
    )


def save_held_out(held_out: HeldOut, folder: Path) -> None:
    """Write held-out cases into `folder`, which is made if need be."""
    tables: Tables = {
        "queries": {"item": held_out.queries.items, "text": held_out.queries.texts},
        "interactions": {"user": held_out.users, "item": held_out.targets},
    }
    _save(folder, "held-out", tables)


def load_held_out(folder: Path) -> HeldOut:
    """Held-out cases from `folder`, arrays read-only.

    Raises:
        UserError: the folder is incomplete or of another version.
    """
    tables = _load(folder, "held-out", ("queries", "interactions"))
    return HeldOut(
        queries=Queries(_ints(tables["queries"], "item"), _texts(tables["queries"], "text")),
        users=_ints(tables["interactions"], "user"),
        targets=_ints(tables["interactions"], "item"),
    )


def _save(folder: Path, kind: str, tables: Tables) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    rows = {}
    for name, columns in tables.items():
        table = pa.table({column: pa.array(_plain(values), _type(column)) for column, values in columns.items()})
        pq.write_table(table, folder / f"{name}.parquet", compression="zstd")
        rows[name] = table.num_rows
    # Last, so that a folder with this file is complete.
    header = {"kind": kind, "version": VERSION, "rows": rows}
    (folder / "format.json").write_text(json.dumps(header, indent=2, sort_keys=True) + "\n", "utf-8")


def _load(folder: Path, kind: str, names: tuple[str, ...]) -> dict[str, pa.Table]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    again = "Delete the folder and run again"
    try:
        header = json.loads((folder / "format.json").read_text("utf-8"))
        if (header.get("kind"), header.get("version")) != (kind, VERSION):
            raise UserError(
                f"{folder} holds {header.get('kind')!r} version {header.get('version')!r}, "
                f"not {kind!r} version {VERSION}. {again}"
            )
        tables = {name: pq.read_table(folder / f"{name}.parquet") for name in names}
    except (OSError, ValueError, AttributeError, pa.ArrowException) as error:
        raise UserError(f"cannot read dataset files in {folder}: {error}. {again}") from error
    rows = {name: table.num_rows for name, table in tables.items()}
    if rows != header.get("rows"):
        raise UserError(f"{folder} has {rows} rows where format.json says {header.get('rows')}. {again}")
    return tables


def _plain(values: Any) -> Any:
    return values if isinstance(values, np.ndarray) else list(values)


def _type(column: str) -> pa.DataType:
    import pyarrow as pa

    if column in ("categories", "tags"):
        return pa.list_(pa.string())
    return pa.int64() if column in ("user", "item", "timestamp", "year") else pa.string()


def _ints(table: pa.Table, column: str) -> Ints:
    values = np.array(table[column].to_numpy(), dtype=np.int64)
    values.setflags(write=False)
    return values


def _texts(table: pa.Table, column: str) -> tuple[str, ...]:
    return tuple(table[column].to_pylist())


def _text_lists(table: pa.Table, column: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(values) for values in table[column].to_pylist())
