"""A process that runs jobs: the first request is a `Setup`, every other a job. What plugins print goes to stderr.

The process leaves when its requests end, that is when the process that started it is gone, whatever the reason.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semidbench.errors import UserError
from semidbench.machine.channels import GRACE, Requests, Send, channels, leave_within, reporting_failures

if TYPE_CHECKING:
    from semidbench.runs.failures import Failure
    from semidbench.runs.shared.session import Session

_REPORT_SECONDS = 0.2  # between two lines about the progress of one thing


def main() -> None:
    """Run jobs until the requests end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one decides
    signal.signal(signal.SIGTERM, _leave)
    requests, send = channels(lambda: leave_within(GRACE))
    with reporting_failures(send):
        _work(requests, send)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it is leaving


def _leave(*_: Any) -> None:
    """Unwinds the stage that is under way: its scratch folder and its half-made output go."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough
    raise SystemExit(128 + signal.SIGTERM)


def _work(requests: Requests, send: Send) -> None:
    setup = requests.get()
    from semidbench.isolation.limits import Limits
    from semidbench.machine.device import held_threads
    from semidbench.methods.resolved import from_json
    from semidbench.runs.shared.session import open_session, shared_inputs
    from semidbench.tracks.track import Track

    track, data = Track.model_validate(setup["track"]), setup["data"]
    with held_threads(track.threads):
        store, device = Path(setup["store"]), setup["device"]
        session = open_session(track, setup["split"], data and Path(data), store, device)
        session = replace(session, limits=Limits(**setup["limits"]))
        check_inputs(setup["inputs"], shared_inputs(session))
        rows, work = {row.name: row for row in map(from_json, setup["rows"])}, _SentWork(send)
        while True:
            _run(session, rows, requests.get(), Path(setup["folder"]), work)


def check_inputs(planned: Mapping[str, str], found: Mapping[str, str]) -> None:
    """See that a worker's inputs are those that the jobs were planned with.

    Raises:
        UserError: they are not.
    """
    changed = [name for name, key in planned.items() if found[name] != key]
    if changed:
        raise UserError(
            f"{' and '.join(changed)}: changed after the run began, on disk or in semidbench's code. "
            "Run again; finished stages are kept"
        )


def _run(session: Session, rows: Mapping[str, Any], job: dict[str, Any], folder: Path, work: _SentWork) -> None:
    from semidbench.methods.failure import PluginFailure
    from semidbench.runs.cell import cell_label, naming, run_cell
    from semidbench.runs.failures import Failure
    from semidbench.runs.stages.embed import embed_one

    row, seed = rows[job["row"]], job["seed"]
    if job["kind"] != "embedder":
        if failure := run_cell(session, row, seed, folder, work, {}):  # the scheduler asks for none that must fail
            work.send_failure(failure)
        return
    work.stage("embed")
    with naming(cell_label(row.name, seed)):
        try:
            embed_one(session, row.all_embedders[job["embedder"]], seed, work.progress, {})
        except PluginFailure as error:
            work.send_failure(Failure(row.name, seed, "embed", error.message, error.trace, error.output))
            return
    work.done()


class _SentWork:
    """The job that is under way, as messages to the process that handed it out."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._what = ""
        self._last = 0.0

    def stage(self, name: str) -> None:
        self._what = ""
        self._send("stage", name)

    def progress(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if what != self._what or done == total or now - self._last >= _REPORT_SECONDS:
            self._what, self._last = what, now
            self._send("progress", what, done, total)

    def done(self, summary: str | None = None) -> None:
        self._send("done", summary)

    def failed(self, message: str) -> None:
        """Sent by `send_failure`, with all that is known."""

    def send_failure(self, failure: Failure) -> None:
        self._send("failure", failure.as_json())
