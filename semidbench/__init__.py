"""semidbench: which Semantic ID scheme should a joint search-and-recommendation model use?

The names below are the Python API. They load on first use, so that importing the package, as every
plugin does to get `hookimpl`, costs neither numpy nor torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from semidbench.hookspecs import Register as Register
from semidbench.hookspecs import hookimpl
from semidbench.version import __version__

if TYPE_CHECKING:
    from semidbench.leaderboards.board import leaderboard as leaderboard
    from semidbench.runs.run import run as run

__all__ = ["Register", "__version__", "hookimpl", "leaderboard", "run"]

_LAZY = {"run": "semidbench.runs.run", "leaderboard": "semidbench.leaderboards.board"}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'semidbench' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
