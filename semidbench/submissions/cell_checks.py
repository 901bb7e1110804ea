"""One result against itself, its placements and its track: values that no run gives.

Each check gives a sentence for each problem. Form, hashes and metrics were checked when the result was read
(`results.files`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from semidbench.api import TASKS, Task
from semidbench.errors import UserError
from semidbench.exchange.imported_ids import imported_part
from semidbench.methods.contracts import MAX_LEVELS
from semidbench.methods.scheme import Method, by_place, parse_method, parse_scheme
from semidbench.results.cases import Cases
from semidbench.results.cell_result import CellResult, protocol_sha256
from semidbench.submissions.provenance_checks import provenance_problems
from semidbench.tracks.track import Track


def cell_problems(cell: CellResult, cases: Mapping[Task, Cases], track: Track) -> list[str]:
    """All that is wrong with a result, one sentence each."""
    return [
        *_protocol_problems(cell, track),
        *provenance_problems(cell),
        *_name_problems(cell, track),
        *_id_problems(cell),
        *(f"{task}: {problem}" for task in TASKS for problem in _placement_problems(cell, task, cases[task], track)),
    ]


def _protocol_problems(cell: CellResult, track: Track) -> Iterator[str]:
    recorded, expected = f"{cell.track.name} version {cell.track.version}", f"{track.name} version {track.version}"
    if recorded != expected:
        yield f"its track is {recorded}, not {expected}"
    elif cell.track.protocol_sha256 != protocol_sha256(track):
        yield f"its protocol numbers are not those of {expected}"
    if cell.split != "test":
        yield f"it is of the {cell.split} split; a leaderboard takes the test split only"
    if cell.environment.threads != track.threads:
        yield f"it ran with {cell.environment.threads} threads, not the track's {track.threads}"
    rule = track.evaluation
    for task in TASKS:
        for metrics in cell.metrics[task].values():
            if set(metrics.recall) != set(rule.recall_at) or set(metrics.ndcg) != set(rule.ndcg_at):
                yield f"{task}: its cut-offs are not the track's R@{rule.recall_at} and NDCG@{rule.ndcg_at}"
                break


def methods_of(cell: CellResult) -> dict[str, Method]:
    """A row's methods by their place in its name, as results record options: `embedder`, `embedder 0`, `ranker`, ...

    Raises:
        UserError: the name cannot be read.
    """
    if cell.kind == "ranker":
        return {"ranker": parse_method(cell.name, cell.name)}
    scheme = parse_scheme(cell.name)
    return by_place(scheme.embedders, scheme.quantizer, scheme.layout)


def canonical(row: str) -> str:
    """The one way to write a row's name: a scheme if it has slashes, else a ranker.

    Raises:
        UserError: the name cannot be read.
    """
    return str(parse_scheme(row) if re.search(r"/(?![^\[]*\])", row) else parse_method(row, row))


def _name_problems(cell: CellResult, track: Track) -> Iterator[str]:
    """The name is the one way to write this row, and the recorded options follow from it and the track."""
    try:
        parts = methods_of(cell)
        written = str(parse_scheme(cell.name) if cell.kind == "scheme" else parts["ranker"])
    except UserError as error:
        yield f"its name is not the name of a {cell.kind}: {error}"
        return
    imported = imported_part(cell.name) if cell.kind == "scheme" else None
    if imported and not (cell.id_table_sha256 or "").startswith(imported[1]):
        yield f"its IDs have sha256 {cell.id_table_sha256}, and its name says {imported[1]}"
    if written != cell.name:
        yield f"its name must be written {written!r}, not {cell.name!r}"
    recorded_parts = {part.partition(" > ")[0] for part in cell.options}
    if recorded_parts != set(parts):
        listed = ", ".join(sorted(recorded_parts)) or "nothing"
        yield f"it records the options of {listed}, and its name has {', '.join(parts)}"
        return
    for part, options in cell.options.items():
        *_, last = part.split(" > ")
        method = parts.get(part, Method(last))  # one that an embedder builds on has no brackets
        kind = f"{part.split()[0]}s"
        expected = getattr(track.methods, kind).get(method.name, {}) | dict(method.options)
        recorded = options if isinstance(options, dict) else {}
        for name, value in sorted(expected.items()):
            if name not in recorded or not _same_option(value, recorded[name]):
                shown = repr(recorded[name]) if name in recorded else "nothing"
                yield f"option {name} of the {part} is {value} by the row's name or the track, and {shown} is recorded"


def _same_option(expected: Any, recorded: Any) -> bool:
    """Whether an option's value, from a track file or from a scheme's brackets, is read as the recorded one."""
    if isinstance(recorded, bool | int | float | str):
        try:
            return bool(TypeAdapter(type(recorded)).validate_python(expected) == recorded)
        except ValidationError:
            return False
    return str(expected).lower() == "none" if recorded is None else True  # a list has as many spellings as plugins


def _id_problems(cell: CellResult) -> Iterator[str]:
    """Fields of `ids` that do not follow from its others."""
    items = cell.dataset.items
    for task, use in (cell.ids or {}).items():
        if not 1 <= len(use.levels) <= MAX_LEVELS:
            yield f"ids.{task} has {len(use.levels)} levels, and an ID has 1 to {MAX_LEVELS}"
            continue
        sizes = {level.slot: level.size for level in use.levels}
        expected = {
            "possible": math.prod(level.size for level in use.levels),
            "tokens": sum(sizes.values()),
            "load": items / use.possible,
            "mean_items": items / use.distinct,
        }
        for name, value in expected.items():
            if not math.isclose(getattr(use, name), value, rel_tol=1e-9):
                yield f"ids.{task}.{name} is {getattr(use, name)}, and its other fields give {value}"
        for at, level in enumerate(use.levels):
            if not (level.used <= min(level.size, items) and level.perplexity <= level.used * (1 + 1e-9)):
                shown = f"{level.used} codes used of {level.size}, perplexity {level.perplexity}"
                yield f"ids.{task}.levels.{at} cannot be: {shown}"
        collided = items - use.distinct
        if not (use.distinct <= min(items, use.possible) and (collided > 0) < use.max_items <= collided + 1):
            yield f"ids.{task} cannot be: {use.distinct} IDs of up to {use.max_items} items for {items} items"
        if (use.colliding > 0) != (collided > 0) or use.colliding * items > 2 * collided * (1 + 1e-9):
            yield f"ids.{task}.colliding is {use.colliding}, with {use.distinct} IDs for {items} items"


def _placement_problems(cell: CellResult, task: Task, cases: Cases, track: Track) -> Iterator[str]:
    """Ranks, sizes and counts that no list of this catalogue has."""
    data, p = cell.dataset, cases.placements
    expected, of = (data.test_queries, "queries") if task == "search" else (data.test_users, "users")
    if len(cases) != expected:
        yield f"it has {len(cases):,} test cases, and the data has {expected:,} test {of}"
    units = data.items if task == "search" else data.users
    if (cases.units >= units).any():
        yield f"a case is of {'item' if task == 'search' else 'user'} {cases.units.max()}, and there are {units:,}"
    if task == "rec" and len(np.unique(cases.units)) != len(cases):
        yield "a user has more than one test case"
    last = p.start.astype(np.int64) + p.size - 1  # rank of the last item that is tied with the target
    rules = {
        "a rank without a group of items, or a group without a rank": (p.start > 0) != (p.size > 0),
        f"a target among items that rank beyond the {data.items:,} of the catalogue": last > data.items,
        "a target beyond the end of its list": last > p.n_items,
        f"a list of more items than the {data.items:,} of the catalogue": p.n_items > data.items,
    }
    if cell.kind == "ranker" or cell.ids is None:
        rules["an ID in the list of a ranker, which has none"] = (p.id_rank > 0) | (p.n_ids > 0)
        rules["a list that is not the whole catalogue"] = p.n_items != data.items
        rules["a target without a rank"] = p.start == 0
    else:
        use = cell.ids[task]
        rules["a ranked ID without a ranked target, or the reverse"] = (p.id_rank > 0) != (p.start > 0)
        rules["an ID beyond the end of its list"] = p.id_rank > p.n_ids
        rules["a target before its ID: each ID ahead holds an item or more"] = p.start < p.id_rank
        rules["more IDs in a list than items"] = p.n_ids > p.n_items
        rules[f"more IDs in a list than {track.decoding.beams} beams or {use.distinct} IDs"] = p.n_ids > min(
            track.decoding.beams, use.distinct
        )
        rules[f"more items to an ID than {use.max_items}"] = p.size > use.max_items
    for problem, broken in rules.items():
        if broken.any():
            yield f"{problem} (case {int(broken.argmax())}; {int(broken.sum()):,} such cases)"
