"""One reference cell, track x ranker x seed: fit, score every query, place every target."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semidbench.api import TASKS, Ints, Task
from semidbench.isolation.call import Called
from semidbench.isolation.work import Ranking
from semidbench.methods.contracts import check_scores
from semidbench.methods.failure import calling
from semidbench.methods.resolved import ResolvedMethod
from semidbench.results.placements import Placements, best_items, concatenate, place_scores, rankings_sha256
from semidbench.runs.session import Bench
from semidbench.store.fingerprint import core_code, module_code
from semidbench.store.stages import Spent, Stage

_PLACEMENTS, _HASH = "placements.npz", "rankings.json"
_SCORE_BYTES = 2**26  # of scores in memory at a time


def run_ranker(bench: Bench, ranker: ResolvedMethod, seed: int, stage_began: Callable[[str], None]) -> Stage:
    """Fit a reference ranker and place every target, or find that in the store.

    The ranker is fitted on training data. It then sees held-out queries and users' training histories,
    never their targets.

    Raises:
        UserError: the plugin failed or broke its contract.
    """
    stage_began("rank")
    inputs = {
        **bench.plugin_key(seed),
        "method": ranker.as_key(),
        "listed": bench.track.decoding.beams,  # of the best items, for the rankings' hash
        "code": [core_code("runs.ranker_stage"), module_code("runs.session")],
    }

    def make(folder: Path) -> Spent:
        with bench.call(bench, Ranking(ranker), seed) as called:
            held_out, histories = bench.held_out(), bench.train.interactions.histories()
            asked = [histories[user] for user in held_out.users]
            search = _place(bench, called, ranker.who, "search", held_out.queries.texts, held_out.queries.items)
            rec = _place(bench, called, ranker.who, "rec", asked, held_out.targets)
            spent = called.spent()
        found: dict[Task, tuple[Placements, NDArray[np.int32]]] = {"search": search, "rec": rec}
        columns = {f"{task}_{name}": getattr(found[task][0], name) for task in TASKS for name in _COLUMNS}
        np.savez_compressed(folder / _PLACEMENTS, **columns)
        digest = rankings_sha256({task: found[task][1] for task in TASKS})
        (folder / _HASH).write_text(json.dumps({"format": 1, "sha256": digest}) + "\n", "utf-8")
        return spent

    return bench.stage(bench.store, "ranker", inputs, make)


_COLUMNS = tuple(Placements.__dataclass_fields__)


def load_ranker(stage: Stage) -> tuple[dict[Task, Placements], str]:
    """Per task the placements, and the hash of the rankings."""
    with np.load(stage.folder / _PLACEMENTS, allow_pickle=False) as file:
        placements = {task: Placements(**{name: file[f"{task}_{name}"] for name in _COLUMNS}) for task in TASKS}
    return placements, json.loads((stage.folder / _HASH).read_text("utf-8"))["sha256"]


def _place(
    bench: Bench, called: Called, who: str, task: Task, questions: Sequence[Any], targets: Ints
) -> tuple[Placements, NDArray[np.int32]]:
    """Placements of all targets, and the best items of each list, int32 (Q, depth), for the hash."""
    batch = max(1, _SCORE_BYTES // (4 * bench.train.n_items))
    placed, depth = [], min(bench.track.decoding.beams, bench.train.n_items)
    best = np.empty((len(questions), depth), np.int32)
    for start in range(0, len(questions), batch):
        part = questions[start : start + batch]
        answered = called.ask(task, part)
        with calling(who):  # what its process checked is checked here
            scores = check_scores(who, answered, len(part), bench.train.n_items)
        placed.append(place_scores(scores, targets[start : start + batch]))
        best[start : start + len(part)] = best_items(scores, depth)
        bench.progress("rank", start + len(part), len(questions))
    return concatenate(placed), best
