"""Queries from a JSONL file: a language model's, or those of a log."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from semidbench.api import Queries
from semidbench.dataset.queries.facets import title_pattern
from semidbench.dataset.tables.text_lines import text_lines
from semidbench.errors import UserError

_SPLITS = ("train", "test")


@dataclass(frozen=True, slots=True)
class QueryTargets:
    """The items that queries may be for.

    Attributes:
        field: of a line, the one that names the item.
        kinds: types that this field may have.
        rows: each item's row, by its name as text.
        dropped: names, as text, of items that were left out: lines about them are skipped.
        titles: by row.
        known_in: the file that lists all items, for messages.
    """

    field: str
    kinds: tuple[type, ...]
    rows: Mapping[str, int]
    dropped: Collection[str]
    titles: Sequence[str]
    known_in: str


def read_queries(
    path: Path, targets: QueryTargets, train: int | None, test: int | None
) -> tuple[Queries, Queries, tuple[str, ...]]:
    """Training queries, test queries and notes from lines `{FIELD: name, "split": "train"|"test", "text": str}`.

    Each item needs exactly `train` and `test` of them, where these are given; the i-th test query of an item is
    the paraphrase of its i-th training query. Otherwise an item has as many as there are, and each
    split needs one query at least.

    Raises:
        UserError: a line is malformed or about an unknown item, a count is wrong, or a test query equals a
            training query but for case, spaces and Unicode's compatible forms; the message names the line.
    """
    texts: dict[str, list[list[str]]] = {split: [[] for _ in targets.titles] for split in _SPLITS}
    first_line: dict[str, dict[str, int]] = {split: {} for split in _SPLITS}
    patterns = [title_pattern(title) for title in targets.titles]
    leaks = 0
    for line, item, split, text in _lines(path, targets):
        if item not in targets.rows:
            if item not in targets.dropped:
                raise _error(path, line, f"{targets.field} {item} is not in {targets.known_in}")
            continue
        row = targets.rows[item]
        texts[split][row].append(text)
        first_line[split].setdefault(normal_form(text), line)
        leaks += bool(patterns[row].search(text))
    names = list(targets.rows)
    for split, wanted in (("train", train), ("test", test)):
        _check_counts(path, targets.field, names, split, texts[split], wanted)
    for text, line in first_line["test"].items():
        if text in first_line["train"]:
            there = first_line["train"][text]
            raise _error(path, line, f"test query {text!r} is also a training query, on line {there}")
    notes = (f"queries that contain their item's title or a distinctive word of it: {leaks:,}",) if leaks else ()
    return _queries(texts["train"]), _queries(texts["test"]), notes


def normal_form(text: str) -> str:
    """What two texts have in common that differ in case, spaces or Unicode's compatible forms only."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _lines(path: Path, targets: QueryTargets) -> Iterator[tuple[int, str, str, str]]:
    """Line, item, split and text of each record."""
    fields: dict[str, tuple[type, ...]] = {targets.field: targets.kinds, "split": (str,), "text": (str,)}
    for line, raw in enumerate(text_lines(path), start=1):
        if not raw.strip():
            continue
        try:
            record = json.loads(raw)
        except (json.JSONDecodeError, RecursionError) as error:
            raise _error(path, line, f"not valid JSON ({error})") from error
        if not isinstance(record, dict):
            raise _error(path, line, "not a JSON object")
        _check_fields(path, line, record, fields)
        if record["split"] not in _SPLITS:
            raise _error(path, line, f"split {record['split']!r} is neither 'train' nor 'test'")
        text = " ".join(record["text"].split())
        if not text:
            raise _error(path, line, "text is blank")
        yield line, str(record[targets.field]).strip(), record["split"], text


def _check_fields(path: Path, line: int, record: dict[str, Any], fields: Mapping[str, tuple[type, ...]]) -> None:
    for field, kinds in fields.items():
        if field not in record:
            raise _error(path, line, f"no field {field!r}")
        if not isinstance(record[field], kinds) or isinstance(record[field], bool):
            named = " or ".join(kind.__name__ for kind in kinds)
            raise _error(path, line, f"{field} {record[field]!r} is not of type {named}")
    unknown = sorted(set(record) - set(fields))
    if unknown:
        raise _error(path, line, f"unknown field {unknown[0]!r}; the fields are {', '.join(fields)}")


def _check_counts(
    path: Path, field: str, names: Sequence[str], split: str, texts: Sequence[Sequence[str]], wanted: int | None
) -> None:
    if wanted is None:
        if not any(texts):
            raise UserError(f"{path} has no {split} queries of items that are kept. Add some and run again")
        return
    for row, given in enumerate(texts):
        if len(given) != wanted:
            raise UserError(
                f"{path}: {field} {names[row]} has {len(given)} {split} queries, not {wanted}. "
                "Add or remove lines and run again"
            )


def _queries(texts: Sequence[Sequence[str]]) -> Queries:
    counts = [len(given) for given in texts]
    return Queries(
        items=np.repeat(np.arange(len(texts), dtype=np.int64), counts),
        texts=tuple(text for given in texts for text in given),
    )


def _error(path: Path, line: int, what: str) -> UserError:
    return UserError(f"{path}, line {line}: {what}. Correct the line and run again")
