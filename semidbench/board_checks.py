"""The results of one leaderboard held against each other: rows are complete, there once, and made on the same data."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semidbench.api import Task
from semidbench.cell_checks import methods_of
from semidbench.errors import UserError
from semidbench.results import CellResult, Kind
from semidbench.track import Track


@dataclass(frozen=True, slots=True, eq=False)
class Filed:
    """A result and where it stands.

    Attributes:
        path: of its JSON.
        cell: what that says.
        case_hashes: per task `cases_hash` of its test cases: what rows that are compared share.
    """

    path: Path
    cell: CellResult
    case_hashes: Mapping[Task, str]


def cases_hash(units: NDArray[np.integer], head: NDArray[np.bool_]) -> str:
    """A hash of test cases, not of where a row placed them: units and groups, (Q,) each, in order."""
    return hashlib.sha256(units.astype("<i4").tobytes() + head.astype("u1").tobytes()).hexdigest()


def board_problems(filed: Sequence[Filed], track: Track) -> list[str]:
    """All that is wrong between the results of one leaderboard, a line each."""
    rows: dict[tuple[Kind, str], list[Filed]] = {}
    for each in filed:
        rows.setdefault((each.cell.kind, each.cell.name), []).append(each)
    return [
        *_mixtures(filed),
        *(line for (_, name), row in sorted(rows.items()) for line in _row_problems(name, row, track)),
        *_repeated_rows([row for _, row in sorted(rows.items())]),
    ]


def _mixtures(filed: Sequence[Filed]) -> Iterator[str]:
    """Results that were made on other data than most."""
    for what, of in _SHARED:
        values = Counter(of(each) for each in filed)
        if len(values) > 1:
            (usual, count), *_ = values.most_common()
            for each in filed:
                if of(each) != usual:
                    yield (
                        f"{each.path}: its {what} {_short(of(each))}, and {count} other results have "
                        f"{_short(usual)}. A table is of one: run the cell again as the others were"
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


def _row_problems(name: str, row: Sequence[Filed], track: Track) -> Iterator[str]:
    """The seeds of a row: the right ones, with equal options, and no two with the same rankings."""
    wanted, seeds = range(track.submission.seeds), sorted(each.cell.seed for each in row)
    folder = row[0].path.parent
    if missing := [seed for seed in wanted if seed not in seeds]:
        yield (
            f"{folder}: row {name!r} lacks seed{_listed(missing)}; track {track.name} asks for seeds 0 to "
            f"{wanted[-1]}. Run and submit those too, or delete the row's files"
        )
    if extra := [seed for seed in seeds if seed not in wanted]:
        yield (
            f"{folder}: row {name!r} has seed{_listed(extra)} beyond the 0 to {wanted[-1]} that track {track.name} "
            "asks for. Delete those files"
        )
    for each in row[1:]:
        if each.cell.options != row[0].cell.options:
            yield (
                f"{each.path}: row {name!r} ran with other options than its seed {row[0].cell.seed} "
                f"({_difference(each.cell, row[0].cell)}). Run all of its seeds with the same"
            )
    if row[0].cell.kind == "scheme":  # a ranker may well be the same for every seed
        for a, b in combinations(row, 2):
            if a.cell.rankings_sha256 == b.cell.rankings_sha256:
                yield (
                    f"{b.path}: seeds {a.cell.seed} and {b.cell.seed} of {name!r} have the very same rankings: one "
                    "is a copy. Run both again"
                )


def _listed(seeds: Sequence[int]) -> str:
    return f"{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"


def _difference(a: CellResult, b: CellResult) -> str:
    parts = [part for part in sorted({*a.options, *b.options}) if a.options.get(part) != b.options.get(part)]
    return _short("; ".join(f"{part}: {a.options.get(part)} and {b.options.get(part)}" for part in parts))


def _repeated_rows(rows: Sequence[Sequence[Filed]]) -> Iterator[str]:
    """Rows under two names whose methods and effective options are the same."""
    first: dict[str, Filed] = {}
    for row in rows:
        cell = row[0].cell
        try:
            methods = {part: method.name for part, method in methods_of(cell).items()}
        except UserError:
            continue  # which is said of the cell
        same = json.dumps([cell.kind, methods, cell.options], sort_keys=True)
        if same in first:
            yield (
                f"{row[0].path}: {cell.name!r} is the row {first[same].cell.name!r} again, with the same methods and "
                "options. Delete the files of one"
            )
        first.setdefault(same, row[0])
