"""The command line: one module per command.

Each module imports what it needs when its command runs, so that help answers at once. `app` has the application and
the options that commands share; `progress` shows what a run reports.
"""

from __future__ import annotations

import sys
from importlib import import_module

from semidbench.cli.app import app
from semidbench.errors import UserError, one_line

# In the order of --help; each module adds its command to the application when it is imported.
for command in (
    "run",
    "plan",
    "leaderboard",
    "compare",
    "aa",
    "data",
    "data_queries",
    "inspect",
    "export",
    "import_ids",
    "list",
    "check",
    "submit",
    "verify",
    "new_plugin",
):
    import_module(f"semidbench.cli.{command}")

_INTERRUPTED = 130  # what typer makes of an interrupt


def main() -> None:
    """Entry point: a `UserError` is one line on stderr and exit code 2."""
    try:
        app()
    except UserError as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        raise SystemExit(2) from None
    except SystemExit as ended:
        if ended.code == _INTERRUPTED:
            print("interrupted: finished stages are kept, the same command goes on from there", file=sys.stderr)
        raise
