"""What a plugin prints: its start is passed on, its start and end are kept, and a flood is noticed."""

from __future__ import annotations

import codecs
import os
from dataclasses import dataclass, field
from typing import IO

from semidbench.machine.processes import MessageQueue
from semidbench.methods.traces import printable

SHOWN = 2**16  # bytes that are passed on
FLOOD = 2**24  # bytes that end the stage
_READ = 2**16  # bytes at a time


@dataclass(slots=True)
class CapturedOutput:
    """What one process captured.

    Attributes:
        count: bytes so far.
        head: the first SHOWN bytes.
        tail: of those behind them, the last SHOWN and up to as many more.
    """

    count: int = 0
    head: bytearray = field(default_factory=bytearray)
    tail: bytearray = field(default_factory=bytearray)

    def read_output(self, source: IO[str], place: int, messages: MessageQueue) -> None:
        """Read until the output ends or is a flood, which is reported as ["flooded"]; for `processes.started`."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while data := os.read(source.fileno(), _READ):
            self.count += len(data)
            shown = data[: SHOWN - len(self.head)]
            self.head += shown
            self.tail += data[len(shown) :]
            if len(self.tail) > 2 * SHOWN:
                del self.tail[:-SHOWN]
            if text := decoder.decode(shown):
                messages.put((place, ["output", printable(text)]))
            if self.count > FLOOD:
                messages.put((place, ["flooded"]))
                return

    def read_silently(self, source: IO[str], place: int, messages: MessageQueue) -> None:
        """The same, but nothing is passed on."""
        self.read_output(source, place, MessageQueue())
        if self.count > FLOOD:
            messages.put((place, ["flooded"]))

    def remark(self, who: str) -> str:
        """What the user should know of what was not passed on, as a line; nothing where all was."""
        hidden = self.count - len(self.head)
        return f"{who} printed {hidden:,} bytes more, which are not shown\n" if hidden else ""

    def text(self) -> str:
        """The start, how much is left out, and the end."""
        end = self.tail[-SHOWN:]
        hidden = self.count - len(self.head) - len(end)
        between = f"\n[... {hidden:,} bytes left out ...]\n".encode() if hidden else b""
        return printable((self.head + between + end).decode("utf-8", "replace"))
