"""semidbench: which Semantic ID scheme should a joint search-and-recommendation model use?

The names below are the Python API. They load on first use, so that importing the package, as every
plugin does to get `hookimpl`, costs neither numpy nor torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from semidbench.hookspecs import Register as Register
from semidbench.hookspecs import hookimpl

if TYPE_CHECKING:
    from semidbench.leaderboards import leaderboard as leaderboard
    from semidbench.runs import run as run

__version__ = "0.1.0"
__all__ = ["Register", "__version__", "hookimpl", "leaderboard", "run"]

_LAZY = {"run": "semidbench.runs", "leaderboard": "semidbench.leaderboards"}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'semidbench' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
