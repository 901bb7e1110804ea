"""The process that imports plugins and builds their methods once, so that a run's own process need not.

Before it runs any of their code it tells whose, so that an end without a word can be told to whom it belongs.
"""

from __future__ import annotations

import faulthandler
import os
import signal
from pathlib import Path
from typing import Any

from semidbench.machine.channels import Tell, channels, telling_failures


def main() -> None:
    """Resolve what the one order wants, each in its turn."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one decides
    orders, tell = channels(lambda: os.killpg(0, signal.SIGKILL))
    order = orders.get()
    with telling_failures(tell):
        _resolve(order, tell)


def _resolve(order: dict[str, Any], tell: Tell) -> None:
    from semidbench.isolation.limits import end_first, hold_memory
    from semidbench.machine.memory import free_mib
    from semidbench.methods.registry import load_registry
    from semidbench.methods.resolve import outcome
    from semidbench.methods.resolved import Wanted
    from semidbench.methods.traces import dump_to
    from semidbench.tracks.track import Track

    track = Track.model_validate(order["track"])
    lost = {(who, doing): told for who, doing, *told in order["lost"]}
    dump = dump_to(Path(order["folder"]))
    end_first()
    if (free := free_mib()) is not None:
        hold_memory(free)

    def before(who: str, doing: str) -> None:
        """Tell of it, or raise what became of it in the process before."""
        from semidbench.methods.failure import PluginFailure

        if (who, doing) in lost:
            raise PluginFailure(*lost[who, doing])
        faulthandler.dump_traceback_later(order["seconds"], exit=True, file=dump)
        tell("before", who, doing)

    registry = load_registry(before=before)
    for kind, text in order["wanted"]:
        tell("outcome", *_as_message(outcome(registry, Wanted(kind, text), track, before)))


def _as_message(found: Any) -> tuple[Any, ...]:
    from semidbench.methods.failure import PluginFailure
    from semidbench.methods.resolved import MissingMethod, as_json

    if isinstance(found, PluginFailure):
        return "failed", found.told, found.trace, found.said
    if isinstance(found, MissingMethod):
        return "missing", str(found)
    return "resolved", as_json(found)
