"""A program's side of the pipes to the process that started it; `processes` is the other."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

from semidbench.errors import UserError

GRACE = 3.0  # seconds that a program has for cleaning up, where it has something to clean

Requests = SimpleQueue[dict[str, Any]]
Send = Callable[..., None]  # send("progress", what, done, total)


def channels(at_end: Callable[[], object]) -> tuple[Requests, Send]:
    """Requests, and a function that sends messages. Libraries do not know these pipes: their output goes to stderr.

    Args:
        at_end: called in a thread when the requests end: the parent is gone.
    """
    source, sink = os.fdopen(os.dup(0), encoding="utf-8"), os.fdopen(os.dup(1), "w", encoding="utf-8")
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # no output is lost with a process that is killed
    requests: Requests = SimpleQueue()
    threading.Thread(target=_take_requests, args=(source, requests, at_end), daemon=True).start()
    lock = threading.Lock()

    def send(*message: Any) -> None:
        try:
            with lock:
                sink.write(json.dumps(message) + "\n")
                sink.flush()
        except OSError:  # nobody listens any more
            raise SystemExit(1) from None

    return requests, send


@contextmanager
def reporting_failures(send: Send) -> Iterator[None]:
    """Report an error of the block instead of raising it; `raise_reported` raises it in the parent."""
    try:
        yield
    except UserError as error:
        send("failed", str(error), _trace(error.__cause__))
    except Exception as error:
        send("broken", _trace(error))


def leave_within(grace: float) -> None:
    """End this program, for `channels`: with SIGTERM, and after `grace` seconds by force with all that it started."""
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace)
    os.killpg(0, signal.SIGKILL)


def _take_requests(source: IO[str], requests: Requests, at_end: Callable[[], object]) -> None:
    for line in source:
        requests.put(json.loads(line))
    at_end()


def _trace(error: BaseException | None) -> str | None:
    return "".join(traceback.format_exception(error)) if error else None
