"""The other end of peer_decode.py and peer_training.py: starts one in the peer's environment and asks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PEER = Path(".venv-peer/bin/python")


class Peer:
    """Hugging Face on a task, in its own process; its script says what it is asked."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def ask(self, **request: Any) -> dict[str, Any]:
        """One request, one answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self.hear()

    def hear(self) -> dict[str, Any]:
        """The next line."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            sys.exit("the peer ended: its message stands above")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def started_peer(python: Path, script: str, folder: Path, threads: int, *more: str) -> Iterator[Peer]:
    """A script beside this one over a task's folder, once it has loaded; ended on leaving."""
    command = [str(python), str(Path(__file__).with_name(script)), str(folder), str(threads), *more]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8", env=environment
    ) as process:
        peer = Peer(process)
        try:
            peer.hear()
            yield peer
        finally:
            process.kill()
