"""The one error that users are meant to see."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something the user can fix: the command line prints the message on one line and exits with 2.

    The message says what is wrong, where, and what to do next.
    """


def unknown(kind: str, name: str, available: Iterable[str], hint: str = "") -> UserError:
    """The error for a name that does not exist, with the nearest names that do."""
    names = sorted(available)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    did_you_mean = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    listed = ", ".join(names) if names else "none"
    return UserError(f"unknown {kind} {name!r}.{did_you_mean} Available: {listed}.{' ' + hint if hint else ''}")


def one_line(text: object) -> str:
    """As text, with single spaces for all white space, and escapes for what a terminal would not print but obey."""
    line = " ".join(str(text).split())
    return line if line.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
