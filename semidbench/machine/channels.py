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

Orders = SimpleQueue[dict[str, Any]]
Tell = Callable[..., None]  # tell("progress", what, done, total)


def channels(at_end: Callable[[], object]) -> tuple[Orders, Tell]:
    """Orders and a way to tell, on file descriptors that libraries do not know: what those print goes to stderr.

    Args:
        at_end: called, in a thread, when the orders end: the parent is gone.
    """
    source, sink = os.fdopen(os.dup(0), encoding="utf-8"), os.fdopen(os.dup(1), "w", encoding="utf-8")
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # no words are lost with a process that is killed
    orders: Orders = SimpleQueue()
    threading.Thread(target=_take_orders, args=(source, orders, at_end), daemon=True).start()
    lock = threading.Lock()

    def tell(*message: Any) -> None:
        try:
            with lock:
                sink.write(json.dumps(message) + "\n")
                sink.flush()
        except OSError:  # nobody listens any more
            raise SystemExit(1) from None

    return orders, tell


@contextmanager
def telling_failures(tell: Tell) -> Iterator[None]:
    """Tell of an error of the block instead of raising it; `raise_told` raises it in the parent."""
    try:
        yield
    except UserError as error:
        tell("failed", str(error), _trace(error.__cause__))
    except Exception as error:
        tell("broken", _trace(error))


def leave_within(grace: float) -> None:
    """End this program, for `channels`: with SIGTERM, and after `grace` seconds by force with all that it started."""
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace)
    os.killpg(0, signal.SIGKILL)


def _take_orders(source: IO[str], orders: Orders, at_end: Callable[[], object]) -> None:
    for line in source:
        orders.put(json.loads(line))
    at_end()


def _trace(error: BaseException | None) -> str | None:
    return "".join(traceback.format_exception(error)) if error else None
