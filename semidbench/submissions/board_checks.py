"""The results of one leaderboard against each other.

Rows are complete, there once and made on the same data, and none is a copy of another.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from semidbench.errors import UserError
from semidbench.results.cell_result import CellResult, RowKind
from semidbench.submissions.cell_checks import methods_of
from semidbench.submissions.filed_result import FiledResult
from semidbench.tracks.track import Track


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong between results.

    Attributes:
        path: of a result, or the folder where one is missing.
        kind: what is wrong, without the counts in `text`, which other results change.
        text: a line for the user.
    """

    path: Path
    kind: str
    text: str


def board_problems(results: Sequence[FiledResult], track: Track) -> list[Problem]:
    """All that is wrong between the results of one leaderboard."""
    rows: dict[tuple[RowKind, str], list[FiledResult]] = {}
    for result in results:
        rows.setdefault((result.cell.kind, result.cell.name), []).append(result)
    return [
        *_mixtures(results),
        *(problem for (_, name), row in sorted(rows.items()) for problem in _row_problems(name, row, track)),
        *_repeated_rows([row for _, row in sorted(rows.items())]),
        *_copies(results),
    ]


def _mixtures(results: Sequence[FiledResult]) -> Iterator[Problem]:
    """Results that were made on other data than most."""
    for what, value_of in _SHARED:
        values = Counter(value_of(result) for result in results)
        if len(values) > 1:
            (usual, count), *_ = values.most_common()
            for result in results:
                if value_of(result) != usual:
                    yield Problem(
                        result.path,
                        what,
                        f"{result.path}: its {what} {_short(value_of(result))}, and {count} other results have "
                        f"{_short(usual)}. A table needs the same for all: run the cell again as the others were run",
                    )


_SHARED: tuple[tuple[str, Callable[[FiledResult], str]], ...] = (
    ("data is", lambda result: result.cell.dataset.sha256[:12]),
    ("numbers about the data are", lambda result: result.cell.dataset.model_dump_json(exclude={"sha256"})),
    ("pretrained models are", lambda result: json.dumps(result.cell.models, sort_keys=True)),
    ("search test cases are", lambda result: result.case_hashes["search"][:12]),
    ("recommendation test cases are", lambda result: result.case_hashes["rec"][:12]),
)


def _short(value: str) -> str:
    return value if len(value) <= 70 else f"{value[:67]}..."


def _row_problems(name: str, row: Sequence[FiledResult], track: Track) -> Iterator[Problem]:
    """The seeds of a row: all that the track asks for, no other, with equal options."""
    expected, seeds = range(track.submission.seeds), sorted(result.cell.seed for result in row)
    folder = row[0].path.parent
    if missing := [seed for seed in expected if seed not in seeds]:
        yield Problem(
            folder,
            f"{name} lacks{_listed(missing)}",
            f"{folder}: row {name!r} lacks seed{_listed(missing)}; track {track.name} asks for seeds 0 to "
            f"{expected[-1]}. Run and submit those too, or delete the row's files",
        )
    if extra := [seed for seed in seeds if seed not in expected]:
        yield Problem(
            folder,
            f"{name} has{_listed(extra)} too many",
            f"{folder}: row {name!r} has seed{_listed(extra)}; track {track.name} asks for seeds 0 to {expected[-1]} "
            "only. Delete those files",
        )
    for result in row[1:]:
        if _exact(result.cell.options) != _exact(row[0].cell.options):
            yield Problem(
                result.path,
                "options",
                f"{result.path}: row {name!r} ran with other options than its seed {row[0].cell.seed} "
                f"({_difference(result.cell, row[0].cell)}). Run all of its seeds with the same options",
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


def _repeated_rows(rows: Sequence[Sequence[FiledResult]]) -> Iterator[Problem]:
    """Rows under two names whose methods and effective options are the same."""
    first: dict[str, FiledResult] = {}
    for row in rows:
        cell = row[0].cell
        try:
            methods = {part: method.name for part, method in methods_of(cell).items()}
        except UserError:
            continue  # `cell_problems` reports it
        key = json.dumps([cell.kind, methods, _normalised(cell.options)], sort_keys=True)
        if key in first:
            yield Problem(
                row[0].path,
                "a repeated row",
                f"{row[0].path}: {cell.name!r} repeats the row {first[key].cell.name!r}: methods and options are the "
                "same. Delete the files of one of the two",
            )
        first.setdefault(key, row[0])


def _normalised(value: JsonValue) -> JsonValue:
    """An option's value in one form: 5.0, "5" and 5 are one number, and true and "True" are 1."""
    if isinstance(value, dict):
        return {name: _normalised(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_normalised(inner) for inner in value]
    if isinstance(value, str):
        return _number(value.lower())
    return int(value) if isinstance(value, bool) or (isinstance(value, float) and value.is_integer()) else value


def _number(text: str) -> JsonValue:
    """A text as the number, truth value or none that it spells; else the text."""
    words: dict[str, JsonValue] = {"none": None, "true": 1, "false": 0}
    if text in words:
        return words[text]
    for read in (int, float):
        with suppress(ValueError):
            return _normalised(read(text))
    return text


def _copies(results: Sequence[FiledResult]) -> Iterator[Problem]:
    """Results that are another's under a new name or seed: the same rankings, or the same placements."""
    for what, value_of in _OWN:
        groups: dict[str, list[FiledResult]] = {}
        for result in sorted(results, key=lambda result: (result.cell.name, result.cell.seed)):
            groups.setdefault(value_of(result), []).append(result)
        for group in groups.values():
            for result in group[1:]:
                source = next((other for other in group if other is not result and not _may_equal(other, result)), None)
                if source and (what == "rankings" or source.cell.rankings_sha256 != result.cell.rankings_sha256):
                    text = f"{result.path}: {_copy_problem(source.cell, result.cell, what)}"
                    yield Problem(result.path, f"{what} twice", text)


_OWN: tuple[tuple[str, Callable[[FiledResult], str]], ...] = (
    ("rankings", lambda result: result.cell.rankings_sha256),
    ("placements", lambda result: result.placements_hash),
)


def _may_equal(a: FiledResult, b: FiledResult) -> bool:
    """Whether a run can give the two the same lists.

    A ranker without randomness gives the same for every seed. Schemes whose methods give the same IDs, such as
    multi-task[ratio=1:0] and search, train the same generator from the same seed.
    """
    if a.cell.kind == "ranker" and b.cell.kind == "ranker":
        return a.cell.name == b.cell.name
    fields = ("kind", "seed", "ids", "id_table_sha256", "rankings_sha256")
    return a.placements_hash == b.placements_hash and all(
        getattr(a.cell, field) == getattr(b.cell, field) for field in fields
    )


def _copy_problem(a: CellResult, b: CellResult, what: str) -> str:
    if a.name == b.name:
        return f"seeds {a.seed} and {b.seed} of {a.name!r} have exactly the same {what}: one is a copy. Run both again"
    return (
        f"{b.name!r} seed {b.seed} has exactly the same {what} as {a.name!r} seed {a.seed}. Only schemes with the same "
        "IDs and the same seed can have that. One is a copy: run both again"
    )
