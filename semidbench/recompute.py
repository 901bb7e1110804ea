"""Results against the cells themselves, run again: level three of `semidbench verify`."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from semidbench.api import TASKS, Task
from semidbench.bench import Bench, open_bench
from semidbench.board_checks import Filed
from semidbench.cases import COUNTS, Cases
from semidbench.device import held_threads, pick_device
from semidbench.metrics import GROUPS
from semidbench.progress import Reporter
from semidbench.registry import load_registry
from semidbench.resolve import resolve_ranker, resolve_scheme
from semidbench.results import CellResult, read_cases, read_cell
from semidbench.rows import Row, cell_label, run_cell
from semidbench.store import default_store
from semidbench.track import Track


@dataclass(frozen=True, slots=True)
class Again:
    """What running a cell again showed.

    Attributes:
        path: of the result's JSON.
        differs: which parts of the result came out otherwise, and how far; empty if it is the same to the bit.
        elsewhere: what it was made with that is other here (processor, libraries, code); empty if nothing is.
    """

    path: Path
    differs: tuple[str, ...]
    elsewhere: tuple[str, ...]

    @property
    def is_problem(self) -> bool:
        """Whether nothing but an edit, or a cell that does not repeat, explains the difference."""
        return bool(self.differs) and not self.elsewhere

    def __str__(self) -> str:
        """One line."""
        if not self.differs:
            return f"{self.path}: the same when run again"
        said = f"{self.path}: run again, it differs in {'; '.join(self.differs)}"
        if self.elsewhere:
            return (
                f"{said}. It was made with other {'; '.join(self.elsewhere)}: run it where these are the same to tell"
            )
        return f"{said}. It was made with what is here, so it was edited or its methods do not repeat: refuse it"


def recompute(
    filed: Sequence[Filed], track: Track, data: Path | None, cache: Path | None, device: str, reporter: Reporter
) -> Iterator[Again]:
    """Run cells again, one by one; finished stages come from the cache where code, data and libraries are the same.

    Raises:
        UserError: a method is not installed, the data is missing, or a plugin failed.
    """
    registry = load_registry()
    rows: list[tuple[Filed, Row]] = []
    for one in filed:
        resolve = resolve_scheme if one.cell.kind == "scheme" else resolve_ranker
        rows.append((one, resolve(registry, one.cell.name, track)))
    with held_threads(track.threads):
        reporter.stage("prepare the data")
        bench = open_bench(track, "test", data, cache or default_store(), pick_device(device), reporter.progress)
        reporter.plan(len(rows))
        for one, row in rows:
            yield _again(bench, one, row, reporter)


def _again(bench: Bench, one: Filed, row: Row, reporter: Reporter) -> Again:
    seed = one.cell.seed
    with tempfile.TemporaryDirectory(prefix="semidbench-") as scratch:
        folder = Path(scratch)
        run_cell(bench, row, seed, folder, reporter.begin(cell_label(row.name, seed)))
        cell = next(read_cell(path) for path in folder.glob("*.json"))
        cases = read_cases(folder, cell)
    return Again(
        one.path,
        tuple(_differences(one.cell, read_cases(one.path.parent, one.cell), cell, cases)),
        tuple(_elsewhere(one.cell, cell)),
    )


def _differences(
    said: CellResult, said_cases: Mapping[Task, Cases], found: CellResult, found_cases: Mapping[Task, Cases]
) -> Iterator[str]:
    for name in ("options", "models", "dataset", "ids", "id_table_sha256", "rankings_sha256"):
        if getattr(said, name) != getattr(found, name):
            yield name
    for task in TASKS:
        a, b = said_cases[task], found_cases[task]
        if len(a) != len(b):
            yield f"{task} test cases ({len(a):,} and {len(b):,})"
            continue
        x, y = (
            np.stack([each.units, *(getattr(each.placements, n) for n in COUNTS if n != "unit")]) for each in (a, b)
        )
        if moved := int((x != y).any(axis=0).sum()):
            yield f"the placements of {moved:,} of {len(a):,} {task} cases"
    apart = _metrics_apart(said, found)
    if apart > 1e-9:
        yield f"metrics, by up to {apart:.2g}"


def _metrics_apart(a: CellResult, b: CellResult) -> float:
    """The largest difference of a share, R@k or NDCG@k; infinite if one has a number that the other has not."""
    apart = 0.0
    for task in TASKS:
        for group in GROUPS:
            x, y = a.metrics[task][group], b.metrics[task][group]
            for mine, other in ((x.recall, y.recall), (x.ndcg, y.ndcg), (x.id_recall or {}, y.id_recall or {})):
                for k in {*mine, *other}:
                    p, q = mine.get(k), other.get(k)
                    apart = max(apart, abs(p - q) if p is not None and q is not None else 0 if p is q else math.inf)
    return apart


def _elsewhere(said: CellResult, found: CellResult) -> Iterator[str]:
    """What determines bits beside the row, and is other here."""
    a, b = said.environment, found.environment
    for name, mine, here in (
        ("device", a.device, b.device),
        ("graphics cards", str(a.gpus), str(b.gpus)),
        ("processor", _of_all(m.cpu for m in a.machines), _of_all(m.cpu for m in b.machines)),
        ("Python", _of_all(m.python for m in a.machines), _of_all(m.python for m in b.machines)),
    ):
        if mine != here:
            yield f"{name} ({mine}; here {here})"
    for name in sorted({*a.libraries, *b.libraries}):
        mine, here = a.libraries.get(name, "none"), b.libraries.get(name, "none")
        if mine != here:
            yield f"{name} ({mine}; here {here})"
    codes = [{each.name: (each.version, each.code_sha256) for each in cell.distributions} for cell in (said, found)]
    for name in sorted({*codes[0], *codes[1]}):
        if codes[0].get(name) != codes[1].get(name):
            yield f"code of {name}"


def _of_all(names: Iterator[str]) -> str:
    return " and ".join(sorted(set(names)))
