"""A result in a folder of results, and what it is compared by."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semidbench.api import TASKS, Task
from semidbench.results.cases import COUNTS, Cases
from semidbench.results.cell_result import CellResult
from semidbench.results.files import read_cases, read_cell


@dataclass(frozen=True, slots=True, eq=False)
class FiledResult:
    """A result and its path.

    Attributes:
        path: of its JSON.
        cell: the content of the JSON.
        case_hashes: per task `cases_hash` of its test cases, the same for all results that are compared.
        placements_hash: `placements_hash` of its test cases. Two results have the same only if a run gives both the
            same lists.
    """

    path: Path
    cell: CellResult
    case_hashes: Mapping[Task, str]
    placements_hash: str


def read_result(path: Path) -> tuple[FiledResult, Mapping[Task, Cases]]:
    """A result and its test cases. Its metrics are computed again from these.

    Raises:
        UserError: a file is missing, damaged or changed, or the metrics do not follow from the cases.
    """
    cell = read_cell(path)
    cases = read_cases(path.parent, cell)
    hashes = {task: cases_hash(cases[task].units, cases[task].head) for task in TASKS}
    return FiledResult(path, cell, hashes, placements_hash(cases)), cases


def cases_hash(units: NDArray[np.integer], head: NDArray[np.bool_]) -> str:
    """A hash of test cases, not of where a row placed them: units and groups, (Q,) each, in order."""
    return hashlib.sha256(units.astype("<i4").tobytes() + head.astype("u1").tobytes()).hexdigest()


def placements_hash(cases: Mapping[Task, Cases]) -> str:
    """A hash of where a row placed its test cases.

    `placements_sha256` is not enough: a Parquet with other compression, or with two queries of one item swapped, has
    other bytes and the same content.
    """
    digest = hashlib.sha256()
    for task in TASKS:
        of = cases[task]
        columns = np.stack([of.units if name == "unit" else getattr(of.placements, name) for name in COUNTS])
        digest.update(columns[:, np.lexsort(columns)].astype("<i4").tobytes())
    return digest.hexdigest()


def paired_files(folder: Path) -> tuple[list[Path], list[str]]:
    """The JSON files in a results folder, sorted, and a line for each entry that is no JSON and no JSON's Parquet."""
    entries = sorted(folder.iterdir())
    regular = [path for path in entries if path.is_file() and not path.is_symlink()]
    results = [path for path in regular if path.suffix == ".json"]
    expected = {*results, *(path.with_suffix(".parquet") for path in results)}
    strays = [path for path in entries if path not in expected or path not in regular]
    return results, [f"{path} is not one of a result's two files. Delete it" for path in strays]
