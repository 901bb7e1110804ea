"""A method that was found, and a scheme of such methods, as values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from semidbench.errors import UserError
from semidbench.methods.failure import PluginFailure
from semidbench.methods.named import NamedMethod
from semidbench.methods.plugin_code import Code
from semidbench.methods.scheme import by_place, parse_method, parse_scheme


@dataclass(frozen=True, slots=True)
class ResolvedMethod:
    """A method that can be built.

    Attributes:
        who: for messages, e.g. "embedder 'rec' of semidbench-recbole 0.1.0".
        options: all of them, with their effective values.
        code: identity of the distribution that brings it.
        reference: what the factory is found by, in any process (`semidbench.methods.registry.find_factory`).
        builds_on: for an embedder, the embedders whose views it is handed.
        fine_tunes_text_encoder: what an instance states of itself; no input of any stage.
    """

    who: str
    name: str
    options: dict[str, Any]
    code: Code
    reference: str
    builds_on: tuple[ResolvedMethod, ...] = ()
    fine_tunes_text_encoder: bool = False

    @property
    def named(self) -> NamedMethod:
        """What another process needs to build it."""
        return NamedMethod(self.who, self.reference, self.options)

    def as_key(self) -> dict[str, Any]:
        """For a stage's inputs."""
        return {"name": self.name, "options": self.options, "code": self.code.as_key()}

    def with_below(self) -> list[ResolvedMethod]:
        """The embedders it builds on, each behind what it builds on itself, and last this one."""
        return [*(each for below in self.builds_on for each in below.with_below()), self]

    def codes(self) -> list[Code]:
        """Its distribution and those of the embedders it builds on."""
        return [self.code, *(code for below in self.builds_on for code in below.codes())]


@dataclass(frozen=True, slots=True)
class ResolvedScheme:
    """A scheme whose parts can all be built; `quantizer` is None where the layout uses none."""

    name: str
    embedders: tuple[ResolvedMethod, ...]
    quantizer: ResolvedMethod | None
    layout: ResolvedMethod

    @property
    def all_embedders(self) -> tuple[ResolvedMethod, ...]:
        """Its embedders and those that they build on, each after what it builds on."""
        return tuple(each for method in self.embedders for each in method.with_below())

    @property
    def parts(self) -> dict[str, ResolvedMethod]:
        """By their place in the scheme's string."""
        return by_place(self.embedders, self.quantizer, self.layout)


ResolvedRow = ResolvedScheme | ResolvedMethod


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody asked for: a scheme, or a ranker or embedder by name."""

    kind: Literal["scheme", "ranker", "embedder"]
    text: str

    @property
    def name(self) -> str:
        """As written by rule; raises `UserError` if it is malformed."""
        return str(parse_scheme(self.text) if self.kind == "scheme" else parse_method(self.text, self.text))


class MissingMethod(UserError):
    """A row needs a method that no installed plugin brings."""


Outcome = ResolvedRow | MissingMethod | PluginFailure


def as_json(resolved: ResolvedRow) -> dict[str, Any]:
    """For a message; `from_json` reads it."""
    return asdict(resolved)


def from_json(values: dict[str, Any]) -> ResolvedRow:
    """What `as_json` wrote."""
    if "layout" not in values:
        return _method_from_json(values)
    return ResolvedScheme(
        name=values["name"],
        embedders=tuple(map(_method_from_json, values["embedders"])),
        quantizer=_method_from_json(values["quantizer"]) if values["quantizer"] else None,
        layout=_method_from_json(values["layout"]),
    )


def _method_from_json(values: dict[str, Any]) -> ResolvedMethod:
    below = tuple(map(_method_from_json, values["builds_on"]))
    return ResolvedMethod(**{**values, "code": Code(**values["code"]), "builds_on": below})
