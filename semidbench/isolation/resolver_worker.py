"""The process that imports plugins and builds their methods once, so that a run's own process need not.

Before it runs any of their code it reports whose. Where it then ends without a message, that is known.
"""

from __future__ import annotations

import faulthandler
import os
import signal
from pathlib import Path
from typing import Any

from semidbench.machine.channels import Send, channels, reporting_failures


def main() -> None:
    """Resolve what the one request names, each in its turn."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one decides
    requests, send = channels(lambda: os.killpg(0, signal.SIGKILL))
    request = requests.get()
    with reporting_failures(send):
        _resolve(request, send)


def _resolve(request: dict[str, Any], send: Send) -> None:
    from semidbench.isolation.limits import end_first, hold_memory
    from semidbench.machine.memory import free_mib
    from semidbench.methods.registry import load_registry
    from semidbench.methods.resolve import outcome
    from semidbench.methods.resolved import Wanted
    from semidbench.methods.traces import dump_to
    from semidbench.tracks.track import Track

    track = Track.model_validate(request["track"])
    ended = {(who, doing): failure for who, doing, *failure in request["ended"]}
    dump = dump_to(Path(request["folder"]))
    end_first()
    if (free := free_mib()) is not None:
        hold_memory(free)

    def before(who: str, doing: str) -> None:
        """Report it, or raise what it came to in the process before."""
        from semidbench.methods.failure import PluginFailure

        if (who, doing) in ended:
            raise PluginFailure(*ended[who, doing])
        faulthandler.dump_traceback_later(request["seconds"], exit=True, file=dump)
        send("before", who, doing)

    registry = load_registry(before=before)
    for kind, text in request["wanted"]:
        send("outcome", *_as_message(outcome(registry, Wanted(kind, text), track, before)))


def _as_message(found: Any) -> tuple[Any, ...]:
    from semidbench.methods.failure import PluginFailure
    from semidbench.methods.resolved import MissingMethod, as_json

    if isinstance(found, PluginFailure):
        return "failed", found.message, found.trace, found.output
    if isinstance(found, MissingMethod):
        return "missing", str(found)
    return "resolved", as_json(found)
