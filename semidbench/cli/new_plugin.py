"""`semidbench new-plugin`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from semidbench.cli.app import app


@app.command("new-plugin")
def new_plugin(
    name: Annotated[str, typer.Argument(help="Of the method, e.g. my-quantizer.")],
    kind: Annotated[Literal["embedder", "quantizer", "layout"], typer.Option(help="What the method does.")],
) -> None:
    """Write a new plugin into ./semidbench-NAME.

    It is a small method that works, with its test, to change into your own.

    \b
    semidbench new-plugin my-quantizer --kind quantizer
    """
    from semidbench.methods.scaffold import new_plugin as write

    made = write(name, kind, Path())
    print(f"{made.folder}/ is there. Next:\n")
    for line in (
        f"cd {shlex.quote(str(made.folder))}",
        "pip install --editable .",
        "pytest",
        f"semidbench check {made.name}",
        "cd ..",
        f"semidbench run --track smoke --scheme {made.scheme}",
    ):
        print(f"  {line}")
