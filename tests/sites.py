"""Folders with plugins in them, as pip would leave them: for tests that install what is on no index."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def add_plugin(site: Path, distribution: str, module: str, source: str, version: str = "1") -> None:
    """A distribution of one module, which is its plugin."""
    information = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
    (information / "entry_points.txt").write_text(f"[semidbench]\n{module} = {module}\n")
    (site / f"{module}.py").write_text(source, "utf-8")


def use(site: Path, patch: pytest.MonkeyPatch) -> None:
    """Make its plugins findable here and in processes started from here."""
    patch.syspath_prepend(str(site))
    patch.setenv("PYTHONPATH", str(site))  # for the command line
    importlib.invalidate_caches()
