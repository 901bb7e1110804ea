"""Which distribution brings a method that is not installed here."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from importlib.resources import files

from semidbench.methods.registry import MethodKind


@dataclass(frozen=True, slots=True)
class Provider:
    """A distribution with plugins, and the names of its methods.

    Attributes:
        only: where it can be installed, e.g. "Python 3.11"; "" if everywhere.
    """

    distribution: str
    only: str = ""
    embedders: list[str] = field(default_factory=list)
    quantizers: list[str] = field(default_factory=list)
    layouts: list[str] = field(default_factory=list)
    rankers: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.distribution} ({self.only} only)" if self.only else self.distribution


def providers() -> list[Provider]:
    """What providers.toml holds. It is read at each call: only a missing method needs it."""
    tables = tomllib.loads((files("semidbench") / "methods" / "providers.toml").read_text("utf-8"))
    return [Provider(distribution, **table) for distribution, table in tables.items()]


def provider_of(kind: MethodKind, name: str) -> Provider | None:
    """The distribution that brings a method; None if that is not known."""
    return next((each for each in providers() if name in getattr(each, f"{kind}s")), None)
