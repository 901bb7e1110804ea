"""Where a plugin was: tracebacks and dumps without the harness's frames around it, as text that is safe to print."""

from __future__ import annotations

import faulthandler
import os
import re
import signal
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import IO

_DUMP = "dump.txt"  # in a process's folder
_DUMPING = 2.0  # seconds that a hanging process has to say where it is
_SETTLED = 0.05  # seconds without more of it
_DUMPED = 2**20  # bytes of it that are read
_PACKAGE = str(Path(__file__).parents[1])
_MOST = 2**16  # characters of a traceback
_ADDRESS = re.compile("0x[0-9a-fA-F]+")
_AROUND = ("<string>", "<frozen ", "threading.py")  # what starts a program and its threads


def plugin_traceback(error: BaseException) -> str:
    """An error's traceback without the harness's frames; those that a plugin's last frame led into stay.

    Where there is no frame but the harness's, its last one is shown. Errors behind the error read the same.
    """
    summary = traceback.TracebackException.from_exception(error)
    _leave_out_harness(summary)
    return shortened(printable("".join(summary.format())))


def plugin_dump(text: str) -> str:
    """What faulthandler wrote, without threads and callers that are the harness's."""
    blocks: list[list[str]] = [[]]
    for line in text.splitlines():
        if line.startswith("Extension modules:"):
            continue
        if line.startswith(("Thread ", "Current thread ")):
            blocks.append([])
        blocks[-1].append(line)
    head, *threads = (_without_callers(block) for block in blocks)
    kept = [block for block in threads if len(block) > 1]  # more than its title
    return shortened(printable("\n".join(line for block in (head, *kept) for line in block if line)))


def dump_to(folder: Path) -> IO[str]:
    """Have faulthandler write where this process is when it crashes or is asked; the file is to stay open."""
    dump = (folder / _DUMP).open("w")
    faulthandler.enable(dump)
    faulthandler.register(signal.SIGUSR1, dump)
    return dump


def ask_where(pid: int, folder: Path) -> None:
    """Have a process that called `dump_to` write where it is; it answers even while its own code does not."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGUSR1)
    until, size, since = time.monotonic() + _DUMPING, 0, time.monotonic()
    while time.monotonic() < until and not (size and time.monotonic() - since > _SETTLED):
        time.sleep(_SETTLED / 5)
        found = len(dumped(folder))
        if found != size:
            size, since = found, time.monotonic()


def where_it_was(folder: Path) -> str:
    """What a process wrote that called `dump_to`: the plugin's frames; empty if it wrote nothing."""
    return plugin_dump(dumped(folder))


def dumped(folder: Path) -> str:
    """All that a process wrote that called `dump_to`, as it stands, up to a bound."""
    try:
        with (folder / _DUMP).open("rb") as file:
            return file.read(_DUMPED).decode("utf-8", "replace")
    except OSError:
        return ""


def printable(text: str) -> str:
    """The text with its lines and tabs, and escapes for all else that a terminal would not print but obey."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    if lines.replace("\n", "").replace("\t", "").isprintable():
        return lines
    return "".join(c if c in "\n\t" or c.isprintable() else ascii(c)[1:-1] for c in lines)


def without_addresses(text: str) -> str:
    """The text as it would be in another process: thread ids and addresses of memory are all the same."""
    return _ADDRESS.sub("0x", text)


def shortened(text: str, most: int = _MOST) -> str:
    """The text, or its two ends where it has more than so many characters."""
    half, over = most // 2, len(text) - most
    return text if over <= 0 else f"{text[:half]}\n[... {over:,} characters left out ...]\n{text[-half:]}"


def _leave_out_harness(summary: traceback.TracebackException) -> None:
    frames = list(summary.stack)
    last = max((at for at, frame in enumerate(frames) if not _is_harness(frame.filename)), default=len(frames) - 2)
    kept = [frame for at, frame in enumerate(frames) if at > last or not _is_harness(frame.filename)]
    summary.stack = traceback.StackSummary.from_list(kept)
    for behind in (summary.__cause__, summary.__context__, *(summary.exceptions or ())):
        if behind is not None:
            _leave_out_harness(behind)


def _without_callers(block: list[str]) -> list[str]:
    """Dumps go from the innermost frame outwards."""
    frames = [line.strip() for line in block]
    end = len(block)
    while end > 1 and (not frames[end - 1] or _is_around(frames[end - 1])):
        end -= 1
    return block[:end]


def _is_around(line: str) -> bool:
    file = line.removeprefix('File "').partition('"')[0] if line.startswith('File "') else ""
    return bool(file) and (_is_harness(file) or file.startswith(_AROUND) or file.endswith(_AROUND))


def _is_harness(file: str) -> bool:
    return file.startswith(f"{_PACKAGE}/")
