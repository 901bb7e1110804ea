"""What a ranker is asked, as files between two processes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from semidbench.api import Task

_QUERIES, _HISTORIES = "queries.json", "histories.npz"


def save_questions(task: Task, questions: Sequence[Any], folder: Path) -> None:
    """Write queries, or histories (int64 arrays), for a ranker."""
    if task == "search":
        (folder / _QUERIES).write_text(json.dumps(list(questions)), "utf-8")
        return
    lengths = np.array([len(history) for history in questions], np.int64)
    np.savez(folder / _HISTORIES, items=np.concatenate([np.empty(0, np.int64), *questions]), lengths=lengths)


def load_questions(task: Task, folder: Path) -> list[Any]:
    """What `save_questions` wrote; the arrays are read-only."""
    if task == "search":
        queries: list[str] = json.loads((folder / _QUERIES).read_text("utf-8"))
        return queries
    with np.load(folder / _HISTORIES, allow_pickle=False) as file:
        items, lengths = file["items"], file["lengths"]
    items.setflags(write=False)
    return np.split(items, np.cumsum(lengths)[:-1])
