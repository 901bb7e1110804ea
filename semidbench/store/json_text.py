"""JSON for files that people diff: containers broken over lines, lists of plain values on one line each."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def json_text(value: Any) -> str:
    """A JSON value as text, keys sorted, ending in a newline. Same value: same bytes.

    A list of numbers, strings, booleans and nulls takes one line, however long; every other non-empty list or object
    takes a line for each entry, indented by one space for each level.

    Raises:
        ValueError: a number that is not finite.
    """
    return f"{_text(value, 0)}\n"


def _text(value: Any, depth: int) -> str:
    inner, outer = "\n" + " " * (depth + 1), "\n" + " " * depth
    if isinstance(value, dict) and value:
        entries = (f"{_plain(key)}: {_text(value[key], depth + 1)}" for key in sorted(value))
        return f"{{{inner}{f',{inner}'.join(entries)}{outer}}}"
    if isinstance(value, list | tuple) and any(isinstance(each, dict | list | tuple) for each in value):
        return f"[{inner}{f',{inner}'.join(_text(each, depth + 1) for each in value)}{outer}]"
    return _plain(value)


_plain = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def hash_json(value: Any) -> str:
    """Hex SHA-256 of a JSON value, by its one canonical form: keys sorted, ASCII alone.

    Raises:
        ValueError: a number that is not finite.
    """
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
