"""The results of one leaderboard held against each other.

Rows are complete, there once and made on the same data, and none is a copy of another.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from semidbench.api import TASKS, Task
from semidbench.errors import UserError
from semidbench.results.cases import COUNTS, Cases
from semidbench.results.cell_result import CellResult, Kind
from semidbench.submissions.cell_checks import methods_of
from semidbench.tracks.track import Track


@dataclass(frozen=True, slots=True, eq=False)
class Filed:
    """A result and where it stands.

    Attributes:
        path: of its JSON.
        cell: what that says.
        case_hashes: per task `cases_hash` of its test cases: what rows that are compared share.
        placed: `placed_hash` of its test cases: what no two share, unless a run gives both the same lists.
    """

    path: Path
    cell: CellResult
    case_hashes: Mapping[Task, str]
    placed: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong between results.

    Attributes:
        path: of a result, or the folder where one is missing.
        kind: what is wrong, without what other results can change: the line counts them.
        text: a line for the user.
    """

    path: Path
    kind: str
    text: str


def cases_hash(units: NDArray[np.integer], head: NDArray[np.bool_]) -> str:
    """A hash of test cases, not of where a row placed them: units and groups, (Q,) each, in order."""
    return hashlib.sha256(units.astype("<i4").tobytes() + head.astype("u1").tobytes()).hexdigest()


def placed_hash(cases: Mapping[Task, Cases]) -> str:
    """A hash of where a row placed its test cases.

    `placements_sha256` would not do: a Parquet with other compression, or with two queries of an item swapped, has
    other bytes and says the same.
    """
    digest = hashlib.sha256()
    for task in TASKS:
        of = cases[task]
        columns = np.stack([of.units if name == "unit" else getattr(of.placements, name) for name in COUNTS])
        digest.update(columns[:, np.lexsort(columns)].astype("<i4").tobytes())
    return digest.hexdigest()


def board_problems(filed: Sequence[Filed], track: Track) -> list[Problem]:
    """All that is wrong between the results of one leaderboard."""
    rows: dict[tuple[Kind, str], list[Filed]] = {}
    for each in filed:
        rows.setdefault((each.cell.kind, each.cell.name), []).append(each)
    return [
        *_mixtures(filed),
        *(one for (_, name), row in sorted(rows.items()) for one in _row_problems(name, row, track)),
        *_repeated_rows([row for _, row in sorted(rows.items())]),
        *_copies(filed),
    ]


def _mixtures(filed: Sequence[Filed]) -> Iterator[Problem]:
    """Results that were made on other data than most."""
    for what, of in _SHARED:
        values = Counter(of(each) for each in filed)
        if len(values) > 1:
            (usual, count), *_ = values.most_common()
            for each in filed:
                if of(each) != usual:
                    yield Problem(
                        each.path,
                        what,
                        f"{each.path}: its {what} {_short(of(each))}, and {count} other results have "
                        f"{_short(usual)}. A table is of one: run the cell again as the others were",
                    )


_SHARED: tuple[tuple[str, Callable[[Filed], str]], ...] = (
    ("data is", lambda each: each.cell.dataset.sha256[:12]),
    ("numbers about the data are", lambda each: each.cell.dataset.model_dump_json(exclude={"sha256"})),
    ("pretrained models are", lambda each: json.dumps(each.cell.models, sort_keys=True)),
    ("search test cases are", lambda each: each.case_hashes["search"][:12]),
    ("recommendation test cases are", lambda each: each.case_hashes["rec"][:12]),
)


def _short(value: str) -> str:
    return value if len(value) <= 70 else f"{value[:67]}..."


def _row_problems(name: str, row: Sequence[Filed], track: Track) -> Iterator[Problem]:
    """The seeds of a row: the right ones, with equal options."""
    wanted, seeds = range(track.submission.seeds), sorted(each.cell.seed for each in row)
    folder = row[0].path.parent
    if missing := [seed for seed in wanted if seed not in seeds]:
        yield Problem(
            folder,
            f"{name} lacks{_listed(missing)}",
            f"{folder}: row {name!r} lacks seed{_listed(missing)}; track {track.name} asks for seeds 0 to "
            f"{wanted[-1]}. Run and submit those too, or delete the row's files",
        )
    if extra := [seed for seed in seeds if seed not in wanted]:
        yield Problem(
            folder,
            f"{name} has{_listed(extra)} too many",
            f"{folder}: row {name!r} has seed{_listed(extra)} beyond the 0 to {wanted[-1]} that track {track.name} "
            "asks for. Delete those files",
        )
    for each in row[1:]:
        if _exact(each.cell.options) != _exact(row[0].cell.options):
            yield Problem(
                each.path,
                "options",
                f"{each.path}: row {name!r} ran with other options than its seed {row[0].cell.seed} "
                f"({_difference(each.cell, row[0].cell)}). Run all of its seeds with the same",
            )


def _listed(seeds: Sequence[int]) -> str:
    return f"{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"


def _exact(options: JsonValue | Mapping[str, JsonValue]) -> str:
    """Options as they are written, where 5 and 5.0 are two."""
    return json.dumps(options, sort_keys=True)


def _difference(a: CellResult, b: CellResult) -> str:
    parts = [
        part for part in sorted({*a.options, *b.options}) if _exact(a.options.get(part)) != _exact(b.options.get(part))
    ]
    return _short("; ".join(f"{part}: {a.options.get(part)} and {b.options.get(part)}" for part in parts))


def _repeated_rows(rows: Sequence[Sequence[Filed]]) -> Iterator[Problem]:
    """Rows under two names whose methods and effective options are the same."""
    first: dict[str, Filed] = {}
    for row in rows:
        cell = row[0].cell
        try:
            methods = {part: method.name for part, method in methods_of(cell).items()}
        except UserError:
            continue  # which is said of the cell
        same = json.dumps([cell.kind, methods, _meant(cell.options)], sort_keys=True)
        if same in first:
            yield Problem(
                row[0].path,
                "a row again",
                f"{row[0].path}: {cell.name!r} is the row {first[same].cell.name!r} again, with the same methods and "
                "options. Delete the files of one",
            )
        first.setdefault(same, row[0])


def _meant(value: JsonValue) -> JsonValue:
    """An option's value in one form: 5.0, "5" and 5 are one number, and true and "True" are 1."""
    if isinstance(value, dict):
        return {name: _meant(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_meant(each) for each in value]
    if isinstance(value, str):
        return _number(value.lower())
    return int(value) if isinstance(value, bool) or (isinstance(value, float) and value.is_integer()) else value


def _number(text: str) -> JsonValue:
    """What a text says if it is read as a number, a truth value or none; else the text."""
    words: dict[str, JsonValue] = {"none": None, "true": 1, "false": 0}
    if text in words:
        return words[text]
    for read in (int, float):
        with suppress(ValueError):
            return _meant(read(text))
    return text


def _copies(filed: Sequence[Filed]) -> Iterator[Problem]:
    """Results that are another's under a new name or seed: the same rankings, or the same placements."""
    for what, of in _OWN:
        alike: dict[str, list[Filed]] = {}
        for each in sorted(filed, key=lambda each: (each.cell.name, each.cell.seed)):
            alike.setdefault(of(each), []).append(each)
        for group in alike.values():
            for each in group[1:]:
                first = next((one for one in group if one is not each and not _may_be_alike(one, each)), None)
                if first and (what == "rankings" or first.cell.rankings_sha256 != each.cell.rankings_sha256):
                    yield Problem(each.path, f"{what} twice", f"{each.path}: {_said(first.cell, each.cell, what)}")


_OWN: tuple[tuple[str, Callable[[Filed], str]], ...] = (
    ("rankings", lambda each: each.cell.rankings_sha256),
    ("placements", lambda each: each.placed),
)


def _may_be_alike(a: Filed, b: Filed) -> bool:
    """Whether a run can give the two the same lists.

    A ranker without randomness gives the same for every seed. Schemes whose methods come to the same IDs, such as
    multi-task[ratio=1:0] and search, train the same generator from the same seed.
    """
    mine, other = a.cell, b.cell
    if mine.kind == "ranker" and other.kind == "ranker":
        return mine.name == other.name
    parts = ("kind", "seed", "ids", "id_table_sha256", "rankings_sha256")
    return a.placed == b.placed and all(getattr(mine, part) == getattr(other, part) for part in parts)


def _said(a: CellResult, b: CellResult, what: str) -> str:
    if a.name == b.name:
        return f"seeds {a.seed} and {b.seed} of {a.name!r} have the very same {what}: one is a copy. Run both again"
    return (
        f"{b.name!r} seed {b.seed} has the very same {what} as {a.name!r} seed {a.seed}, as only schemes with the same "
        "IDs can, from the same seed. One is a copy: run both again"
    )
