"""Resolving rows in a process of its own: no plugin's code runs in the one that trains generators and reads test data.

Plugins that crash, hang or leave while they are imported or built fail the rows that need them; a new process goes on
with the others.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from semidbench.errors import one_line
from semidbench.isolation.output import FLOOD, Printed
from semidbench.machine import processes
from semidbench.machine.processes import Heard, Program
from semidbench.methods.failure import PluginFailure
from semidbench.methods.registry import load_registry
from semidbench.methods.resolve import outcome
from semidbench.methods.resolved import MissingMethod, Outcome, Resolved, Wanted, from_json
from semidbench.methods.traces import dumped, plugin_dump
from semidbench.tracks.track import Track

PATIENCE = 120.0  # seconds for one method to be imported, or to be built
_WORKER = "semidbench.isolation.resolver_worker"
_STARTING = 60.0  # seconds more for the process to begin, or to end itself


@dataclass(slots=True)
class _State:
    """What is known so far.

    Attributes:
        lost: what ended a process: whose code, and what it was doing, to the arguments of a `PluginFailure`.
    """

    found: list[Outcome] = field(default_factory=list)
    lost: dict[tuple[str, str], tuple[str, str, str]] = field(default_factory=dict)


def resolve_here(track: Track, wanted: Sequence[Wanted]) -> tuple[Outcome, ...]:
    """The same as `resolve_apart` in this process, for debuggers: nothing is isolated."""
    registry = load_registry()
    return tuple(outcome(registry, one, track) for one in wanted)


def resolve_apart(track: Track, wanted: Sequence[Wanted]) -> tuple[Outcome, ...]:
    """What each that is wanted came to, in order, in a process of its own; in another where that came to a bad end.

    Raises:
        UserError: names or options are wrong.
    """
    for one in wanted:
        _ = one.name  # malformed ones need no process
    state = _State()
    while len(state.found) < len(wanted):
        _one_process(track, wanted, state)
    return tuple(state.found)


def resolved(outcomes: Sequence[Outcome]) -> tuple[Resolved, ...]:
    """All of them.

    Raises:
        UserError: one is missing or failed.
    """
    for each in outcomes:
        if isinstance(each, MissingMethod | PluginFailure):
            raise each
    return tuple(each for each in outcomes if not isinstance(each, MissingMethod | PluginFailure))


def _one_process(track: Track, wanted: Sequence[Wanted], state: _State) -> None:
    """Go on until all is resolved, or the process ends."""
    doing, why, where = ("", ""), "", ""
    with tempfile.TemporaryDirectory(prefix="semidbench-") as name:
        folder, heard, printed = Path(name), Heard(), Printed()
        variables = processes.environment(track.threads, {})
        with processes.started(_WORKER, [variables], heard, 0, printed.overhear) as begun:
            processes.order(begun[0], _order(track, wanted[len(state.found) :], state, folder))
            while len(state.found) < len(wanted) and not why:
                message = _next(heard)
                processes.raise_told(message, "finding plugins")
                match message:
                    case ["before", str(who), str(what)]:
                        doing = who, what
                    case ["outcome", *outcome_told]:
                        state.found.append(_outcome(outcome_told))
                    case _:
                        where = dumped(folder)
                        why = _why(message, begun[0], where)
        sys.stderr.write(printed.remark(doing[0]))
    if not why:
        return
    who, what = doing
    told = one_line(f"{who} failed {what}: {why}")
    if not who or doing in state.lost:  # it does not say whose: no other row is to blame
        one = wanted[len(state.found)]
        state.found.append(PluginFailure(f"{one.text} failed: {why}", "", printed.text()))
    state.lost[doing] = told, plugin_dump(where), printed.text()


def _order(track: Track, wanted: Sequence[Wanted], state: _State, folder: Path) -> Mapping[str, Any]:
    return {
        "track": track.model_dump(mode="json"),
        "wanted": [(one.kind, one.text) for one in wanted],
        "lost": [(*doing, *told) for doing, told in state.lost.items()],
        "folder": str(folder),
        "seconds": PATIENCE,
    }


def _next(heard: Heard) -> list[Any]:
    try:
        return processes.next_message(heard, time.monotonic() + PATIENCE + _STARTING)[1]
    except TimeoutError:
        return ["silent"]


def _why(message: list[Any], program: Program, where: str) -> str:
    """What became of the process."""
    if message == ["silent"] or where.startswith("Timeout ("):
        return f"it took longer than {PATIENCE:g} seconds"
    match message:
        case ["ended"]:
            return f"its process {processes.how_ended(program)}"
        case ["flooded"]:
            return f"it printed more than {FLOOD // 2**20} MiB"
    return f"its process said what is no message: {str(message)[:200]}"


def _outcome(told: Sequence[Any]) -> Outcome:
    match told:
        case ["resolved", dict(row)]:
            return from_json(row)
        case ["missing", str(text)]:
            return MissingMethod(text)
        case ["failed", str(text), str(trace), str(said)]:
            return PluginFailure(text, trace, said)
    raise ValueError(f"not an outcome: {told!r}")
