"""An A/A run as a table, with intervals, for Markdown, JSON and the terminal."""

from __future__ import annotations

import json
from typing import Any

from semidbench.leaderboards.false_alarms.measure import ColumnAlarms, FalseAlarms
from semidbench.leaderboards.grids import TASK_NAMES, Cell, Grid
from semidbench.leaderboards.markdown import md_table, md_text

SCHEMA = 2


def interval(alarms: int, repeats: int) -> tuple[float, float]:
    """Wilson's 95% interval of a rate (scipy.stats.binomtest), as if the repeats were independent."""
    from scipy import stats

    found = stats.binomtest(alarms, repeats).proportion_ci(confidence_level=0.95, method="wilson")
    return float(found.low), float(found.high)


def alarms_grid(found: FalseAlarms) -> Grid:
    """One line per column: the rates of the paper's test and of the verdicts."""
    headers = (
        "Column",
        "n",
        "paper's test",
        f"corrected, m = {found.family}",
        "verdicts' test",
        "holds",
        "largest gap",
    )
    title = f"A/A: {found.scheme} against itself on track {found.track.name}, version {found.track.version}"
    return Grid(title, headers, tuple(_line(column, found.repeats) for column in found.columns))


def _line(column: ColumnAlarms, repeats: int) -> tuple[Cell, ...]:
    return (
        Cell(f"{TASK_NAMES[column.task]} {column.group.title()}"),
        Cell(f"{column.n:,}"),
        *(Cell(_rate(alarms, repeats)) for alarms in _alarms(column).values()),
        Cell(f"{column.largest:.3f}"),
    )


def _alarms(column: ColumnAlarms) -> dict[str, int]:
    return {
        "paper": column.paper,
        "paper_corrected": column.paper_corrected,
        "crossed": column.crossed,
        "holds": column.holds,
    }


def _rate(alarms: int, repeats: int) -> str:
    low, high = interval(alarms, repeats)
    return f"{alarms / repeats:.3f} ({low:.2f}–{high:.2f})"


def aa_caption(found: FalseAlarms) -> list[str]:
    """What was dealt, what each rate should be, and how far it can be trusted."""
    alpha = found.track.evaluation.alpha
    among = f", among {found.beside} other rows," if found.beside else ""
    return [
        f"{found.split.title()} split. The {len(found.seeds)} seeds with results were dealt {found.repeats} times into "
        f"two disjoint sets of {found.size}; the sets were compared{among} as two rows of a table are. "
        "Nothing is there to be found: every call is a false alarm.",
        f"A test that sees all the variance there is calls {alpha:g} of the pairs uncorrected, and at most "
        f"{alpha / found.family:.2g} of them corrected (Bonferroni) for m = {found.family}. paper's test: paired over "
        "test items or users, which leaves the seeds' variance out; verdicts' test: seeds and units both random; n: "
        f"units; holds: the verdict, {'as in the table' if found.beside else 'corrected for m pairs'}.",
        f"Largest gap: the largest absolute difference between the means of two sets, of the {found.repeats} compared.",
        "In brackets: 95% intervals as if the repeats were independent. They are not, for they share cells: of "
        f"{found.possible:,} possible pairs of sets at most {found.independent} share none. Take the intervals for a "
        "lower bound of the doubt.",
    ]


def to_markdown(found: FalseAlarms) -> str:
    """The table and its caption; ends in a newline."""
    grid = alarms_grid(found)
    notes = "\n".join(f"- {md_text(line)}" for line in aa_caption(found))
    return f"# {md_text(grid.title)}\n\n{md_table(grid)}\n\n{notes}\n"


def to_json(found: FalseAlarms) -> str:
    """The counts, the rates and their intervals, versioned."""
    whole = {
        "semidbench_aa": SCHEMA,
        "track": {"name": found.track.name, "version": found.track.version},
        "split": found.split,
        "scheme": found.scheme,
        "seeds": found.seeds,
        "size": found.size,
        "repeats": found.repeats,
        "possible_pairs": found.possible,
        "independent_pairs": found.independent,
        "family": found.family,
        "other_rows": found.beside,
        "alpha": found.track.evaluation.alpha,
        "caption": aa_caption(found),
        "columns": [_json_column(column, found.repeats) for column in found.columns],
    }
    return json.dumps(whole, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def _json_column(column: ColumnAlarms, repeats: int) -> dict[str, Any]:
    return {
        "task": column.task,
        "group": column.group,
        "cases": column.n_cases,
        "n": column.n,
        "largest_difference": float(f"{column.largest:.10g}"),
        **{
            name: {"alarms": n, "rate": n / repeats, "interval": [round(end, 6) for end in interval(n, repeats)]}
            for name, n in _alarms(column).items()
        },
    }
