"""The tree: who may import whom, no circles, and folders that can be read in one sitting."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

import semidbench

ROOT = Path(__file__).parents[1]
PACKAGE = Path(semidbench.__file__).parent
FOLDERS = sorted({path.parent for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE})
MOST = 13  # modules of a folder; cli has one a command


def test_the_folders_keep_their_order_and_no_circle(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the contracts in pyproject.toml; imports in functions and for type checkers count."""
    monkeypatch.chdir(ROOT)
    assert lint_imports(cache_dir=None, is_debug_mode=False) == EXIT_STATUS_SUCCESS


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(PACKAGE)))
def test_a_folder_says_what_it_is_for_and_is_small(folder: Path) -> None:
    docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text("utf-8")))
    modules = [path.stem for path in folder.glob("*.py") if path.stem != "__init__"]
    assert docstring
    assert len(modules) <= MOST or folder.name == "cli", sorted(modules)
    if len(modules) > 3 and folder.name != "cli":  # in which order to read it
        unnamed = [name for name in modules if f"`{name}`" not in docstring]
        assert len(unnamed) <= len(modules) / 2, unnamed
