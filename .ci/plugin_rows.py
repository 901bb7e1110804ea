"""What to check and to run of the plugin in a folder: a line `method KIND NAME` or `row SCHEME` each.

A method's rows are those of the published tables that have it, or else the smoke track's first row with the method in
its place. A method that needs options cannot be tried by name alone; standard error says so.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

from semidbench.errors import UserError
from semidbench.options import effective_options
from semidbench.published import table_rows
from semidbench.registry import KINDS, Registered, load_registry
from semidbench.scheme import Scheme, parse_scheme
from semidbench.track import load_track


def main(folder: Path) -> None:
    """Print the lines for the distribution whose pyproject.toml is in `folder`."""
    name = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]["name"]
    methods = [one for kind in KINDS for one in load_registry().methods[kind].values() if one.distribution == name]
    if not methods:
        print(f"{name}: not installed here, or it registers no method; not checked", file=sys.stderr)
    rows: dict[str, None] = {}
    for method in methods:
        try:
            rows |= dict.fromkeys(rows_with(method))
            print(f"method {method.kind} {method.name}")
        except UserError as error:
            print(f"{method.kind} {method.name} of {name}: {error}; not checked", file=sys.stderr)
    for row in rows:
        print(f"row {row}")


def rows_with(method: Registered) -> list[str]:
    """Schemes that the method is part of; none for a ranker, which stands under every table of a plain run.

    Raises:
        UserError: the method cannot be loaded, or needs options.
    """
    if method.kind == "ranker":
        return []
    published = [row for row in table_rows("all") if method.name in parts(parse_scheme(row))[method.kind]]
    if published:
        return published
    factory = method.load()
    effective_options(factory, method.name, {}, {})
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


if __name__ == "__main__":
    main(Path(sys.argv[1]))
