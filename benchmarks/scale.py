"""Tables from made-up placements: of few rows with the paper's queries, or of many rows with demo's.

    python -m benchmarks.scale                   # 20 schemes x 5 seeds of the paper's size: leaderboard, comparison
    python -m benchmarks.scale --what rows       # 200 schemes x 5 seeds of demo's size: all pages built, and checked
    python -m benchmarks.scale --keep FOLDER     # makes them once, measures them again next time

Each repetition is a process of its own, so that its seconds and its peak memory are those of the command.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from semidbench.api import TASKS, ItemIds, Task
from semidbench.ids.usage import id_use
from semidbench.leaderboards.board import results_folder
from semidbench.results.cases import Cases
from semidbench.results.cell_metrics import compute_metrics
from semidbench.results.cell_result import (
    CellResult,
    DatasetStamp,
    Environment,
    MachineStamp,
    TrackStamp,
    protocol_sha256,
)
from semidbench.results.files import write_cell
from semidbench.results.placements import Placements
from semidbench.tracks.files import load_track
from semidbench.tracks.track import Track

MARKER = "made-up-by-benchmarks-scale"  # in the results' folder
_ID_USE = dict.fromkeys(TASKS, id_use(ItemIds(np.zeros((1, 2), np.int64), ("a", "b"), (2, 2))))
_COMMAND = "from semidbench.cli import main; main()"


@dataclass(frozen=True, slots=True)
class Size:
    """How much is made."""

    schemes: int
    seeds: int
    items: int
    queries_per_item: int
    users: int

    @property
    def queries(self) -> int:
        return self.items * self.queries_per_item + self.users


@dataclass(frozen=True, slots=True)
class Work:
    """Results of a size, the track they are said to be of, and what is done with them; OUT stands for their folder."""

    track: str
    size: Size
    commands: dict[str, list[str]]


WORK = {
    "paper": Work(
        "paper",
        Size(schemes=20, seeds=5, items=62_138, queries_per_item=10, users=160_000),
        {
            "leaderboard": ["leaderboard", "show", "--track", "paper", "--format", "json", "--out", "OUT"],
            "compare with the paper": ["compare", "--track", "paper", "--format", "json", "--out", "OUT"],
        },
    ),
    "rows": Work(
        "demo",
        Size(schemes=200, seeds=5, items=973, queries_per_item=10, users=1_000),
        {
            "leaderboard build": ["leaderboard", "build", "--out", "OUT"],
            "leaderboard build --check": ["leaderboard", "build", "--check", "--out", "OUT"],
        },
    ),
}


def main() -> None:
    """Print the table."""
    wanted = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    wanted.add_argument("--what", choices=WORK, default="paper", help="which of the two; default: paper")
    for name in Size.__dataclass_fields__:
        wanted.add_argument(f"--{name.replace('_', '-')}", type=int, help="default: that of --what")
    wanted.add_argument("--repetitions", type=int, default=5)
    wanted.add_argument("--keep", type=Path, help="a folder for the results; a temporary one if not named")
    given = vars(wanted.parse_args())
    repetitions, keep, work = given.pop("repetitions"), given.pop("keep"), WORK[given.pop("what")]
    track, size = work.track, replace(work.size, **{name: n for name, n in given.items() if n is not None})
    with tempfile.TemporaryDirectory() as temporary:
        out = keep or Path(temporary)
        began = time.monotonic()
        mark(size, results_folder(track, out))
        made = make_results(track, size, out)
        if made:
            print(f"made {made} cells in {time.monotonic() - began:.0f} s", file=sys.stderr)
        mib = sum(path.stat().st_size for path in results_folder(track, out).iterdir()) / 2**20
        print(f"{size.schemes} schemes x {size.seeds} seeds x {size.queries:,} queries, {mib:.0f} MiB on disk\n")
        print("| command | seconds | CPU seconds | peak GiB |\n| --- | ---: | ---: | ---: |")
        for name, words in work.commands.items():
            arguments = [str(out) if word == "OUT" else word for word in words]
            runs = [measured(arguments) for _ in range(repetitions)]
            seconds, cpu, gib = (median(column) for column in zip(*runs, strict=True))
            print(f"| {name} | {seconds:.1f} | {cpu:.1f} | {gib:.2f} |")
        from benchmarks.measure import machine  # torch's memory would count as a child's, which begins as a copy

        print(f"\nMedians of {repetitions}. {machine()}.")


def mark(size: Size, folder: Path) -> None:
    """Leave a file that says what the folder's results are made up from.

    Raises:
        SystemExit: it says another size, or there are results that this script did not make.
    """
    marker, says = folder / MARKER, json.dumps({"version": 1} | asdict(size), indent=2) + "\n"
    if not folder.exists() or not any(folder.iterdir()):
        folder.mkdir(parents=True, exist_ok=True)
        marker.write_text(says, "utf-8")
    elif not marker.is_file() or marker.read_text("utf-8") != says:
        found = f"says another size than {size}" if marker.is_file() else "is not there: these are not made-up results"
        raise SystemExit(f"{marker} {found}. Take another folder with --keep, or delete {folder}")


def make_results(track: str, size: Size, out: Path) -> int:
    """Write the cells that are not there; how many."""
    folder = results_folder(track, out)
    wanted = size.schemes * size.seeds - len(list(folder.glob("*.json")))
    if wanted:
        cells = list(product(range(size.schemes), range(size.seeds)))
        with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
            list(pool.map(partial(_make_cell, load_track(track), size, folder), cells, chunksize=size.seeds))
    return wanted


def _make_cell(track: Track, size: Size, folder: Path, numbers: tuple[int, int]) -> None:
    """One cell; the schemes differ little in how often they find a target, as neighbours in a table do."""
    scheme, seed = numbers
    rng = np.random.default_rng([scheme, seed])
    targets = np.random.default_rng(0).integers(0, size.items, size.users)  # the same for every cell
    items = np.repeat(np.arange(size.items), size.queries_per_item)
    head = size.items // 100
    rate = 0.1 + 0.005 * scheme + 0.001 * rng.standard_normal()
    cases: dict[Task, Cases] = {
        "search": Cases(_placed(len(items), 2 * rate, rng), items.astype(np.int32), items < head),
        "rec": Cases(_placed(size.users, rate, rng), np.arange(size.users, dtype=np.int32), targets < head),
    }
    cell = CellResult(
        kind="scheme",
        track=TrackStamp(name=track.name, version=track.version, protocol_sha256=protocol_sha256(track)),
        split="test",
        name=f"{(*track.plan.rows, *(f'-/-/made-up-{i}' for i in range(size.schemes)))[scheme]}",
        dataset=_dataset(size),
        models={},
        options={},
        seed=seed,
        metrics=compute_metrics(cases, track.evaluation),
        ids=_ID_USE,
        id_table_sha256="0" * 64,
        rankings_sha256="0" * 64,
        distributions=(),
        environment=Environment(
            device="cpu",
            threads=1,
            machines=(MachineStamp(python="3", platform="made up", cpu="made up"),),
            libraries={},
        ),
        timings={},
        peak_memory_mib=0,
    )
    write_cell(folder, cell, cases)


def _placed(queries: int, rate: float, rng: np.random.Generator) -> Placements:
    """Lists of 20 to 40 IDs, 1.4 items each; a target that is found stands near the top."""
    found = rng.random(queries) < rate
    rank = np.where(found, np.minimum(rng.geometric(0.1, queries), 40), 0)
    n_ids = np.maximum(rank, rng.integers(20, 41, queries))
    columns: list[NDArray[np.int64]] = [
        np.where(found, rank + rng.binomial(rank, 0.4), 0),
        np.where(found, rng.geometric(0.7, queries), 0),
        rank,
        n_ids,
        n_ids + rng.binomial(n_ids, 0.4),
    ]
    return Placements(*(column.astype(np.int32) for column in columns))


def _dataset(size: Size) -> DatasetStamp:
    return DatasetStamp(
        sha256="0" * 64,
        items=size.items,
        users=size.users,
        train_interactions=7 * size.users,
        train_queries=size.items * size.queries_per_item,
        test_users=size.users,
        test_queries=size.items * size.queries_per_item,
        shared_query_share=0,
        query_recall_ceiling=1,
        load=1,
        seen_item_share=1,
    )


def measured(arguments: list[str]) -> tuple[float, float, float]:
    """Seconds, CPU seconds of all threads and peak GiB of a semidbench command in a process of its own."""
    began = time.monotonic()
    child = subprocess.Popen([sys.executable, "-c", _COMMAND, *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"semidbench {' '.join(arguments)} ended with {child.returncode}")
    return time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20


if __name__ == "__main__":
    main()
