"""What to check and to run of the plugins in some folders: `plugin_rows.py TRACK FOLDER...`.

Prints a line `KIND NAME` for each method to check, and writes to TRACK a track file: `smoke`, with the plugins' schemes
as its rows and their rankers as its references. A method's schemes are those of the published tables that have it, or
else the first row of `smoke` with the method in its place. A method that needs options cannot be tried by name alone;
standard error says so. A plugin that is not installed, does not load or registers nothing ends this with exit code 1.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Sequence
from inspect import Parameter, signature
from pathlib import Path

from semidbench.errors import UserError
from semidbench.methods.registry import KINDS, Registered, Registry, load_registry
from semidbench.methods.scheme import Scheme, parse_scheme
from semidbench.published import table_rows
from semidbench.tracks.files import load_track


def main(track: Path, folders: Sequence[Path]) -> None:
    """Print the methods, and write the track file if there is a row to run."""
    registry = load_registry()
    schemes: dict[str, None] = {}
    rankers: dict[str, None] = {}
    for folder in folders:
        for method in methods_of(registry, folder):
            factory = method.load()
            if needed := options_needed(factory):
                print(f"{method.kind} {method.name} needs {', '.join(needed)}; not checked", file=sys.stderr)
                continue
            print(f"{method.kind} {method.name}")
            if method.kind == "ranker":
                rankers[method.name] = None
            else:
                schemes |= dict.fromkeys(rows_with(method, factory))
    if schemes or rankers:
        track.write_text(smoke_with(list(schemes), list(rankers)), "utf-8")


def methods_of(registry: Registry, folder: Path) -> list[Registered]:
    """The methods of the distribution whose pyproject.toml is in `folder`.

    Raises:
        UserError: there are none.
    """
    name = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]["name"]
    methods = [
        one for kind in KINDS for one in registry.methods[kind].values() if normal(one.distribution) == normal(name)
    ]
    wrong = [line for line in registry.problems if re.search(rf"(?<![\w-]){normal(name)}(?![\w-])", normal(line))]
    if wrong or not methods:
        raise UserError(f"{folder}: {'; '.join(wrong) or f'{name} is not installed here, or registers no method'}")
    return methods


def normal(name: str) -> str:
    """A distribution's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def options_needed(factory: object) -> list[str]:
    """The options that a method has no values for by itself."""
    variable = (Parameter.VAR_KEYWORD, Parameter.VAR_POSITIONAL)
    parameters = signature(factory).parameters.values()  # type: ignore[arg-type]
    return [one.name for one in parameters if one.default is one.empty and one.kind not in variable]


def rows_with(method: Registered, factory: object) -> list[str]:
    """Schemes that the method is part of."""
    published = [row for row in table_rows("all") if method.name in parts(parse_scheme(row))[method.kind]]
    if published:
        return published
    pattern = parse_scheme(load_track("smoke").plan.rows[0])
    named = {kind: "+".join(names) for kind, names in parts(pattern).items()} | {method.kind: method.name}
    if method.kind == "layout":
        named |= {part: "-" for part in ("embedder", "quantizer") if not getattr(factory, f"uses_{part}", True)}
    return [f"{named['embedder']}/{named['quantizer']}/{named['layout']}"]


def parts(scheme: Scheme) -> dict[str, list[str]]:
    """The names in a scheme, by kind."""
    return {
        "embedder": [embedder.name for embedder in scheme.embedders],
        "quantizer": [scheme.quantizer.name] if scheme.quantizer else [],
        "layout": [scheme.layout.name],
    }


def smoke_with(rows: list[str], references: list[str]) -> str:
    """The track file of `smoke` with another plan, and a name of its own."""
    return f"""semidbench_track = 1
name = "smoke-of-plugins"
extends = "smoke"
version = {load_track("smoke").version}
about = "The schemes and rankers of plugins, on smoke."

[plan]
rows = {json.dumps(rows)}
references = {json.dumps(references)}
"""


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), [Path(folder) for folder in sys.argv[2:]])
    except UserError as error:
        sys.exit(f"error: {error}")
