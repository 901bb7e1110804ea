"""Item IDs as TIGER-style codebases write them: JSON, item to tokens, {"0": ["<a_12>", "<b_5>"], ...}.

Tokens that are spelt the same are the same token. So the tokens say which slots the levels and the tasks share: a
slot has a letter, and a token is a slot's letter with a code.
"""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import numpy as np

from semidbench.api import TASKS, ItemIds, Task
from semidbench.errors import UserError, one_line
from semidbench.methods.contracts import MAX_LEVELS

Index = list[list[str]] | list[list[int]]  # each item's tokens: N rows of L
Column = tuple[Task, int]  # a level of a task
_LONGEST_TOKEN = 64
_LARGEST_TOKEN = 2**31


def to_tokens(ids: Mapping[Task, ItemIds]) -> dict[Task, list[list[str]]]:
    """Each item's tokens: a letter for the slot, lettered in the order in which the tasks name them, and the code."""
    slots = dict.fromkeys(slot for task in TASKS for slot in ids[task].slots)
    letters = dict(zip(slots, ascii_lowercase, strict=False))  # 16 slots at most
    return {
        task: [
            [f"<{letters[slot]}_{code}>" for slot, code in zip(ids[task].slots, codes, strict=True)]
            for codes in ids[task].codes.tolist()
        ]
        for task in TASKS
    }


def to_json(tokens: Sequence[Sequence[str]]) -> str:
    """An index file, a line an item."""
    rows = (f"{json.dumps(str(item))}: {json.dumps(of_item)}" for item, of_item in enumerate(tokens))
    return "{\n" + ",\n".join(rows) + "\n}\n"


def from_json(data: bytes, source: Path, n_items: int) -> Index:
    """An index file's tokens, all strings or all whole numbers.

    Raises:
        UserError: not JSON of that form, an item of 0..n_items-1 is missing, named twice or unknown, or the items'
            tokens differ in number.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            seen: set[str] = set()
            twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
            raise _bad(source, f"item {_short(twice)} is there twice")
        return found

    try:
        raw = json.loads(data, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise _bad(source, f"not JSON that can be read ({one_line(error)[:80]})") from error
    if not isinstance(raw, dict):
        raise _bad(source, f"the top level is {type(raw).__name__}, not an object")
    rows = {str(row): row for row in range(n_items)}
    for key in raw:
        if key not in rows:
            raise _bad(source, f"there is no item {_short(key)}: the track has items 0 to {n_items - 1}")
    if missing := [row for key, row in rows.items() if key not in raw]:
        raise _bad(source, f"{len(missing):,} of {n_items:,} items are missing, the first is {missing[0]}")
    index = [raw[key] for key in rows]
    _check_tokens(index, source)
    return index


def _check_tokens(index: list[Any], source: Path) -> None:
    for item, tokens in enumerate(index):
        if not isinstance(tokens, list) or not 1 <= len(tokens) <= MAX_LEVELS:
            raise _bad(source, f"item {item} has {_short(tokens)}, not a list of 1 to {MAX_LEVELS} tokens")
        if len(tokens) != len(index[0]):
            raise _bad(source, f"item {item} has {len(tokens)} tokens where item 0 has {len(index[0])}")
        for token in tokens:
            if type(token) is not type(index[0][0]):
                raise _bad(source, f"item {item} has {_short(token)}, item 0 {_short(index[0][0])}: one kind only")
            if not _is_token(token):
                raise _bad(source, f"item {item} has {_short(token)}, which is no token")


def _is_token(token: Any) -> bool:
    if type(token) is int:
        return 0 <= token < _LARGEST_TOKEN
    return isinstance(token, str) and 0 < len(token) <= _LONGEST_TOKEN and token.isprintable()


def to_ids(search: Index, rec: Index) -> dict[Task, ItemIds]:
    """IDs from the tokens of both tasks.

    A token's code is its place among the tokens of its slot, in alphabetical order but for the numbers in them, which
    are ordered as numbers; a token that no item has gets no code. Levels, and tasks, with a token in common share a
    slot. Whole numbers are codes of their own level and task.

    Args:
        search, rec: N rows each. Equal ones are shared: the IDs are then the same object twice.
    """
    indexes: dict[Task, Index] = {"search": search} if search == rec else {"search": search, "rec": rec}
    columns: dict[Column, list[str]] = {
        (task, level): _spelt(task, level, list(column))
        for task, index in indexes.items()
        for level, column in enumerate(zip(*index, strict=True), start=1)
    }
    slots = _slots(columns, "item" if len(indexes) == 1 else "")
    ids: dict[Task, ItemIds] = {}
    for task in indexes:
        own = [(slots[column], tokens) for column, tokens in columns.items() if column[0] == task]
        codes = np.array([[codes[token] for token in tokens] for (_, codes), tokens in own], dtype=np.int64).T
        names, sizes = tuple(name for (name, _), _ in own), tuple(len(codes) for (_, codes), _ in own)
        ids[task] = ItemIds(np.ascontiguousarray(codes), names, sizes)
    return {"search": ids["search"], "rec": ids.get("rec", ids["search"])}


def _spelt(task: Task, level: int, tokens: list[Any]) -> list[str]:
    """A level's tokens as strings; numbers as strings that no file can hold, and that no other level has."""
    return tokens if isinstance(tokens[0], str) else [f"\0{task}\0{level}\0{token}" for token in tokens]


def _slots(columns: Mapping[Column, list[str]], one_index: str) -> dict[Column, tuple[str, dict[str, int]]]:
    """Each column's slot: its name, and the code of each of its tokens.

    A slot is named after the index or task it is of, or `shared`, and the first level that has it.
    """
    groups: list[tuple[list[Column], set[str]]] = []
    for column, tokens in columns.items():
        members, spelt = [column], set(tokens)
        for other in [other for other in groups if not other[1].isdisjoint(spelt)]:
            groups.remove(other)
            members, spelt = other[0] + members, other[1] | spelt
        groups.append((members, spelt))
    slots: dict[Column, tuple[str, dict[str, int]]] = {}
    for members, spelt in groups:
        first, tasks = min(members, key=list(columns).index), {task for task, _ in members}
        name = one_index or (first[0] if len(tasks) == 1 else "shared")
        codes = {token: code for code, token in enumerate(sorted(spelt, key=_natural))}
        slots |= dict.fromkeys(members, (f"{name}-{first[1]}", codes))
    return slots


def _natural(token: str) -> tuple[list[str | int], str]:
    """A key that orders 9 before 10: text and numbers in turn."""
    parts = re.split("([0-9]+)", token)
    return [int(part) if at % 2 else part for at, part in enumerate(parts)], token


def _bad(source: Path, why: str) -> UserError:
    return UserError(f'{source}: {why}. An index reads {{"0": ["<a_12>", "<b_5>"], "1": ...}}, every item once')


def _short(value: object) -> str:
    return one_line(reprlib.repr(value))
