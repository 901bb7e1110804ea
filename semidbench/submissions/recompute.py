"""Results against the cells themselves, run again: level three of `semidbench verify`."""

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
from semidbench.methods.resolved import Wanted
from semidbench.results.cases import COUNTS, Cases
from semidbench.results.cell_result import CellResult
from semidbench.results.files import cell_paths, read_cases, read_cell
from semidbench.results.metrics import GROUPS
from semidbench.runs.cell import Row, cell_label, run_cell
from semidbench.runs.reporter import Reporter
from semidbench.runs.shared.session import Session, open_session
from semidbench.store.stages import default_store
from semidbench.submissions.board_checks import Filed
from semidbench.tracks.track import Track

ROUNDING = 0.01  # of R@k over all cases: rounding on other machines swaps neighbours of nearly equal score
SEED_RANGES = 3  # how many times further than its seeds are from each other other machines may take a trained row


@dataclass(frozen=True, slots=True)
class Again:
    """What running a cell again showed.

    Attributes:
        path: of the result's JSON.
        differs: which parts of the result came out otherwise, and how far; empty if it is the same to the bit.
        elsewhere: what it was made with that is other here (processor, libraries, code); empty if nothing is.
        beyond: what no other place explains; empty if all can be explained.
        failed: why it could not be run again; empty if it could.
    """

    path: Path
    differs: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    beyond: tuple[str, ...] = ()
    failed: str = ""

    @property
    def is_problem(self) -> bool:
        """Whether nothing but an edit, or a cell that does not repeat, explains what is other."""
        return bool(self.beyond) or (bool(self.differs) and not self.elsewhere)

    @property
    def is_undecided(self) -> bool:
        """Whether it did not run, or an edit cannot be told from another place."""
        return not self.is_problem and bool(self.failed or self.differs)

    def __str__(self) -> str:
        """One line."""
        if self.failed:
            return f"{self.path}: undecided, for it cannot be run again here: {self.failed}"
        if not (self.differs or self.beyond):
            return f"{self.path}: the same when run again"
        said = f"run again, it differs in {'; '.join([*self.differs, *self.beyond])}"
        other = f"it was made with other {'; '.join(self.elsewhere)}"
        if not self.is_problem:
            return f"{self.path}: undecided: {said}; {other}. Run it where these are the same to tell"
        if self.elsewhere:
            return f"{self.path}: {said}. Refuse it: that {other} does not explain so much"
        return f"{self.path}: {said}. It was made with what is here, so it was edited or does not repeat: refuse it"


def recompute(
    filed: Sequence[Filed],
    board: Sequence[Filed],
    track: Track,
    data: Path | None,
    cache: Path | None,
    device: str,
    reporter: Reporter,
) -> Iterator[Again]:
    """Run cells again, one by one; finished stages come from the cache where code, data and libraries are the same.

    A cell whose plugin is missing or fails costs that cell alone.

    Args:
        filed: the cells to run.
        board: all results of the leaderboard, from which is seen how far the seeds of a row are from each other.

    Raises:
        UserError: the data is missing.
    """
    rows: dict[Wanted, Row | UserError] = {}
    with held_threads(track.threads):
        reporter.stage("prepare the data")
        session = open_session(track, "test", data, cache or default_store(), pick_device(device))
        reporter.plan(len(filed))
        for one in filed:
            wanted = _wanted(one)
            if wanted not in rows:
                rows[wanted] = _row(track, wanted)
            seeds = [each.cell for each in board if _wanted(each) == wanted]
            yield _again(session, rows[wanted], one, seeds, reporter)


def _wanted(one: Filed) -> Wanted:
    return Wanted(one.cell.kind, one.cell.name)


def _row(track: Track, wanted: Wanted) -> Row | UserError:
    """The row, or why there is none here."""
    try:
        return resolved(resolve_isolated(track, [wanted]))[0]
    except UserError as error:
        return error


def _again(
    session: Session, row: Row | UserError, one: Filed, seeds: Sequence[CellResult], reporter: Reporter
) -> Again:
    work = reporter.begin(cell_label(one.cell.name, one.cell.seed))
    if isinstance(row, UserError):
        work.failed(str(row))
        return Again(one.path, failed=str(row))
    with tempfile.TemporaryDirectory(prefix="semidbench-") as scratch:
        folder = Path(scratch)
        if failure := run_cell(session, row, one.cell.seed, folder, work, {}):
            work.failed(failure.message)
            return Again(one.path, failed=f"{failure.stage}: {failure.message}")
        found = read_cell(cell_paths(folder, one.cell)[0])
        cases = read_cases(folder, found)
    return Again(
        one.path,
        differs=tuple(_differences(one.cell, read_cases(one.path.parent, one.cell), found, cases)),
        elsewhere=tuple(_elsewhere(one.cell, found)),
        beyond=(*_strange_libraries(one.cell, found), *_too_far(one.cell, found, seeds, session.track)),
    )


def _strange_libraries(said: CellResult, found: CellResult) -> Iterator[str]:
    """Libraries that neither the harness nor the row's plugins have any use for, in these versions."""
    mine, here = ({(each.name, each.version) for each in cell.distributions} for cell in (said, found))
    if mine != here:
        return
    needed = set[str]().union(*(required(name) for name, _ in here))
    if strange := sorted({*said.environment.libraries} - {*found.environment.libraries} - needed):
        yield f"libraries that its row does not use ({', '.join(strange)})"


def _too_far(said: CellResult, found: CellResult, seeds: Sequence[CellResult], track: Track) -> Iterator[str]:
    """Where the row is further from what it says than rounding, or a training of its own, can take it."""
    k = track.evaluation.primary
    if len(seeds) < 2:
        return
    for task in TASKS:
        mine, here, *row = (cell.metrics[task]["all"].recall.get(k) or 0.0 for cell in (said, found, *seeds))
        apart = max(row) - min(row)
        if abs(mine - here) > max(ROUNDING, SEED_RANGES * apart):
            yield f"{task} R@{k}, {mine:.3f} and here {here:.3f}, where the row's seeds are {apart:.2g} apart"


def _differences(
    said: CellResult, said_cases: Mapping[Task, Cases], found: CellResult, found_cases: Mapping[Task, Cases]
) -> Iterator[str]:
    for name in ("options", "models", "dataset", "ids", "id_table_sha256", "rankings_sha256"):
        mine, here = (cell.model_dump_json(include={name}) for cell in (said, found))  # == takes 5.0 for 5
        if mine != here:
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
    """What determines bits beside the row, and is other here; libraries that the row does not use determine none."""
    a, b = said.environment, found.environment
    for name, mine, here in (
        ("device", a.device, b.device),
        ("graphics cards", str(a.gpus), str(b.gpus)),
        ("processor", _of_all(m.cpu for m in a.machines), _of_all(m.cpu for m in b.machines)),
        ("Python", _of_all(m.python for m in a.machines), _of_all(m.python for m in b.machines)),
    ):
        if mine != here:
            yield f"{name} ({mine}; here {here})"
    for name, here in sorted(b.libraries.items()):
        if (mine := a.libraries.get(name, "none")) != here:
            yield f"{name} ({mine}; here {here})"
    codes = [{each.name: (each.version, each.code_sha256) for each in cell.distributions} for cell in (said, found)]
    for name in sorted({*codes[0], *codes[1]}):
        if codes[0].get(name) != codes[1].get(name):
            yield f"code of {name}"


def _of_all(names: Iterator[str]) -> str:
    return " and ".join(sorted(set(names)))
