"""The version, on its own so that hashes of code need not hold it."""

from __future__ import annotations

__version__ = "0.1.0"
