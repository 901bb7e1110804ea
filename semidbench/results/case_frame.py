"""A cell's test cases as a pandas table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from semidbench.api import TASKS, Task
from semidbench.results.cases import COUNTS, Cases

if TYPE_CHECKING:
    import pandas as pd


def to_pandas(cases: Mapping[Task, Cases]) -> pd.DataFrame:
    """Both tasks' cases as one table, a line per query: `task`, the columns of `COUNTS`, and `head`.

    `semidbench.results.files.read_cases` reads those of a result.
    """
    import pandas as pd

    return pd.concat([_of_task(task, cases[task]) for task in TASKS], ignore_index=True)


def _of_task(task: Task, cases: Cases) -> pd.DataFrame:
    import pandas as pd

    counts = {name: cases.units if name == "unit" else getattr(cases.placements, name) for name in COUNTS}
    return pd.DataFrame({"task": task, **counts, "head": cases.head})
