"""Ledgers for tests of the page: the paper's rows on made-up cases, hostile text, and two hundred rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from semidbench.api import TASKS, ItemIds, Task
from semidbench.ids.usage import IdUse, id_use
from semidbench.leaderboards.board import Row, leaderboard
from semidbench.leaderboards.claims.judge import Ledger, judge
from semidbench.leaderboards.significance import RowScores, paired_tests
from semidbench.leaderboards.verdicts.column import column_verdicts
from semidbench.results.cases import Cases
from semidbench.results.cell_metrics import compute_metrics
from semidbench.results.cell_result import (
    CellResult,
    Distribution,
    Environment,
    MachineStamp,
    TrackStamp,
    protocol_sha256,
)
from semidbench.results.files import write_cell
from semidbench.results.placements import Placements
from semidbench.tracks.files import load_track
from semidbench.tracks.track import Track
from tests.facts import FACTS

REFERENCES = ("popularity", "bm25", "dense", "dense-multi-task", "enmf")
HOSTILE_NAMES = (
    "x/y/<script>alert(1)</script>",
    "x/y/\"'><img src=x onerror=alert(2)>",
    "x/y/</title></style></script><!--",
    "x/y/**bold** [link](javascript:alert(3)) |a|b| {{ 7 * 7 }} {% raw %}",
    "x/y/\u202egnp.exe\u2066 a\u200bb \x1b[31m\x07 \udead",
    "\u05e9\u05dc\u05d5\u05dd/=cmd|' /C calc'!A0",
)
HOSTILE_TEXT = "<b onclick=alert(4)>9</b> &amp; \u202e</script><svg onload=alert(5)>"
N_CASES = 60


def cases_of(row: int, seed: int, skill: dict[Task, float], scheme: bool) -> dict[Task, Cases]:
    """Ranks that are the better the higher the skill, with seeds that differ a little."""
    rng = np.random.default_rng([row, seed])
    found: dict[Task, Cases] = {}
    for task in TASKS:
        ranks = np.where(rng.random(N_CASES) < skill[task], rng.integers(1, 31, N_CASES), 0).astype(np.int32)
        listed = np.full(N_CASES, 30 if scheme else 0, np.int32)
        placed = Placements(ranks, np.minimum(ranks, 1), ranks if scheme else 0 * ranks, listed, listed + 20)
        units = np.arange(N_CASES, dtype=np.int32) // (2 if task == "search" else 1)
        found[task] = Cases(placed, units, np.arange(N_CASES) % 4 == 0)
    return found


def ids_of(row: int, seed: int) -> dict[Task, IdUse]:
    """Of two levels; every third row has other IDs for recommendation."""
    codes = np.random.default_rng([row, seed]).integers(0, 6, (30, 3))
    search = id_use(ItemIds(codes[:, :2], ("a", "b"), (6, 6)))
    return {"search": search, "rec": id_use(ItemIds(codes, ("a", "c", "d"), (6, 8, 8))) if row % 3 == 2 else search}


def write_row(out: Path, track: Track, row: int, name: str, seeds: Sequence[int], **changes: Any) -> None:
    """The results of one row, whose skill follows from its number."""
    scheme = name not in REFERENCES
    skill: dict[Task, float] = {"search": 0.1 + 0.05 * (row * 7 % 17), "rec": 0.1 + 0.05 * (row * 5 % 13)}
    for seed in seeds:
        cases = cases_of(row, seed, skill, scheme)
        fields: dict[str, Any] = {
            "kind": "scheme" if scheme else "ranker",
            "track": TrackStamp(name=track.name, version=track.version, protocol_sha256=protocol_sha256(track)),
            "split": "test",
            "name": name,
            "dataset": FACTS,
            "models": {},
            "options": {"embedder": {"epochs": 10, "lr": 0.01}} if scheme else {"ranker": {}},
            "seed": seed,
            "metrics": compute_metrics(cases, track.evaluation),
            "ids": ids_of(row, seed) if scheme else None,
            "id_table_sha256": "1" * 64 if scheme else None,
            "rankings_sha256": "0" * 64,
            "distributions": (
                Distribution(name="semidbench", version="0.1.0", code_sha256="c" * 64),
                Distribution(name="semidbench-faiss", version="0.1.0", code_sha256="f" * 64),
            ),
            "environment": Environment(
                device="cpu",
                threads=1,
                machines=(MachineStamp(python="3.11.7", platform="Linux", cpu="AMD EPYC"),),
                libraries={"numpy": "2.4.6"},
            ),
            "timings": {},
            "peak_memory_mib": 1,
        }
        write_cell(out / track.name / "results", CellResult(**fields | changes), cases)


def ledger(out: Path, track: str, names: Sequence[str], seeds: int) -> Ledger:
    """The ledger of a built-in track with these rows and the reference rows; popularity has one seed."""
    loaded = load_track(track)
    for row, name in enumerate((*names, *REFERENCES)):
        write_row(out, loaded, row, name, range(1 if name == "popularity" else seeds))
    return judge(leaderboard(track, out))


def hostile(plain: Ledger) -> Ledger:
    """The same with text that means harm wherever results hold text, past all checks on reading them."""
    board = plain.board
    rows = tuple(_hostile_row(row, name) for row, name in zip(board.rows, cycle(HOSTILE_NAMES), strict=False))
    references = tuple(_hostile_row(row, f"{HOSTILE_NAMES[1]} {row.name}") for row in board.references)
    track = board.track.model_copy(update={"about": HOSTILE_TEXT})
    changed = replace(board, rows=rows, references=references, track=track, mixed=(HOSTILE_TEXT,))
    return replace(plain, board=changed)


def _hostile_row(row: Row, name: str) -> Row:
    distribution = row.cells[0].distributions[0].model_copy(update={"name": HOSTILE_TEXT, "version": HOSTILE_TEXT})
    machine = row.cells[0].environment.machines[0].model_copy(update={"cpu": HOSTILE_TEXT, "python": HOSTILE_TEXT})
    environment = row.cells[0].environment.model_copy(update={"machines": (machine,), "device": HOSTILE_TEXT})
    changes = {
        "name": name,
        "distributions": (distribution,),
        "environment": environment,
        "options": {HOSTILE_TEXT: {HOSTILE_TEXT: HOSTILE_TEXT, "deep": [HOSTILE_TEXT, None]}},
    }
    return replace(row, name=name, cells=tuple(cell.model_copy(update=changes) for cell in row.cells))


def many_rows(few: Ledger, n: int) -> Ledger:
    """A ledger of `n` schemes, which repeat those of a smaller one under other names, with tests of their own.

    Every third row is far ahead in its first seed of three, so that its lead is significant and does not always hold.
    """
    board = few.board
    rows = tuple(
        replace(row, number=i + 1, name=f"embedder-{i}[ratio={i}:1]/quantizer/layout")
        for i, row in zip(range(n), cycle(board.rows), strict=False)
    )
    rng = np.random.default_rng(0)
    scores = [
        RowScores(row.name, {seed: rng.random(40) + i / 25 + (seed == 0 and i % 3 == 0) for seed in range(3)})
        for i, row in enumerate(rows)
    ]
    tests = paired_tests(scores, board.track.evaluation.alpha, board.track.evaluation.power)
    verdicts = column_verdicts(scores, tests)
    columns = tuple(replace(column, scores=tuple(scores), tests=tests, verdicts=verdicts) for column in board.columns)
    return judge(replace(board, rows=rows, columns=columns))
