"""Scheme strings: `embedder/quantizer/layout`, options in brackets, `X+Y` for two views, `-` for none.

multi-task[ratio=1:2]/rq-kmeans/shared
search+rec/rq-kmeans/separate
-/-/random
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from semidbench.errors import UserError

PartT = TypeVar("PartT")

_NAME = r"[a-z0-9][a-z0-9_.-]*"
_METHOD = re.compile(rf"({_NAME})(?:\[([^\[\]]*)\])?")
_OPTION = re.compile(r"([a-z_][a-z0-9_]*)=([^=,\[\]]+)")
_HINT = (
    "A scheme reads embedder/quantizer/layout, e.g. content/rq-kmeans/shared or search[epochs=3]+rec/rq-kmeans/separate"
)


@dataclass(frozen=True, slots=True)
class Method:
    """A method by name, with its options as written, sorted by key."""

    name: str
    options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        inside = ",".join(f"{key}={value}" for key, value in self.options)
        return f"{self.name}[{inside}]" if inside else self.name


@dataclass(frozen=True, slots=True)
class Scheme:
    """A leaderboard row. `str(scheme)` is its canonical name: options sorted, no spaces."""

    embedders: tuple[Method, ...]  # none, one, or two joined by +
    quantizer: Method | None
    layout: Method

    def __str__(self) -> str:
        embedder = "+".join(map(str, self.embedders)) or "-"
        return f"{embedder}/{self.quantizer or '-'}/{self.layout}"


def by_place(embedders: Sequence[PartT], quantizer: PartT | None, layout: PartT) -> dict[str, PartT]:
    """A scheme's parts by their place in its string: `embedder`, or `embedder 0` and `embedder 1`, and so on."""
    several = len(embedders) > 1
    parts = {f"embedder {at}" if several else "embedder": each for at, each in enumerate(embedders)}
    return parts | ({"quantizer": quantizer} if quantizer else {}) | {"layout": layout}


def is_method_name(text: str) -> bool:
    """Whether schemes can be written with it: no such name is HTML, a formula or a path."""
    return re.fullmatch(_NAME, text) is not None


def parse_method(text: str, where: str) -> Method:
    """A method such as `search[epochs=3,lr=1e-4]`.

    Raises:
        UserError: malformed, or an option given twice.
    """
    found = _METHOD.fullmatch(text.strip())
    if not found:
        raise UserError(f"cannot read {text!r} in {where!r}. {_HINT}")
    options: dict[str, str] = {}
    for part in filter(None, map(str.strip, (found[2] or "").split(","))):
        option = _OPTION.fullmatch(part)
        if not option or option[1] in options:
            why = "twice the option" if option else "cannot read option"
            raise UserError(f"{why} {part!r} in {where!r}. Options read [name=value,name=value]")
        options[option[1]] = option[2].strip()
    return Method(found[1], tuple(sorted(options.items())))


def parse_embedders(text: str, where: str) -> tuple[Method, ...]:
    """Embedders joined by +; raises like `parse_method`."""
    return tuple(parse_method(name, where) for name in re.split(r"\+(?![^\[]*\])", text))


def parse_scheme(text: str) -> Scheme:
    """A scheme from its string.

    Raises:
        UserError: malformed; the message shows the grammar.
    """
    parts = re.split(r"/(?![^\[]*\])", text.strip())
    if len(parts) != 3:
        raise UserError(f"scheme {text!r} has {len(parts)} part{'s' * (len(parts) != 1)}, not 3. {_HINT}")
    embedder, quantizer, layout = (part.strip() for part in parts)
    embedders = () if embedder == "-" else parse_embedders(embedder, text)
    if len(embedders) > 2:
        raise UserError(f"scheme {text!r} joins {len(embedders)} embedders; at most two. {_HINT}")
    return Scheme(
        embedders=embedders,
        quantizer=None if quantizer == "-" else parse_method(quantizer, text),
        layout=parse_method(layout, text),
    )
