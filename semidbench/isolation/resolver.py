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
from semidbench.isolation.output import FLOOD, CapturedOutput
from semidbench.machine import processes
from semidbench.machine.processes import MessageQueue, Program
from semidbench.methods.failure import PluginFailure
from semidbench.methods.registry import load_registry
from semidbench.methods.resolve import outcome
from semidbench.methods.resolved import MissingMethod, Outcome, ResolvedRow, Wanted, from_json
from semidbench.methods.traces import dumped, plugin_dump
from semidbench.tracks.track import Track

PATIENCE = 120.0  # seconds for one method to be imported, or to be built
_WORKER = "semidbench.isolation.resolver_worker"
_STARTING = 60.0  # seconds more for the process to begin, or to end itself


@dataclass(slots=True)
class _State:
    """What is known so far.

    Attributes:
        ended: what ended a process: whose code, and what it was doing, to the arguments of a `PluginFailure`.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    ended: dict[tuple[str, str], tuple[str, str, str]] = field(default_factory=dict)


def resolve_here(track: Track, wanted: Sequence[Wanted]) -> tuple[Outcome, ...]:
    """The same as `resolve_isolated` in this process, for debuggers: nothing is isolated."""
    registry = load_registry()
    return tuple(outcome(registry, one, track) for one in wanted)


def resolve_isolated(track: Track, wanted: Sequence[Wanted]) -> tuple[Outcome, ...]:
    """The outcome of each row or method, in order, from a process of its own, or from several if one ends badly.

    Raises:
        UserError: names or options are wrong.
    """
    for one in wanted:
        _ = one.name  # a malformed one needs no process
    state = _State()
    while len(state.outcomes) < len(wanted):
        _one_process(track, wanted, state)
    return tuple(state.outcomes)


def resolved(outcomes: Sequence[Outcome]) -> tuple[ResolvedRow, ...]:
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
        folder, messages, captured = Path(name), MessageQueue(), CapturedOutput()
        variables = processes.environment(track.threads, {})
        with processes.started(_WORKER, [variables], messages, 0, captured.read_output) as programs:
            processes.send(programs[0], _request(track, wanted[len(state.outcomes) :], state, folder))
            while len(state.outcomes) < len(wanted) and not why:
                message = _next(messages)
                processes.raise_reported(message, "finding plugins")
                match message:
                    case ["before", str(who), str(what)]:
                        doing = who, what
                    case ["outcome", *values]:
                        state.outcomes.append(_outcome(values))
                    case _:
                        where = dumped(folder)
                        why = _why(message, programs[0], where)
        sys.stderr.write(captured.remark(doing[0]))
    if not why:
        return
    who, what = doing
    failure = one_line(f"{who} failed {what}: {why}")
    if not who or doing in state.ended:  # nobody knows whose code it was: this row fails and no other
        one = wanted[len(state.outcomes)]
        state.outcomes.append(PluginFailure(f"{one.text} failed: {why}", "", captured.text()))
    state.ended[doing] = failure, plugin_dump(where), captured.text()


def _request(track: Track, wanted: Sequence[Wanted], state: _State, folder: Path) -> Mapping[str, Any]:
    return {
        "track": track.model_dump(mode="json"),
        "wanted": [(one.kind, one.text) for one in wanted],
        "ended": [(*doing, *failure) for doing, failure in state.ended.items()],
        "folder": str(folder),
        "seconds": PATIENCE,
    }


def _next(messages: MessageQueue) -> list[Any]:
    try:
        return processes.next_message(messages, time.monotonic() + PATIENCE + _STARTING)[1]
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
    return f"its process sent an unknown message: {str(message)[:200]}"


def _outcome(values: Sequence[Any]) -> Outcome:
    match values:
        case ["resolved", dict(row)]:
            return from_json(row)
        case ["missing", str(text)]:
            return MissingMethod(text)
        case ["failed", str(text), str(trace), str(output)]:
            return PluginFailure(text, trace, output)
    raise ValueError(f"not an outcome: {values!r}")
