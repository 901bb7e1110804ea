"""Wall clock of whole cells: one of ml-small with its encodings cached, and demo's Table 2 from an empty cache.

    python -m benchmarks.cells --data FOLDER
    python -m benchmarks.cells --what table --jobs 1 2

Each is `semidbench run` in a process of its own, with a cache and a results folder of its own.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median

from tabulate import tabulate

from benchmarks.measure import machine, medians

SEMIDBENCH = str(Path(sysconfig.get_path("scripts")) / "semidbench")


def run(arguments: list[str], cache: Path, out: Path) -> float:
    """Seconds of one `semidbench run`; its own output goes to stderr."""
    command = [SEMIDBENCH, "run", *arguments, "--cache", str(cache), "--out", str(out)]
    print(" ".join(command), file=sys.stderr)
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=sys.stderr)
    return time.perf_counter() - started


def one_cell(
    track: list[str], warm: str, scheme: str, repetitions: int, folder: Path
) -> tuple[float, dict[str, float]]:
    """Median seconds of a run of one scheme and seed, and its stages' by the last result file.

    Another scheme's run goes before it, untimed: that fills the cache with the references and the encodings. Every
    repetition starts from a copy of that cache.
    """
    run([*track, "--scheme", warm, "--seeds", "1"], folder / "warm", folder / "warm-out")
    seconds = []
    for repetition in range(repetitions):
        cache, out = folder / f"cache-{repetition}", folder / f"out-{repetition}"
        shutil.copytree(folder / "warm", cache)
        seconds.append(run([*track, "--scheme", scheme, "--seeds", "1"], cache, out))
        results = [json.loads(path.read_text("utf-8")) for path in out.rglob("results/*.json")]
        stages: dict[str, float] = next(result["timings"] for result in results if result["name"] == scheme)
    return median(seconds), stages


def whole_table(arguments: list[str], jobs: list[int], repetitions: int, folder: Path) -> dict[str, float]:
    """Median seconds for each number of cells side by side, in turn, each from an empty cache; without numbers,
    semidbench's own choice."""
    choices = {f"--jobs {number}": ["--jobs", str(number)] for number in jobs} or {"its own --jobs": []}

    def seconds(name: str) -> float:
        with tempfile.TemporaryDirectory(dir=folder) as own:
            return run([*arguments, *choices[name]], Path(own) / "cache", Path(own) / "out")

    folder.mkdir(exist_ok=True)
    return medians({name: partial(seconds, name) for name in choices}, repetitions)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cells", description=__doc__.splitlines()[0])
    parser.add_argument("--what", nargs="+", choices=("cell", "table"), default=("cell", "table"))
    parser.add_argument("--data", type=Path, help="the cell's: folder with ml-latest-small and descriptions")
    parser.add_argument("--track", default="ml-small", help="the cell's; default: %(default)s")
    parser.add_argument("--warm", default="content/rq-kmeans/shared", help="goes before it; default: %(default)s")
    parser.add_argument("--scheme", default="multi-task/rq-kmeans/shared", help="the cell's; default: %(default)s")
    parser.add_argument("--table-track", default="demo", help="the table's; default: %(default)s")
    parser.add_argument("--seeds", type=int, default=3, help="the table's; default: %(default)s")
    parser.add_argument("--jobs", nargs="+", type=int, default=[], help="the table's; default: semidbench's choice")
    parser.add_argument("--repetitions", type=int, default=1, help="minutes each; default: %(default)s")
    options = parser.parse_args()
    if "cell" in options.what and options.track == "ml-small" and options.data is None:
        parser.error("the ml-small cell needs --data FOLDER (docs/how-to/data.md); --what table leaves it out")
    return options


def main() -> None:
    """Print a row for each."""
    options = _options()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        if "cell" in options.what:
            track = ["--track", options.track, *(["--data", str(options.data)] if options.data else [])]
            cell = Path(folder) / "cell"
            took, stages = one_cell(track, options.warm, options.scheme, options.repetitions, cell)
            parts = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in stages.items())
            rows.append((f"{options.track}, {options.scheme}, 1 seed, references cached", f"{took:.0f}", parts))
        if "table" in options.what:
            arguments = ["--track", options.table_track, "--table", "2", "--seeds", str(options.seeds)]
            tables = whole_table(arguments, options.jobs, options.repetitions, Path(folder) / "table")
            what = f"{options.table_track}, Table 2, {options.seeds} seeds, empty cache"
            rows += [(f"{what}, {name}", f"{seconds:.0f}", "") for name, seconds in tables.items()]
    print(tabulate(rows, ("what", "seconds", "its stages"), tablefmt="pipe", disable_numparse=True))
    print(f"\nMedians of {options.repetitions}. {machine()}.")


if __name__ == "__main__":
    main()
