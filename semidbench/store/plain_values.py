"""What every record in a result file is made of: plain text of bounded length, finite numbers, names in set forms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

MAX_TEXT = 1_000  # characters of any text in a result
MAX_NUMBER = 10**60  # eight levels of ten million codes spell 10**56 IDs

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
TrackName = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9-]*$", max_length=60)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
PackageName = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$", max_length=100)]
Version = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+!_-]*$", max_length=60)]
# Of a file in a model's folder: no part of it is `..`, and it does not begin at the root.
RelativePath = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*$")]


class Record(BaseModel):
    """Of set fields only; see `unfit` for what any value may be."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _harmless(cls, value: JsonValue) -> JsonValue:
        if why := unfit(value):
            raise ValueError(why)
        return value


def unfit(value: object) -> str:
    """Why a JSON value cannot stand in a result, with where; empty if it can.

    Whatever a text says, it moves no cursor, breaks no line and turns no direction; numbers are finite.
    """
    for place, one in _leaves(value):
        if isinstance(one, str) and not is_line(one):
            why = f"a text must have at most {MAX_TEXT} characters, all printable, not {one[:40]!a}"
            return f"{place or 'top level'}: {why}"
        if isinstance(one, int | float) and not abs(one) <= MAX_NUMBER:
            return f"{place}: a number is NaN or has more than 60 digits"
    return ""


def is_line(text: str) -> bool:
    """Whether a text can stand in a result."""
    return text.isprintable() and len(text) <= MAX_TEXT


def _leaves(value: object) -> Iterator[tuple[str, object]]:
    """All that is no list and no dictionary in a JSON value, and the dictionaries' keys, with where each stands."""
    pending: list[tuple[str, object]] = [("", value)]
    while pending:
        place, one = pending.pop()
        if isinstance(one, dict):
            pending += [(place, key) for key in one]
            pending += [(f"{place}.{ascii(str(key)[:40])[1:-1]}".lstrip("."), below) for key, below in one.items()]
        elif isinstance(one, list | tuple):
            pending += [(place, below) for below in one]
        else:
            yield place, one
