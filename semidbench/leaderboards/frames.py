"""A leaderboard as pandas tables, to go on with elsewhere. The CSV is written from one of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from semidbench.leaderboards.board import Column, Leaderboard

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """The numbers of a leaderboard.

    Attributes:
        metrics: a line per row, task, group and metric: `number` (none for references), `row`, `kind`, `task`, `group`,
            `metric`, `mean`, `std` (over seeds, ddof 1) and `n_seeds`.
        seeds: the same by seed: `row`, `kind`, `task`, `group`, `metric`, `seed`, `value`.
        pairs: a line per column and pair of schemes: `task`, `group`, `metric`; `better` and `worse` (names) and
            `difference` (their means'); `verdict` with `standard_error`, `df`, `p` (uncorrected), `holm_p`, `bh_p`, the
            interval from `low` to `high`, and `equivalent`; `paper_p` and `paper_corrected_p` of the paper's test; and
            `seeds_ahead` of `common_seeds`.
    """

    metrics: pd.DataFrame
    seeds: pd.DataFrame
    pairs: pd.DataFrame


def to_pandas(board: Leaderboard) -> Frames:
    """The numbers of a leaderboard as pandas tables, at full precision."""
    import pandas as pd

    pairs = [pairs_frame(board, column) for column in board.columns]
    return Frames(metrics_frame(board), _seeds_frame(board), pd.concat(pairs, ignore_index=True))


def metrics_frame(board: Leaderboard) -> pd.DataFrame:
    """`Frames.metrics`."""
    import pandas as pd

    lines = [
        (row.number, row.name, row.kind, *key, row.mean(key), row.std(key), len(row.seeds))
        for row in (*board.rows, *board.references)
        for key in row.values
    ]
    names = ["number", "row", "kind", "task", "group", "metric", "mean", "std", "n_seeds"]
    return pd.DataFrame(lines, columns=names).astype({"number": "Int64", "mean": float, "std": float})


def _seeds_frame(board: Leaderboard) -> pd.DataFrame:
    import pandas as pd

    lines = [
        (row.name, row.kind, *key, seed, value)
        for row in (*board.rows, *board.references)
        for key, values in row.values.items()
        for seed, value in zip(row.seeds, values, strict=True)
    ]
    names = ["row", "kind", "task", "group", "metric", "seed", "value"]
    return pd.DataFrame(lines, columns=names).astype({"value": float})


def pairs_frame(board: Leaderboard, column: Column) -> pd.DataFrame:
    """`Frames.pairs` of one column, the better row of each pair first."""
    import pandas as pd

    tests, verdicts = column.tests, column.verdicts
    better, worse = at = tests.ordered_pairs()
    names = np.array([row.name for row in board.rows], object)
    difference, half = verdicts.difference[at], verdicts.margin_of_error[at]
    margin = board.track.equivalence.margin if board.track.equivalence else 0.0
    return pd.DataFrame(
        {
            "task": column.task,
            "group": column.group,
            "metric": column.metric,
            "better": names[better],
            "worse": names[worse],
            "difference": difference,
            "verdict": [verdicts.verdict(a, b) for a, b in zip(better.tolist(), worse.tolist(), strict=True)],
            "standard_error": verdicts.tests.standard_error[at],
            "df": verdicts.tests.df[at],
            "p": verdicts.p[at],
            "holm_p": verdicts.holm[at],
            "bh_p": verdicts.fdr[at],
            "low": difference - half,
            "high": difference + half,
            "equivalent": verdicts.equivalent(margin)[at],
            "paper_p": tests.uncorrected_p[at],
            "paper_corrected_p": tests.p[at],
            "seeds_ahead": tests.seeds_ahead[at],
            "common_seeds": tests.n_seeds[at],
        }
    )
