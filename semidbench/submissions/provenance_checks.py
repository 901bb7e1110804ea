"""What a result records about how it was made: the parts that a run always records, and values that it can record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from semidbench.results.cell_result import CellResult, RowKind

CORE = "semidbench"
ALWAYS = "numpy"  # of the libraries: what placements are made with
STAGES: dict[RowKind, frozenset[str]] = {
    "scheme": frozenset({"embedder", "layout", "generator", "decoder"}),
    "ranker": frozenset({"ranker"}),
}
DEVICES = ("cpu", "cuda")
MOST_GPUS = 1024


def provenance_problems(cell: CellResult) -> Iterator[str]:
    """What is missing from a result's record of how it was made, or cannot be; a sentence each."""
    names = Counter(distribution.name for distribution in cell.distributions)
    if CORE not in names or len(names) < 2:
        yield f"it records {_listed(names)} as its code; a run records {CORE} and the plugins of the row"
    if repeated := [name for name, count in names.items() if count > 1]:
        yield f"it records {_listed(repeated)} twice as its code"
    environment = cell.environment
    if not environment.machines:
        yield "it records no machine"
    if ALWAYS not in environment.libraries:
        yield f"its libraries lack {ALWAYS}"
    stages = STAGES[cell.kind]
    if set(cell.timings) != stages:
        yield f"its timings are of {_listed(cell.timings)}; the stages of a {cell.kind} are {_listed(stages)}"
    if cell.peak_memory_mib <= 0:
        yield "its peak memory is 0"
    if environment.device not in DEVICES:
        yield f"its device is {environment.device!r}; a run records {' or '.join(DEVICES)}"
    most = MOST_GPUS if cell.kind == "scheme" and environment.device != "cpu" else 1
    if environment.gpus > most:
        yield f"it records {environment.gpus} graphics cards; a {cell.kind} on {environment.device} has at most {most}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"
