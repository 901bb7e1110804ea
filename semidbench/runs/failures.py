"""Cells that a plugin failed in: kept beside the results, and told at the end of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from semidbench.methods.failure import PluginFailure
from semidbench.methods.traces import shortened, without_addresses
from semidbench.store.files import slug, write_atomically
from semidbench.store.stages import Make, RunStage, Stage, key_hash

FOLDER = "failures"  # beside the folder of the results
_SCREEN = 4000  # characters of a traceback at the end of a run


@dataclass(frozen=True, slots=True)
class Failure:
    """A cell without a result, because a plugin failed.

    Attributes:
        row: name of the scheme or ranker.
        stage: "build", "embed", "assign IDs" or "rank".
        told: one line that names the method and says what happened.
        trace: where, in the plugin's own code.
        said: what its process printed.
    """

    row: str
    seed: int
    stage: str
    told: str
    trace: str
    said: str

    @property
    def line(self) -> str:
        """For the user."""
        return f"{self.row} seed {self.seed}, {self.stage}: {self.told}"

    @property
    def report(self) -> str:
        """All that is known, as text."""
        parts = {"Where": self.trace, "What it printed": self.said}
        told = [self.line, *(f"\n{title}:\n\n{text.rstrip()}" for title, text in parts.items() if text)]
        return "\n".join(told) + "\n"

    def as_json(self) -> dict[str, Any]:
        """For a message; `Failure(**...)` reads it."""
        return asdict(self)


def failure(row: str, seed: int, stage: str, error: PluginFailure) -> Failure:
    """What a plugin's failure is to a cell."""
    return Failure(row, seed, stage, error.told, error.trace, error.said)


def record(one: Failure, results: Path) -> None:
    """Write a failure's report; `results` is the folder of the result files."""
    path = _path(one.row, one.seed, results)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, one.report.encode("utf-8", "replace"))


def forget(row: str, seed: int, results: Path) -> None:
    """Remove the report of a cell that is finished now. The folder stays: another process may be writing to it."""
    _path(row, seed, results).unlink(missing_ok=True)


def summary(failures: Sequence[Failure], results: Path) -> str:
    """The end of a run: a line for each cell, a row's seeds together, and the folder of the reports.

    Where several failed alike stands once, under their lines.
    """
    rows = list(dict.fromkeys(one.row for one in failures))
    alike: dict[tuple[str, str], list[Failure]] = {}
    for one in sorted(failures, key=lambda each: (rows.index(each.row), each.seed)):
        alike.setdefault((without_addresses(one.told), without_addresses(one.trace)), []).append(one)
    lines: list[str] = []
    for group in alike.values():
        lines += [f"failed: {one.line}{_older(one, results)}" for one in group]
        lines += [f"    {line}" for line in shortened(group[0].trace, _SCREEN).splitlines()]
    return "\n".join([*lines, f"Full reports: {results.parent / FOLDER}/"])


def tried_once(stage: RunStage) -> RunStage:
    """The same, but a stage that a plugin failed in is not tried again: cells that share it fail at once."""
    failed: dict[str, PluginFailure] = {}

    def run(store: Path, name: str, inputs: Mapping[str, Any], make: Make) -> Stage:
        key = key_hash({"stage": name, "inputs": inputs})
        if key in failed:
            before = failed[key]
            raise PluginFailure(before.told, before.trace, before.said) from before.__cause__
        try:
            return stage(store, name, inputs, make)
        except PluginFailure as error:
            failed[key] = error
            raise

    return run


def _older(one: Failure, results: Path) -> str:
    """A result of an earlier run stands: it is of the same protocol, and says of which code."""
    there = (results / f"{slug(one.row, one.seed)}.json").exists()
    return " (its result of an earlier run stays in the tables)" if there else ""


def _path(row: str, seed: int, results: Path) -> Path:
    return results.parent / FOLDER / f"{slug(row, seed)}.txt"
