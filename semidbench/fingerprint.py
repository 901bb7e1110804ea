"""Hashes of code: a stage's key changes when the code that computes it does, and with no other edit."""

from __future__ import annotations

import ast
import hashlib
import platform
import re
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from types import ModuleType
from typing import Any

_PACKAGE = "semidbench"
# Libraries whose arithmetic reaches a result. A plugin's own requirements are added for its stages.
NUMERIC = ("numpy", "scipy", "scikit-learn", "torch", "transformers", "tokenizers", "sentence-transformers")


@dataclass(frozen=True, slots=True)
class Code:
    """A distribution's identity, as stored with results."""

    name: str
    version: str
    code_sha256: str
    requirements: dict[str, str]  # installed versions of what it requires

    def as_key(self) -> dict[str, Any]:
        """For a stage's inputs."""
        return {
            "name": self.name,
            "version": self.version,
            "code": self.code_sha256,
            "requirements": self.requirements,
        }


@dataclass(frozen=True, slots=True)
class Machine:
    """What a stage was computed on."""

    python: str
    platform: str
    cpu: str

    def as_key(self) -> dict[str, str]:
        """As JSON values."""
        return asdict(self)


def this_machine() -> Machine:
    """The machine that this process runs on."""
    return Machine(platform.python_version(), platform.platform(), _cpu_name())


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    told = {name.strip(): value.strip() for name, colon, value in (line.partition(":") for line in lines) if colon}
    family = f" (family {told['cpu family']}, model {told['model']})" if {"cpu family", "model"} <= told.keys() else ""
    return told.get("model name", platform.machine()) + family


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
    stem = Path(__file__).parent.joinpath(*module.split(".")[1:])
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


def plugin_code(factory: Any, distribution_name: str, distribution_version: str) -> Code:
    """The identity of the distribution a factory comes from.

    The hash covers every Python file of the factory's top-level package, so that an edit to an
    editable install counts; the requirements are those the distribution declares.
    """
    while isinstance(factory, partial):
        factory = factory.func
    top = getattr(factory, "__module__", type(factory).__module__).split(".")[0]
    module: ModuleType = sys.modules[top]
    if hasattr(module, "__path__"):
        roots = [Path(root) for root in module.__path__]  # several for a namespace package
        paths = {str(path.relative_to(root)): path.read_bytes() for root in roots for path in root.rglob("*.py")}
    else:
        paths = {top: Path(str(module.__file__)).read_bytes()}
    try:
        required = distribution(distribution_name).requires or []
    except PackageNotFoundError:
        required = []
    names = sorted({re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0] for line in required} - {_PACKAGE})
    return Code(distribution_name, distribution_version, _digest(sorted(paths.items())), library_versions(names))


def _digest(named: Iterable[tuple[str, bytes]]) -> str:
    total = hashlib.sha256()
    for name, content in named:
        total.update(f"{name}\0{len(content)}\0".encode())
        total.update(content)
    return total.hexdigest()
