"""Hashes of code: a stage's key changes when the code that computes it does, and with no other edit."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import platform
import re
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache, partial
from importlib.metadata import Distribution, PackageNotFoundError, distribution, version
from pathlib import Path, PurePath
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

_PACKAGE = "semidbench"
# Libraries whose arithmetic reaches a result. A plugin's own requirements are added for its stages.
NUMERIC = ("numpy", "scipy", "scikit-learn", "torch", "transformers", "tokenizers", "sentence-transformers")

_MODULES = {".py", ".so", ".pyd"}
_UNREAD = {".pyc", ".pyo", ".pyi"}  # made from the code, or for type checkers alone
# Without a src folder these stand beside an editable plugin's code, and a copy has none of them.
_BESIDE = {"conftest.py", "setup.py", "test", "tests"}


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

    The hash covers every file of the distribution, so that an edit to an editable install counts; the requirements are
    those that it declares.
    """
    while isinstance(factory, partial):
        factory = factory.func
    tops = {getattr(factory, "__module__", type(factory).__module__).split(".")[0]}
    found = _distribution(distribution_name)
    if found:  # the method may be made of another distribution's parts
        tops |= {point.module.split(".")[0] for point in found.entry_points.select(group=_PACKAGE)} & sys.modules.keys()
    files = _plugin_files([sys.modules[top] for top in sorted(tops)], found)
    code = _digest((name, path.read_bytes()) for name, path in sorted(files.items()))
    return Code(distribution_name, distribution_version, code, library_versions(sorted(_required(found) - {_PACKAGE})))


def required(distribution_name: str) -> set[str]:
    """Names of the distributions that one declares it needs; none for a plugin that was registered by hand."""
    return _required(_distribution(distribution_name))


def _required(found: Distribution | None) -> set[str]:
    lines = (found.requires if found else None) or []
    return {re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0] for line in lines}


def _distribution(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def _plugin_files(tops: Iterable[ModuleType], found: Distribution | None) -> dict[str, Path]:
    """A plugin's files by name, as below the deepest folder that holds them all. Editable or not, the names are one.

    Args:
        tops: the top-level packages and modules in which the plugin's entry points and its method stand. Those that the
            distribution does not hold are taken whole.
        found: None for a plugin that was registered by hand.
    """
    places = [Path(each).absolute() for top in tops for each in getattr(top, "__path__", None) or [str(top.__file__)]]
    files = (_copied(places, found) or _editable(places, found)) if found else {}
    held = {PurePath(name).parts[0] for name in files}
    files |= _below(place for place in places if place.name not in held)
    shared = os.path.commonpath([str(PurePath(name).parent) for name in files] or [""])
    return {PurePath(name).relative_to(shared).as_posix(): path for name, path in files.items()}


def _copied(places: Iterable[Path], found: Distribution) -> dict[str, Path]:
    """What was installed with the distribution, if the places are among it."""
    site = Path(str(found.locate_file(""))).resolve()
    recorded = [path for path in found.files or () if _is_read(path) and _is_installed(path)]
    names = {path.parts[0] for path in recorded}
    if not any(place.name in names and place.parent.resolve() == site for place in places):
        return {}
    located = {path.as_posix(): Path(str(path.locate())) for path in recorded}
    return {name: path for name, path in located.items() if path.is_file()}


def _editable(places: Iterable[Path], found: Distribution) -> dict[str, Path]:
    """The packages and modules beside those places that lie in the folder of an editable install (PEP 610)."""
    from urllib.request import url2pathname

    origin = json.loads(found.read_text("direct_url.json") or "{}")
    if not origin.get("dir_info", {}).get("editable"):
        return {}
    project = Path(url2pathname(urlsplit(origin["url"]).path)).resolve()
    site = Path(str(found.locate_file(""))).resolve()  # an environment may lie in the project's folder
    inside = [place for place in map(Path.resolve, places) if project in place.parents and place.parent != site]
    beside = [each for root in {place.parent for place in inside} for each in root.iterdir() if _is_importable(each)]
    return _below([*inside, *beside])


def _is_importable(path: Path) -> bool:
    """Whether this is a plugin's package or module, as far as one can see."""
    return path.name not in _BESIDE and (path.suffix in _MODULES or (path / "__init__.py").is_file())


def _is_installed(path: PurePath) -> bool:
    """Whether a recorded file is of a package or module, and not about the distribution."""
    top = path.parts[0]
    if len(path.parts) == 1 and path.suffix not in _MODULES:
        return False
    return top not in _BESIDE and not top.endswith(".dist-info")


def _below(places: Iterable[Path]) -> dict[str, Path]:
    """All files of packages and modules, by names that begin with that of the package."""
    found: dict[str, Path] = {}
    for place in places:
        named = {path.relative_to(place.parent): path for path in (place.rglob("*") if place.is_dir() else [place])}
        found |= {name.as_posix(): path for name, path in named.items() if _is_read(name) and path.is_file()}
    return found


def _is_read(name: PurePath) -> bool:
    """Whether a method may read the file. What is hidden it does not; `..` leads to scripts and the like."""
    hidden = any(part.startswith(".") or part == "__pycache__" for part in name.parts)
    return not hidden and name.suffix not in _UNREAD and name.name != "py.typed"


def _digest(named: Iterable[tuple[str, bytes]]) -> str:
    total = hashlib.sha256()
    for name, content in named:
        total.update(f"{name}\0{len(content)}\0".encode(errors="surrogateescape"))  # a file may have any name
        total.update(content)
    return total.hexdigest()
