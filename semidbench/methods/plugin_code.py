"""A plugin's identity: its distribution, its version, and a hash of its files."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path, PurePath
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from semidbench.store.fingerprint import PACKAGE, digest, library_versions

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
        tops |= {point.module.split(".")[0] for point in found.entry_points.select(group=PACKAGE)} & sys.modules.keys()
    files = _plugin_files([sys.modules[top] for top in sorted(tops)], found)
    code = digest((name, path.read_bytes()) for name, path in sorted(files.items()))
    return Code(distribution_name, distribution_version, code, library_versions(sorted(_required(found) - {PACKAGE})))


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
