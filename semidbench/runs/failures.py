"""Cells that a plugin failed in: kept beside the results, and listed at the end of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from semidbench.methods.traces import shortened, without_addresses
from semidbench.store.files import slug, write_atomically

FOLDER = "failures"  # beside the folder of the results
_SCREEN = 4000  # characters of a traceback at the end of a run


@dataclass(frozen=True, slots=True)
class Failure:
    """A cell without a result, because a plugin failed.

    Attributes:
        row: name of the scheme or ranker.
        stage: "build", "embed", "assign IDs" or "rank".
        message: one line that names the method and says what happened.
        trace: where, in the plugin's own code.
        output: what its process printed.
    """

    row: str
    seed: int
    stage: str
    message: str
    trace: str
    output: str

    @property
    def line(self) -> str:
        """For the user."""
        return f"{self.row} seed {self.seed}, {self.stage}: {self.message}"

    @property
    def report(self) -> str:
        """All that is known, as text."""
        parts = {"Where": self.trace, "What it printed": self.output}
        report = [self.line, *(f"\n{title}:\n\n{text.rstrip()}" for title, text in parts.items() if text)]
        return "\n".join(report) + "\n"

    def as_json(self) -> dict[str, Any]:
        """For a message; `Failure(**...)` reads it."""
        return asdict(self)


def write_failure(one: Failure, results: Path) -> None:
    """Write a failure's report; `results` is the folder of the result files."""
    path = _path(one.row, one.seed, results)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, one.report.encode("utf-8", "replace"))


def remove_failure(row: str, seed: int, results: Path) -> None:
    """Remove the report of a cell that is finished now. The folder stays: another process may be writing to it."""
    _path(row, seed, results).unlink(missing_ok=True)


def summary(failures: Sequence[Failure], results: Path) -> str:
    """The end of a run: a line for each cell, a row's seeds together, and the folder of the reports.

    Where several failed alike stands once, under their lines.
    """
    rows = list(dict.fromkeys(one.row for one in failures))
    alike: dict[tuple[str, str], list[Failure]] = {}
    for one in sorted(failures, key=lambda each: (rows.index(each.row), each.seed)):
        alike.setdefault((without_addresses(one.message), without_addresses(one.trace)), []).append(one)
    lines: list[str] = []
    for group in alike.values():
        lines += [f"failed: {one.line}{_older(one, results)}" for one in group]
        lines += [f"    {line}" for line in shortened(group[0].trace, _SCREEN).splitlines()]
    return "\n".join([*lines, f"Full reports: {results.parent / FOLDER}/"])


def _older(one: Failure, results: Path) -> str:
    """A result of an earlier run stands: it is of the same protocol, and says of which code."""
    there = (results / f"{slug(one.row, one.seed)}.json").exists()
    return " (its result of an earlier run stays in the tables)" if there else ""


def _path(row: str, seed: int, results: Path) -> Path:
    return results.parent / FOLDER / f"{slug(row, seed)}.txt"
