"""Results against their cells, run again: level three of `semidbench verify`."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from semidbench.api import TASKS, Task
from semidbench.errors import UserError
from semidbench.isolation.resolver import resolve_isolated, resolved
from semidbench.machine.device import held_threads, pick_device
from semidbench.methods.plugin_code import required
from semidbench.methods.resolved import ResolvedRow, Wanted
from semidbench.results.cases import COUNTS, Cases
from semidbench.results.cell_result import CellResult
from semidbench.results.files import cell_paths, read_cases, read_cell
from semidbench.results.metrics import GROUPS
from semidbench.runs.cell import cell_label, run_cell
from semidbench.runs.reporter import Reporter
from semidbench.runs.shared.session import Session, open_session
from semidbench.store.stages import default_store
from semidbench.submissions.filed_result import FiledResult
from semidbench.tracks.track import Track

ROUNDING = 0.01  # of R@k over all cases: rounding on other machines swaps neighbours of nearly equal score
SEED_RANGES = 3  # how many times the range of its seeds a trained row may move on another machine


@dataclass(frozen=True, slots=True)
class Recomputed:
    """How a result compares with its cell run again.

    Attributes:
        path: of the result's JSON.
        differs: which parts of the result differ, and how far; empty if it is the same to the bit.
        elsewhere: what it was made with that is different here (processor, libraries, code); empty if nothing is.
        unexplained: what no other machine, library or code explains; empty if all can be explained.
        failed: why it could not be run again; empty if it could.
    """

    path: Path
    differs: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    unexplained: tuple[str, ...] = ()
    failed: str = ""

    @property
    def is_problem(self) -> bool:
        """Whether only an edit, or a cell that does not repeat, explains the differences."""
        return bool(self.unexplained) or (bool(self.differs) and not self.elsewhere)

    @property
    def is_undecided(self) -> bool:
        """Whether it did not run, or another machine, library or code may explain the differences."""
        return not self.is_problem and bool(self.failed or self.differs)

    def __str__(self) -> str:
        """One line."""
        if self.failed:
            return f"{self.path}: undecided: it cannot be run again here: {self.failed}"
        if not (self.differs or self.unexplained):
            return f"{self.path}: the same when run again"
        differences = f"when run again, it differs in {'; '.join([*self.differs, *self.unexplained])}"
        origin = f"It was made with other {'; '.join(self.elsewhere)}"
        if not self.is_problem:
            return f"{self.path}: undecided: {differences}. {origin}. To decide, run it where these are the same"
        if self.elsewhere:
            return f"{self.path}: {differences}. {origin}: this does not explain so large a difference. Refuse it"
        return f"{self.path}: {differences}. It was made with what is here: it was edited or does not repeat. Refuse it"


def recompute(
    selected: Sequence[FiledResult],
    board: Sequence[FiledResult],
    track: Track,
    data: Path | None,
    cache: Path | None,
    device: str,
    reporter: Reporter,
) -> Iterator[Recomputed]:
    """Run cells again, one by one; finished stages come from the cache where code, data and libraries are the same.

    A cell whose plugin is missing or fails costs that cell alone.

    Args:
        selected: the results whose cells to run.
        board: all results of the leaderboard, which give the range of each row's seeds.

    Raises:
        UserError: the data is missing.
    """
    rows: dict[Wanted, ResolvedRow | UserError] = {}
    with held_threads(track.threads):
        reporter.stage("prepare the data")
        session = open_session(track, "test", data, cache or default_store(), pick_device(device))
        reporter.plan(len(selected))
        for result in selected:
            wanted = _wanted(result)
            if wanted not in rows:
                rows[wanted] = _row(track, wanted)
            seeds = [other.cell for other in board if _wanted(other) == wanted]
            yield _recompute(session, rows[wanted], result, seeds, reporter)


def _wanted(result: FiledResult) -> Wanted:
    return Wanted(result.cell.kind, result.cell.name)


def _row(track: Track, wanted: Wanted) -> ResolvedRow | UserError:
    """The row, or why there is none here."""
    try:
        return resolved(resolve_isolated(track, [wanted]))[0]
    except UserError as error:
        return error


def _recompute(
    session: Session, row: ResolvedRow | UserError, result: FiledResult, seeds: Sequence[CellResult], reporter: Reporter
) -> Recomputed:
    path, recorded = result.path, result.cell
    work = reporter.begin(cell_label(recorded.name, recorded.seed))
    if isinstance(row, UserError):
        work.failed(str(row))
        return Recomputed(path, failed=str(row))
    with tempfile.TemporaryDirectory(prefix="semidbench-") as scratch:
        folder = Path(scratch)
        if failure := run_cell(session, row, recorded.seed, folder, work, {}):
            work.failed(failure.message)
            return Recomputed(path, failed=f"{failure.stage}: {failure.message}")
        cell = read_cell(cell_paths(folder, recorded)[0])
        cases = read_cases(folder, cell)
    return Recomputed(
        path,
        differs=tuple(_differences(recorded, read_cases(path.parent, recorded), cell, cases)),
        elsewhere=tuple(_elsewhere(recorded, cell)),
        unexplained=(*_unused_libraries(recorded, cell), *_too_far(recorded, cell, seeds, session.track)),
    )


def _unused_libraries(recorded: CellResult, cell: CellResult) -> Iterator[str]:
    """Recorded libraries that neither the harness nor the row's plugins use, where their versions are the same."""
    there, here = ({(each.name, each.version) for each in of.distributions} for of in (recorded, cell))
    if there != here:
        return
    used = set[str]().union(*(required(name) for name, _ in here))
    if unused := sorted({*recorded.environment.libraries} - {*cell.environment.libraries} - used):
        yield f"libraries that its row does not use ({', '.join(unused)})"


def _too_far(recorded: CellResult, cell: CellResult, seeds: Sequence[CellResult], track: Track) -> Iterator[str]:
    """Where the metrics are further from the recorded ones than rounding, or another training, can take them."""
    k = track.evaluation.primary
    if len(seeds) < 2:
        return
    for task in TASKS:
        there, here, *row = (of.metrics[task]["all"].recall.get(k) or 0.0 for of in (recorded, cell, *seeds))
        seed_range = max(row) - min(row)
        if abs(there - here) > max(ROUNDING, SEED_RANGES * seed_range):
            yield f"{task} R@{k} ({there:.3f}; here {here:.3f}; range of the row's seeds {seed_range:.2g})"


def _differences(
    recorded: CellResult, recorded_cases: Mapping[Task, Cases], cell: CellResult, cases: Mapping[Task, Cases]
) -> Iterator[str]:
    for name in ("options", "models", "dataset", "ids", "id_table_sha256", "rankings_sha256"):
        there, here = (of.model_dump_json(include={name}) for of in (recorded, cell))  # == takes 5.0 for 5
        if there != here:
            yield name
    for task in TASKS:
        a, b = recorded_cases[task], cases[task]
        if len(a) != len(b):
            yield f"{task} test cases ({len(a):,} and {len(b):,})"
            continue
        x, y = (
            np.stack([each.units, *(getattr(each.placements, n) for n in COUNTS if n != "unit")]) for each in (a, b)
        )
        if moved := int((x != y).any(axis=0).sum()):
            yield f"the placements of {moved:,} of {len(a):,} {task} cases"
    distance = _metrics_distance(recorded, cell)
    if distance > 1e-9:
        yield f"metrics, by up to {distance:.2g}"


def _metrics_distance(a: CellResult, b: CellResult) -> float:
    """The largest difference of a share, R@k or NDCG@k; infinite if one has a number that the other has not."""
    distance = 0.0
    for task in TASKS:
        for group in GROUPS:
            x, y = a.metrics[task][group], b.metrics[task][group]
            for ours, theirs in ((x.recall, y.recall), (x.ndcg, y.ndcg), (x.id_recall or {}, y.id_recall or {})):
                for k in {*ours, *theirs}:
                    p, q = ours.get(k), theirs.get(k)
                    gap = abs(p - q) if p is not None and q is not None else 0 if p is q else math.inf
                    distance = max(distance, gap)
    return distance


def _elsewhere(recorded: CellResult, cell: CellResult) -> Iterator[str]:
    """What determines bits beside the row, and differs here; libraries that the row does not use determine none."""
    a, b = recorded.environment, cell.environment
    for name, there, here in (
        ("device", a.device, b.device),
        ("graphics cards", str(a.gpus), str(b.gpus)),
        ("processor", _names(m.cpu for m in a.machines), _names(m.cpu for m in b.machines)),
        ("Python", _names(m.python for m in a.machines), _names(m.python for m in b.machines)),
    ):
        if there != here:
            yield f"{name} ({there}; here {here})"
    for name, here in sorted(b.libraries.items()):
        if (there := a.libraries.get(name, "none")) != here:
            yield f"{name} ({there}; here {here})"
    codes = [{each.name: (each.version, each.code_sha256) for each in of.distributions} for of in (recorded, cell)]
    for name in sorted({*codes[0], *codes[1]}):
        if codes[0].get(name) != codes[1].get(name):
            yield f"code of {name}"


def _names(names: Iterator[str]) -> str:
    return " and ".join(sorted(set(names)))
