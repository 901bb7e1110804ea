"""Hashes of code: a stage's key changes when the code that computes it does, and with no other edit."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGE = "semidbench"
# Libraries whose arithmetic reaches a result. A plugin's own requirements are added for its stages.
NUMERIC = ("numpy", "scipy", "scikit-learn", "torch", "transformers", "tokenizers", "sentence-transformers")


@cache
def core_code(*modules: str) -> str:
    """SHA-256 over the sources of these semidbench modules and of all semidbench modules they import."""
    pending = [f"{_PACKAGE}.{module}" for module in modules]
    sources: dict[str, bytes] = {}
    while pending:
        module = pending.pop()
        if module not in sources:
            sources[module], imported = _read(module)
            pending += imported
    return _digest(sorted(sources.items()))


@cache
def module_code(*modules: str) -> str:
    """SHA-256 over the sources of these semidbench modules alone: those that put a stage's parts together."""
    return _digest((module, _read(f"{_PACKAGE}.{module}")[0]) for module in sorted(modules))


@cache
def _read(module: str) -> tuple[bytes, tuple[str, ...]]:
    """A semidbench module's source, and the semidbench modules that it imports. None of them is imported for that."""
    path = _source(module)
    assert path is not None, module
    source = path.read_bytes()
    return source, tuple(_imports(source))


def _source(module: str) -> Path | None:
    """Where the source of a semidbench module stands; None if there is no such module."""
    stem = Path(__file__).parents[1].joinpath(*module.split(".")[1:])
    return next((path for path in (stem.with_suffix(".py"), stem / "__init__.py") if path.is_file()), None)


def _imports(source: bytes) -> Iterable[str]:
    """The semidbench modules a source imports, at top level or inside functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == _PACKAGE)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == _PACKAGE:
            if node.module != _PACKAGE:
                yield node.module
            named = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from (candidate for candidate in named if _source(candidate))


def library_versions(names: Iterable[str] = NUMERIC) -> dict[str, str]:
    """Installed versions, by name; a library that is not installed is left out."""
    found = {}
    for name in names:
        try:
            found[name] = _version(name)
        except PackageNotFoundError:
            continue
    return found


@cache
def _version(name: str) -> str:
    return version(name)  # reads and parses a file


def _digest(named: Iterable[tuple[str, bytes]]) -> str:
    total = hashlib.sha256()
    for name, content in named:
        total.update(f"{name}\0{len(content)}\0".encode(errors="surrogateescape"))  # a file may have any name
        total.update(content)
    return total.hexdigest()
