"""Result files to a leaderboard: rows, reference rows, the six columns, their tests and verdicts."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semidbench.api import TASKS, Task
from semidbench.errors import UserError
from semidbench.leaderboards.column_scores import column_scores
from semidbench.leaderboards.significance import ColumnTests, RowScores, paired_tests
from semidbench.leaderboards.verdicts.column import ColumnVerdicts, column_verdicts
from semidbench.leaderboards.verdicts.crossed_test import MIN_SEEDS
from semidbench.methods.scheme import parse_method, parse_scheme
from semidbench.published import published_order
from semidbench.results.cell_result import CellResult, DatasetStamp, RowKind, protocol_sha256
from semidbench.results.files import read_cells
from semidbench.results.metrics import GROUPS, Group
from semidbench.tracks.files import load_track
from semidbench.tracks.track import Track

Key = tuple[Task, Group, str]  # a metric of a task over a group, e.g. ("rec", "torso", "R@30")
RESULTS = "results"  # the folder in a track's folder that all else is made from


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """A scheme or ranker over its seeds.

    Attributes:
        number: 1..n for a scheme, as superscripts name it; None for a ranker.
        name: canonical name.
        kind: "scheme" or "ranker".
        seeds: S seeds, rising.
        values: per metric one value per seed; None where the group has no case, or rankers have no such metric.
        means: over the seeds that have a value.
        stds: the same, with ddof 1; None for fewer than two.
        cells: the results behind them, one per seed.
    """

    number: int | None
    name: str
    kind: RowKind
    seeds: tuple[int, ...]
    values: Mapping[Key, tuple[float | None, ...]]
    means: Mapping[Key, float | None]
    stds: Mapping[Key, float | None]
    cells: tuple[CellResult, ...]

    def mean(self, key: Key) -> float | None:
        """Mean over the seeds."""
        return self.means.get(key)

    def std(self, key: Key) -> float | None:
        """Standard deviation over the seeds with ddof 1; None for fewer than two."""
        return self.stds.get(key)


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One column of the main table, and what tests say on its numbered rows.

    Attributes:
        n_cases: test cases.
        scores: what the tests are made from, one entry per numbered row.
        tests: the paper's, which superscripts show.
        verdicts: which differences hold.
    """

    task: Task
    group: Group
    metric: str
    n_cases: int
    scores: tuple[RowScores, ...]
    tests: ColumnTests
    verdicts: ColumnVerdicts

    @property
    def key(self) -> Key:
        return self.task, self.group, self.metric


@dataclass(frozen=True, slots=True, eq=False)
class Leaderboard:
    """All that the tables show; see semidbench.leaderboards.tables for the renderers.

    Attributes:
        track: the protocol.
        split: "test" or "development".
        dataset: its hash, counts and ceilings.
        rows: the numbered generative rows.
        references: the rankers, outside the tests.
        columns: the primary metric for each task and group.
        left_out: schemes with results that were not asked for, and so in no row and no test.
        mixed: what the cells used more than one state of: distributions' code, libraries, processors, devices.
    """

    track: Track
    split: str
    dataset: DatasetStamp
    rows: tuple[Row, ...]
    references: tuple[Row, ...]
    columns: tuple[Column, ...]
    left_out: tuple[str, ...]
    mixed: tuple[str, ...]

    @property
    def provisional(self) -> bool:
        """Whether some row has too few seeds for a verdict."""
        return any(len(row.seeds) < MIN_SEEDS for row in self.rows)

    def column(self, task: Task, group: Group) -> Column:
        """The column of this task and group."""
        return next(column for column in self.columns if (column.task, column.group) == (task, group))


def results_folder(track: str, out: Path | str) -> Path:
    """Where the result files of a track stand."""
    return Path(out) / track / RESULTS


def no_results(folder: Path) -> str:
    """What to say of a kept leaderboard's folder of results that is empty."""
    return f"no results in {folder}: put some in with `semidbench submit`, or delete {folder.parent}"


def leaderboard(track: str | Track, out: Path | str, rows: Collection[str] | None = None) -> Leaderboard:
    """The leaderboard of the results under `out`/<track name>/results.

    Args:
        track: a built-in track's name, or a track.
        out: where `semidbench run` wrote.
        rows: show and test these schemes only (names as `str(Scheme)` writes them); None means all.

    Raises:
        UserError: no results, damaged ones, ones of another track version, or rows that cannot be compared.
    """
    track = load_track(track) if isinstance(track, str) else track
    folder = results_folder(track.name, out)
    cells = read_cells(folder)
    if not cells:
        raise UserError(f"no results in {folder}: `semidbench run --track {track.name} --out {out}` makes some")
    check_track(cells[0], track, folder)
    by_row: dict[tuple[RowKind, str], list[CellResult]] = {}
    for cell in cells:
        by_row.setdefault((cell.kind, cell.name), []).append(cell)
    for (_, name), row_cells in by_row.items():
        check_options(name, row_cells, folder)
    order = list(dict.fromkeys([*(str(parse_scheme(name)) for name in track.plan.rows), *published_order()]))
    found = _ordered((name for kind, name in by_row if kind == "scheme"), order)
    schemes = found if rows is None else [name for name in found if name in rows]
    if rows is not None and not schemes:
        raise UserError(f"{folder} holds no results of the rows asked for: {', '.join(rows)}. Run them first")
    references = [str(parse_method(name, name)) for name in track.plan.references]
    rankers = _ordered((name for kind, name in by_row if kind == "ranker"), references)
    return Leaderboard(
        track=track,
        split=cells[0].split,
        dataset=cells[0].dataset,
        rows=tuple(_row(number, by_row["scheme", name]) for number, name in enumerate(schemes, 1)),
        references=tuple(_row(None, by_row["ranker", name]) for name in rankers),
        columns=tuple(_columns(track, schemes, cells, folder)),
        left_out=tuple(name for name in found if name not in schemes),
        mixed=_mixed(cells),
    )


def check_track(cell: CellResult, track: Track, folder: Path) -> None:
    """Refuse results of another track, version or protocol. `read_cells` saw to it that all cells agree with this one.

    Raises:
        UserError: they differ.
    """
    found, wanted = f"{cell.track.name} version {cell.track.version}", f"{track.name} version {track.version}"
    if found != wanted:
        raise UserError(
            f"{folder} holds results of {found}, and the track is now {wanted}. Tables never mix versions. "
            "Move that folder away, or name another with --out"
        )
    if cell.track.protocol_sha256 != protocol_sha256(track):
        raise UserError(
            f"{folder} holds results of {found} with other protocol numbers than the track has now. "
            "Move that folder away, name another with --out, or raise the track's version"
        )


def check_options(name: str, cells: Sequence[CellResult], folder: Path) -> None:
    """Refuse seeds of one row that ran with different options.

    Raises:
        UserError: two of them differ.
    """
    for cell in cells[1:]:
        if cell.options != cells[0].options:
            raise UserError(
                f"{folder}: seeds {cells[0].seed} and {cell.seed} of {name!r} ran with different options "
                f"({cells[0].options} and {cell.options}). Delete the results of one and run it again"
            )


def _ordered(names: Iterable[str], first: Sequence[str]) -> list[str]:
    """Those of `first` in its order, then the others by name."""
    return sorted(names, key=lambda name: (first.index(name) if name in first else len(first), name))


def _row(number: int | None, cells: Sequence[CellResult]) -> Row:
    keyed = [_by_key(cell) for cell in cells]
    values = {key: tuple(by_key.get(key) for by_key in keyed) for key in keyed[0]}
    known = {key: [value for value in by_seed if value is not None] for key, by_seed in values.items()}
    return Row(
        number=number,
        name=cells[0].name,
        kind=cells[0].kind,
        seeds=tuple(cell.seed for cell in cells),
        values=values,
        means={key: fsum(of) / len(of) if of else None for key, of in known.items()},
        stds={key: statistics.stdev(of) if len(of) > 1 else None for key, of in known.items()},
        cells=tuple(cells),
    )


def _by_key(cell: CellResult) -> dict[Key, float | None]:
    found: dict[Key, float | None] = {}
    for task in TASKS:
        for group in GROUPS:
            metrics = cell.metrics[task][group]
            of_task = {f"R@{k}": value for k, value in sorted(metrics.recall.items())}
            of_task |= {f"NDCG@{k}": value for k, value in sorted(metrics.ndcg.items())}
            if metrics.id_recall is not None:
                of_task |= {f"ID R@{k}": value for k, value in sorted(metrics.id_recall.items())}
                of_task |= {"IDs per list": metrics.mean_ids}
            of_task |= {"items per list": metrics.mean_items, "cases": metrics.n_cases}
            found |= {(task, group, name): value for name, value in of_task.items()}
    return found


def _columns(track: Track, schemes: Sequence[str], cells: Sequence[CellResult], folder: Path) -> Iterable[Column]:
    rule = track.evaluation
    for scores in column_scores(track, schemes, cells, folder):
        tests = paired_tests(scores.rows, rule.alpha, rule.power)
        verdicts = column_verdicts(scores.rows, tests)
        metric = f"R@{rule.primary}"
        yield Column(scores.task, scores.group, metric, scores.n_cases, scores.rows, tests, verdicts)


def _mixed(cells: Iterable[CellResult]) -> tuple[str, ...]:
    states: dict[str, set[str]] = {}
    for cell in cells:
        environment = cell.environment
        named = [(f"the code of {each.name}", each.code_sha256) for each in cell.distributions]
        named += [(f"the library {name}", version) for name, version in environment.libraries.items()]
        named += [("the device", environment.device)]
        for machine in environment.machines:
            named += [("Python", machine.python), ("the processor", machine.cpu)]
        for name, state in named:
            states.setdefault(name, set()).add(state)
    return tuple(sorted(name for name, seen in states.items() if len(seen) > 1))


def reversed_in_all(board: Leaderboard, column: Column) -> NDArray[np.bool_]:
    """Bool (R, R), whether it holds in this column that row a is above row b, and in All that it is below."""
    every = board.column(column.task, "all")
    return column.verdicts.holds & every.verdicts.holds.T


def row_label(row: Row, index: int) -> str:
    """A scheme's number; R1, R2, ... for the references, which have none. `index` counts from 0 within its kind."""
    return f"R{index + 1}" if row.number is None else str(row.number)
