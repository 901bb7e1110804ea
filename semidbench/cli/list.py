"""`semidbench list`."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from semidbench.cli.app import app
from semidbench.errors import UserError


@app.command("list")
def list_methods(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Fail if a plugin does not load.")] = False,
) -> None:
    """List the installed methods, and the tracks.

    The methods are embedders, quantizers, layouts and rankers, each with its distribution.
    """
    from semidbench.methods.registry import KINDS, load_registry
    from semidbench.tracks.files import built_in_tracks

    registry = load_registry()
    if as_json:
        methods = [
            {"kind": m.kind, "name": m.name, "distribution": m.distribution, "version": m.version}
            for kind in KINDS
            for m in registry.methods[kind].values()
        ]
        print(json.dumps({"methods": methods, "problems": registry.problems, "tracks": built_in_tracks()}, indent=1))
    else:
        for kind in KINDS:
            print(f"{kind}s" + ("" if registry.methods[kind] else ": none"))
            for name, method in sorted(registry.methods[kind].items()):
                print(f"  {name:<20} {method.distribution} {method.version}")
        print("tracks\n  " + "  ".join(built_in_tracks()))
    for problem in registry.problems:
        print(f"warning: plugin not usable: {problem}", file=sys.stderr)
    if strict and registry.problems:
        raise UserError(f"{len(registry.problems)} plugin problem(s), see the warnings above")
