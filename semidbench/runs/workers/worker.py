"""A process that runs jobs: the first order is a `Setup`, every other a job. What plugins print goes to stderr.

The process leaves when its orders end, that is when the process that started it is gone, whatever the reason.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semidbench.errors import UserError
from semidbench.machine.channels import GRACE, Orders, Tell, channels, leave_within, telling_failures

if TYPE_CHECKING:
    from semidbench.runs.failures import Failure

_TELL_SECONDS = 0.2  # between two lines about the progress of one thing


def main() -> None:
    """Run jobs until the orders end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one decides
    signal.signal(signal.SIGTERM, _leave)
    orders, tell = channels(lambda: leave_within(GRACE))
    with telling_failures(tell):
        _work(orders, tell)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it is leaving


def _leave(*_: Any) -> None:
    """Unwinds the stage that is under way: its scratch folder and its half-made output go."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough
    raise SystemExit(128 + signal.SIGTERM)


def _work(orders: Orders, tell: Tell) -> None:
    setup = orders.get()
    from semidbench.isolation.limits import Limits
    from semidbench.machine.device import held_threads
    from semidbench.methods.resolved import from_json
    from semidbench.runs.session import open_bench
    from semidbench.tracks.track import Track

    track, data = Track.model_validate(setup["track"]), setup["data"]
    with held_threads(track.threads):
        work = _Told(tell)
        bench = open_bench(
            track, setup["split"], data and Path(data), Path(setup["store"]), setup["device"], work.progress
        )
        bench = replace(bench, limits=Limits(**setup["limits"]))
        check_inputs(setup["inputs"], bench.identity)
        rows = {row.name: row for row in map(from_json, setup["rows"])}
        while True:
            _run(bench, rows, orders.get(), Path(setup["folder"]), work)


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


def _run(bench: Any, rows: Mapping[str, Any], job: dict[str, Any], folder: Path, work: _Told) -> None:
    from semidbench.methods.failure import PluginFailure
    from semidbench.runs.cell import cell_label, naming, run_cell
    from semidbench.runs.failures import failure
    from semidbench.runs.scheme_stages import embedding_stage
    from semidbench.runs.workers.jobs import embedders_of

    row, seed = rows[job["row"]], job["seed"]
    if job["kind"] != "embedder":
        work.over(run_cell(bench, row, seed, folder, work))
        return
    work.stage("embed")
    with naming(cell_label(row.name, seed)):
        try:
            embedding_stage(bench.telling(work.progress), embedders_of(row)[job["embedder"]], seed)
        except PluginFailure as error:
            work.over(failure(row.name, seed, "embed", error))
            return
    work.done()


class _Told:
    """The job that is under way, as told to the process that handed it out."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._what = ""
        self._last = 0.0

    def stage(self, name: str) -> None:
        self._what = ""
        self._tell("stage", name)

    def progress(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if what != self._what or done == total or now - self._last >= _TELL_SECONDS:
            self._what, self._last = what, now
            self._tell("progress", what, done, total)

    def done(self, summary: str | None = None) -> None:
        self._tell("done", summary)

    def failed(self, told: str) -> None:
        """Told by `over`, with all that is known."""

    def over(self, failure: Failure | None) -> None:
        if failure is not None:
            self._tell("failure", failure.as_json())
