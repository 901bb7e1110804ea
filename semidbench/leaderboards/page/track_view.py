"""What the page shows of one track, as plain values for its template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from semidbench.errors import one_line
from semidbench.leaderboards.board import Column, Leaderboard, Row, row_label
from semidbench.leaderboards.caption import caption, mixed_warning, provisional_warning
from semidbench.leaderboards.claims.compare import paper_grids, paper_notes
from semidbench.leaderboards.claims.judge import Ledger, comparable, counts
from semidbench.leaderboards.claims.ledger import claims_grid, ledger_caption, statements_grid
from semidbench.leaderboards.grids import DASH, TASK_NAMES, Cell, Grid, full_grid, main_grid
from semidbench.leaderboards.page.id_tables import id_grid
from semidbench.leaderboards.page.origin import Origin, origins
from semidbench.leaderboards.page.pairs import listed_pairs, packed_pairs, superscripts_grid, wins_grid
from semidbench.leaderboards.page.tradeoff import Plot, tradeoff
from semidbench.published import paper


@dataclass(frozen=True, slots=True)
class Number:
    """One cell of the main table.

    Attributes:
        mean, std: as printed; std is empty where there is none.
        sort: the mean to six digits, empty where there is none.
        share: of the best scheme's mean, in percent: how long the bar is; 0 for references, which have none.
        above: how many rows it is above, where that holds.
    """

    mean: str
    std: str
    sort: str
    share: int
    best: bool
    second: bool
    above: int


@dataclass(frozen=True, slots=True)
class RowView:
    """One row of the main table; `label` is its number, or R1, R2, ... for a reference."""

    label: str
    name: str
    numbers: tuple[Number, ...]


@dataclass(frozen=True, slots=True)
class TrackView:
    """One track's part of the page.

    Attributes:
        units: what the tests of each column are about, such as `10 items`; empty where nothing is tested.
        beside: the paper's tables where their numbers compare with ours.
    """

    id: str
    about: str
    badge: str
    warnings: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    tasks: tuple[tuple[str, int], ...]
    columns: tuple[Column, ...]
    units: tuple[str, ...]
    lines: tuple[RowView, ...]
    references: tuple[RowView, ...]
    caption: tuple[str, ...]
    pairs: dict[str, Any]
    wins: Grid
    superscripts: Grid
    listed: tuple[Grid, ...]
    plot: Plot
    claims: Grid
    claims_caption: tuple[str, ...]
    statements: Grid
    full: tuple[Grid, ...]
    ids: Grid
    origins: tuple[Origin, ...]
    beside: tuple[tuple[Grid, tuple[str, ...]], ...]


def track_view(ledger: Ledger) -> TrackView:
    """Everything about one track."""
    board = ledger.board
    track = board.track
    return TrackView(
        id=track.name,
        about=one_line(track.about),
        badge=f"version {track.version} · {board.split} split",
        warnings=(*provisional_warning(board), *mixed_warning(board)),
        facts=_facts(ledger),
        tasks=tuple(
            (f"{name} R@{track.evaluation.primary}", sum(column.task == task for column in board.columns))
            for task, name in TASK_NAMES.items()
        ),
        columns=board.columns,
        units=tuple(_units(column) for column in board.columns),
        lines=_lines(board),
        references=_references(board),
        caption=tuple(caption(board)),
        pairs=packed_pairs(board),
        wins=wins_grid(board),
        superscripts=superscripts_grid(board),
        listed=listed_pairs(board),
        plot=tradeoff(board),
        claims=_verdict_second(claims_grid(ledger)),
        claims_caption=tuple(ledger_caption(ledger)),
        statements=statements_grid(ledger),
        full=tuple(full_grid(board, task) for task in TASK_NAMES),
        ids=id_grid(board),
        origins=origins(board),
        beside=paper_tables(board) if comparable(board) else (),
    )


def paper_tables(board: Leaderboard) -> tuple[tuple[Grid, tuple[str, ...]], ...]:
    """The paper's tables with their notes: beside our numbers where they compare, else as printed."""
    tables = zip(paper_grids(board), paper().tables, strict=True)
    return tuple((grid, tuple(paper_notes(board, table))) for grid, table in tables)


def _facts(ledger: Ledger) -> tuple[tuple[str, str], ...]:
    board, data = ledger.board, ledger.board.dataset
    seeds = sorted({len(row.seeds) for row in (*board.rows, *board.references)})
    directions = sum(one.verdict == "holds" and one.claim.kind == "ratio" for one in ledger.judgements)
    found = {verdict: str(n) for verdict, n in counts(ledger.judgements).items() if n}
    if directions:
        found["holds"] += f" ({directions} in direction only)"
    verdicts = ", ".join(f"{verdict}: {n}" for verdict, n in found.items())
    return (
        ("Rows", f"{len(board.rows)} schemes, {len(board.references)} references"),
        ("Seeds", " or ".join(map(str, seeds))),
        ("Data", f"{data.items:,} items, {data.users:,} users, {data.train_interactions:,} training interactions"),
        ("The paper's claims", verdicts),
    )


def _units(column: Column) -> str:
    if not column.tests.m:
        return ""
    one = "item" if column.task == "search" else "user"
    return f"{column.tests.n:,} {one}{'s' * (column.tests.n != 1)}"


def _lines(board: Leaderboard) -> tuple[RowView, ...]:
    above = [column.verdicts.holds.sum(axis=1).tolist() for column in board.columns]
    cells = main_grid(board).rows
    highest = _highest(board)
    return tuple(
        RowView(row_label(row, i), row.name, _numbers(board, row, cells[i][2:], highest, [of[i] for of in above]))
        for i, row in enumerate(board.rows)
    )


def _references(board: Leaderboard) -> tuple[RowView, ...]:
    cells = main_grid(board).references
    none = [0] * len(board.columns)
    return tuple(
        RowView(row_label(row, i), row.name, _numbers(board, row, cells[i][2:], none, none))
        for i, row in enumerate(board.references)
    )


def _numbers(
    board: Leaderboard, row: Row, cells: tuple[Cell, ...], highest: Sequence[float], above: list[int]
) -> tuple[Number, ...]:
    return tuple(
        _number(row.mean(column.key), most, cell, n)
        for column, cell, most, n in zip(board.columns, cells, highest, above, strict=True)
    )


def _number(mean: float | None, highest: float, cell: Cell, above: int) -> Number:
    text, _, std = cell.text.partition(" ± ")
    share = round(100 * mean / highest) if mean is not None and highest else 0
    sort = "" if mean is None else f"{mean:.6g}"
    return Number(text, "" if std == DASH else std, sort, share, cell.best, cell.second, above)


def _highest(board: Leaderboard) -> list[float]:
    """The schemes' highest mean of each column."""
    return [max((row.mean(column.key) or 0.0 for row in board.rows), default=0.0) for column in board.columns]


def _verdict_second(grid: Grid) -> Grid:
    """On a narrow screen the verdict should stand next to the claim."""
    order = [0, len(grid.headers) - 1, *range(1, len(grid.headers) - 1)]
    return Grid(
        grid.title, tuple(grid.headers[i] for i in order), tuple(tuple(row[i] for i in order) for row in grid.rows)
    )
