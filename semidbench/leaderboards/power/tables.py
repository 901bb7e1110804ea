"""The seeds that a comparison needs, as a table and as JSON."""

from __future__ import annotations

import json
from typing import Any

from semidbench.leaderboards.grids import TASK_NAMES, Cell, Grid
from semidbench.leaderboards.power.pair_power import MOST_SEEDS
from semidbench.leaderboards.power.seeds_needed import DIFFERENCES, FamilyNeeds, Needed, SeedsNeeded

SCHEMA = 1


def needed_grid(found: SeedsNeeded) -> Grid:
    """A line per column and family of tests, a column per true difference."""
    track, wanted = found.board.track, found.board.track.evaluation.power
    differences = [of.difference for of in found.lines[0].needed] if found.lines else DIFFERENCES
    headers = ("Column", "Family", *(f"difference: {difference:g}" for difference in differences))
    title = f"Seeds in each row for power {wanted:g}: track {track.name}, version {track.version}"
    return Grid(title, headers, tuple(_cells(line) for line in found.lines))


def _cells(line: FamilyNeeds) -> tuple[Cell, ...]:
    return (
        Cell(f"{TASK_NAMES[line.task]} All"),
        Cell(f"{line.family} ({line.tests:,})"),
        *(Cell(_text(needed)) for needed in line.needed),
    )


def _text(needed: Needed) -> str:
    """`12/20/>80 (.21)`."""
    seeds = "/".join(f">{MOST_SEEDS}" if count > MOST_SEEDS else str(count) for count in needed.seeds)
    return f"{seeds} ({needed.power_now:.2f})"


def needed_caption(found: SeedsNeeded) -> list[str]:
    """What the numbers mean, and what they rest on."""
    rule = found.board.track.evaluation
    units = "; ".join(
        f"{TASK_NAMES[task]}: {of_all:,} (Head {head:,}, Torso {torso:,})"
        for task, (of_all, head, torso) in found.units.items()
    )
    return [
        f"Each cell: the fewest seeds, 3 to {MOST_SEEDS}, with which the verdicts' test finds a true difference with a "
        f"chance of {rule.power:g} or more: quartiles over the pairs of rows. In brackets: the mean chance with "
        f"{found.seeds_now} seeds.",
        f"Level: {rule.alpha:g} divided by the tests of the family (in brackets), as in the first step of Holm's "
        "correction. The later steps are less strict, so fewer seeds may do. For a claim, this is the power of one "
        "statement: one with several needs more.",
        f"Estimated from the variances of {found.rows} rows on the {found.board.split} split: of seeds, of units, and "
        "of seeds on units. They are uncertain: read the numbers as orders of magnitude.",
        f"Units: {units}. Head and Torso are not in the table: the fewer the units, the more seeds it takes. Units set "
        "a floor to the error that no number of seeds lowers.",
    ]


def to_json(found: SeedsNeeded) -> str:
    """The same, versioned; seeds are null where no number tried is enough."""
    track = found.board.track
    whole = {
        "semidbench_power": SCHEMA,
        "track": {"name": track.name, "version": track.version},
        "split": found.board.split,
        "alpha": track.evaluation.alpha,
        "power": track.evaluation.power,
        "rows": found.rows,
        "seeds_now": found.seeds_now,
        "most_seeds": MOST_SEEDS,
        "units": {task: dict(zip(("all", "head", "torso"), units, strict=True)) for task, units in found.units.items()},
        "caption": needed_caption(found),
        "families": [_json_line(line) for line in found.lines],
    }
    return json.dumps(whole, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def _json_line(line: FamilyNeeds) -> dict[str, Any]:
    needed = [
        {
            "difference": of.difference,
            "seeds_quartiles": [None if count > MOST_SEEDS else count for count in of.seeds],
            "mean_power_now": round(of.power_now, 6),
        }
        for of in line.needed
    ]
    return {"task": line.task, "group": "all", "family": line.family, "tests": line.tests, "needed": needed}
