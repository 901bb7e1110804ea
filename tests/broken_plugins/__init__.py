"""Plugins that break the rules of `semidbench check`, each exactly one; and how they are installed for a test."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from semidbench.methods.registry import MethodKind
from tests.sites import add_plugin, use

_HERE = Path(__file__).parent
MODULES = {"broken-plugins": "broken_methods", "broken-light": "broken_light"}

_OF_ALL = {
    "made-lacks": "made",
    "raise": "runs",
    "same-bits-hash": "same-bits",
    "inputs": "inputs",
    "state": "state",
    "private": "private",
}
# Every kind has these methods too; what happens to them does not depend on the kind.
_OF_QUANTIZERS = {
    "good": None,
    "light": "light",
    "made-raises": "made",
    "made-unkept": "made",
    "exit": "runs",
    "hard-exit": "runs",
    "crash": "runs",
    "hang": "runs",
    "memory-hog": "runs",
    "flood": "runs",
    "flood-without-lines": "runs",
    "large": "runs",
    "same-bits-system": "same-bits",
    "same-bits-global": "same-bits",
    "state-folder": "state",
    "state-variable": "state",
    "private-native": "private",
    "rows-batch": "rows",
    "rows-order": "rows",
    "rows-single": "rows",
    "time": "time",
    "memory": "memory",
    "memory-square": "memory",
}
_OF_ONE: dict[MethodKind, dict[str, str | None]] = {
    "embedder": {f"returns-{how}": "returns" for how in ("float64", "nan", "short", "names", "none")}
    | {"builds-on": None},
    "quantizer": {
        f"returns-{how}": "returns" for how in ("int32", "range", "negative", "short", "no-sizes", "levels", "many")
    }
    | _OF_QUANTIZERS,
    "layout": {
        f"returns-{how}": "returns" for how in ("int32", "range", "tasks", "slots", "sizes", "levels", "short", "many")
    },
    "ranker": {f"returns-{how}": "returns" for how in ("float64", "nan", "short")}
    | {"rows-batch": "rows", "rows-order": "rows", "inputs-histories": "inputs", "inputs-queries": "inputs"},
}
# The rule that each breaks, None for one that breaks none.
EXPECTED: dict[tuple[MethodKind, str], str | None] = {
    (kind, f"broken-{name}"): rule for kind, own in _OF_ONE.items() for name, rule in {**_OF_ALL, **own}.items()
}


def install(site: Path, patch: pytest.MonkeyPatch) -> None:
    """Make the plugins findable here and in processes started from here."""
    for name, module in MODULES.items():
        add_plugin(site, name, module, (_HERE / f"{module}.py").read_text("utf-8"))
        patch.delitem(sys.modules, module, raising=False)
    use(site, patch)
