"""`semidbench check`."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

import typer

from semidbench.cli.app import app
from semidbench.errors import UserError


@app.command()
def check(
    name: Annotated[str, typer.Argument(help="A method, with options as in schemes: rq-kmeans, search[epochs=2].")],
    kind: Annotated[
        Literal["embedder", "quantizer", "layout", "ranker"] | None,
        typer.Option(help="Where methods of several kinds have that name."),
    ] = None,
    option: Annotated[list[str] | None, typer.Option(help="An option as KEY=VALUE. Repeat it for more.")] = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="Time that each of its processes may take.")] = 900.0,
    mib: Annotated[int, typer.Option(min=1, help="Memory that each of its processes may take, on Linux.")] = 6144,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Hold a method to the rules of its kind.

    It runs on a small synthetic world, in processes of its own, on the CPU, with the options that the track smoke
    gives it and those given here. docs/reference/plugin-api.md explains each rule. Exit code 1 if one is broken.

    \b
    semidbench check rq-kmeans
    semidbench check search[epochs=2]
    semidbench check my-layout --option file=ids.parquet
    """
    from semidbench.isolation.limits import Limits
    from semidbench.testing.check import check as check_method
    from semidbench.testing.check import measurements, shortfalls, to_json, to_rich

    pairs = [text.partition("=") for text in option or ()]
    for key, equals, _ in pairs:
        if not equals:
            raise UserError(f"cannot read option {key!r}: write it as --option KEY=VALUE")
    report = check_method(name, kind, {key: value for key, _, value in pairs}, Limits(seconds, mib))
    if as_json:
        sys.stdout.write(to_json(report))
    else:
        from rich.console import Console

        parts = (measurements(report), shortfalls(report))
        Console().print(to_rich(report))
        print("\n\n".join(part for part in parts if part))
    raise typer.Exit(0 if report.passed else 1)
