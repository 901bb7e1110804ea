"""A new plugin: a complete distribution with a small method that works, to be changed into one's own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path
from string import Template
from typing import Literal

from semidbench.errors import UserError
from semidbench.methods.registry import load_registry

NewKind = Literal["embedder", "quantizer", "layout"]

_IMPORTED = {"ItemIds"}  # by the templates
_NAME = re.compile("[a-z][a-z0-9]*(-[a-z0-9]+)*")
_ABOUT: dict[NewKind, str] = {
    "embedder": "random projections of the items' text encodings",
    "quantizer": "each level's code is a vector's side of log2(size) random hyperplanes",
    "layout": "an item's rank by training interactions, written in the codebooks' digits",
}
_SCHEME: dict[NewKind, str] = {
    "embedder": "{name}/rq-kmeans/shared",
    "quantizer": "content/{name}/shared",
    "layout": "-/-/{name}",
}


@dataclass(frozen=True, slots=True)
class NewPlugin:
    """What was written.

    Attributes:
        folder: of the distribution.
        scheme: a row to try the method in.
    """

    folder: Path
    name: str
    scheme: str


def new_plugin(name: str, kind: NewKind, where: Path) -> NewPlugin:
    """Write the distribution `semidbench-NAME` into a new folder of that name in `where`.

    Raises:
        UserError: the name is none or taken, also by an installed distribution or module, or the folder is there.
    """
    if not _NAME.fullmatch(name):
        raise UserError(
            f"{name!r} cannot name a plugin: use lower-case letters, digits and single hyphens between them, a letter "
            "first, e.g. my-quantizer"
        )
    registry = load_registry()
    if (taken := registry.methods[kind].get(name)) is not None:
        raise UserError(f"{kind} {name!r} is there already: {taken.distribution} registers it. Choose another name")
    folder, scheme = where / f"semidbench-{name}", _SCHEME[kind].format(name=name)
    module = f"semidbench_{name.replace('-', '_')}"
    if _is_installed(folder.name) or find_spec(module) is not None:
        raise UserError(f"{folder.name} is installed already, and the new one would replace it. Choose another name")
    values = {
        "name": name,
        "kind": kind,
        "Kind": kind.capitalize(),
        "about": _ABOUT[kind],
        "scheme": scheme,
        "distribution": folder.name,
        "module": module,
        "cls": _class_name(name),
    }
    written = {
        "pyproject.toml": "pyproject",
        "README.md": "README",
        f"{module}.py": kind,
        f"tests/test_{name.replace('-', '_')}.py": "test",
    }
    try:
        folder.mkdir()
        (folder / "tests").mkdir()
        for path, template in written.items():
            (folder / path).write_text(_filled(template, values), "utf-8")
    except FileExistsError as error:
        raise UserError(f"{folder} is there already. Move it away, or choose another name") from error
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror}. Go to a folder that you can write to") from error
    return NewPlugin(folder, name, scheme)


def _is_installed(distribution: str) -> bool:
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True


def _filled(template: str, values: dict[str, str]) -> str:
    text = (files("semidbench.methods") / "templates" / f"{template}.template").read_text("utf-8")
    return Template(text).substitute(values)


def _class_name(name: str) -> str:
    made = "".join(part.capitalize() for part in name.split("-"))
    return f"{made}Method" if iskeyword(made) or made in _IMPORTED else made  # None, True, False
