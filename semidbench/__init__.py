"""semidbench: which Semantic ID scheme should a joint search-and-recommendation model use?

The names below are the Python API. They load on first use, so that importing the package, as every
plugin does to get `hookimpl`, costs neither numpy nor torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from semidbench.hookspecs import IMPORTED_IDS_LAYOUT, hookimpl
from semidbench.hookspecs import Register as Register
from semidbench.version import __version__

if TYPE_CHECKING:
    from semidbench.exchange.imported_ids import load_imported_ids as load_imported_ids
    from semidbench.leaderboards.board import leaderboard as leaderboard
    from semidbench.leaderboards.frames import to_pandas as to_pandas
    from semidbench.runs.run import run as run

__all__ = [
    "IMPORTED_IDS_LAYOUT",
    "Register",
    "__version__",
    "hookimpl",
    "leaderboard",
    "load_imported_ids",
    "run",
    "to_pandas",
]

_LAZY = {
    "run": "semidbench.runs.run",
    "leaderboard": "semidbench.leaderboards.board",
    "load_imported_ids": "semidbench.exchange.imported_ids",
    "to_pandas": "semidbench.leaderboards.frames",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'semidbench' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
