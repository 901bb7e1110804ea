"""A method as any process can build it: the options reach the plugin here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from semidbench.methods.options import build
from semidbench.methods.registry import find_factory


@dataclass(frozen=True, slots=True)
class NamedMethod:
    """A method as any process can build it; for the attributes see `ResolvedMethod`."""

    who: str
    reference: str
    options: Mapping[str, Any]

    def build(self) -> Any:
        """A new instance. This imports the plugin."""
        return build(find_factory(self.reference), self.who, self.options)
