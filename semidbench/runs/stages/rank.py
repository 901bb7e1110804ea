"""A reference row: a ranker fitted, every held-out query and history scored, every target placed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from semidbench.api import TASKS, Ints, Task
from semidbench.isolation.call import Called, call_plugin
from semidbench.isolation.work import Ranking
from semidbench.methods.contracts import check_scores
from semidbench.methods.failure import calling
from semidbench.results.placements import Placements, best_items, concatenate, place_scores, rankings_sha256
from semidbench.runs.shared.inputs import PLUGIN_CODE, plugin_inputs, plugin_key
from semidbench.runs.shared.session import Session
from semidbench.runs.stages.attempt import FailedStages, attempt
from semidbench.store.fingerprint import core_code, module_code
from semidbench.store.stages import Spent, Stage, StageKey

if TYPE_CHECKING:
    from semidbench.methods.resolved import ResolvedMethod
    from semidbench.text.stored_encoder import Progress

_PLACEMENTS, _HASH = "placements.npz", "rankings.json"
_COLUMNS = tuple(Placements.__dataclass_fields__)
_SCORE_BYTES = 2**26  # of scores in memory at a time
CODE = ("results.placements", "methods.contracts", "methods.options")
OWN_CODE = (*PLUGIN_CODE, "isolation.questions", "runs.stages.rank")


def ranker_key(session: Session, ranker: ResolvedMethod, seed: int) -> StageKey:
    """What determines where a ranker puts the targets."""
    inputs = {
        **plugin_key(session, seed),
        "held_out": session.dataset.held_out_sha256,
        "method": ranker.as_key(),
        "listed": session.track.decoding.beams,  # of the best items, for the rankings' hash
        "code": [core_code(*CODE), module_code(*OWN_CODE)],
    }
    return StageKey("ranker", inputs)


def rank(session: Session, ranker: ResolvedMethod, seed: int, progress: Progress, failed: FailedStages) -> Stage:
    """The stage of a reference.

    The ranker is fitted on training data. It then sees held-out queries and users' training histories,
    never their targets.

    Raises:
        PluginFailure: the plugin failed or broke its contract.
    """

    def make(folder: Path) -> Spent:
        with call_plugin(Ranking(ranker.named), plugin_inputs(session, seed), session.limits, progress) as called:
            held_out, histories = session.dataset.held_out(), session.dataset.train.interactions.histories()
            asked = [histories[user] for user in held_out.users]
            queries = held_out.queries
            placed = {
                "search": _place(session, called, ranker.who, "search", queries.texts, queries.items, progress),
                "rec": _place(session, called, ranker.who, "rec", asked, held_out.targets, progress),
            }
            spent = called.spent()
        columns = {f"{task}_{name}": getattr(placed[task][0], name) for task in TASKS for name in _COLUMNS}
        np.savez_compressed(folder / _PLACEMENTS, **columns)
        digest = rankings_sha256({task: placed[task][1] for task in TASKS})
        (folder / _HASH).write_text(json.dumps({"format": 1, "sha256": digest}) + "\n", "utf-8")
        return spent

    return attempt(session.store, ranker_key(session, ranker, seed), make, failed)


def load_ranking(stage: Stage) -> tuple[dict[Task, Placements], str]:
    """Per task the placements, and the hash of the rankings."""
    with np.load(stage.folder / _PLACEMENTS, allow_pickle=False) as file:
        placements = {task: Placements(**{name: file[f"{task}_{name}"] for name in _COLUMNS}) for task in TASKS}
    return placements, json.loads((stage.folder / _HASH).read_text("utf-8"))["sha256"]


def _place(
    session: Session,
    called: Called,
    who: str,
    task: Task,
    questions: Sequence[Any],
    targets: Ints,
    progress: Progress,
) -> tuple[Placements, NDArray[np.int32]]:
    """Placements of all targets, and the best items of each list, int32 (Q, depth), for the hash."""
    n_items = session.dataset.train.n_items
    batch = max(1, _SCORE_BYTES // (4 * n_items))
    placed, depth = [], min(session.track.decoding.beams, n_items)
    best = np.empty((len(questions), depth), np.int32)
    for start in range(0, len(questions), batch):
        part = questions[start : start + batch]
        answered = called.ask(task, part)
        with calling(who):  # what its process checked is checked here
            scores = check_scores(who, answered, len(part), n_items)
        placed.append(place_scores(scores, targets[start : start + batch]))
        best[start : start + len(part)] = best_items(scores, depth)
        progress("rank", start + len(part), len(questions))
    return concatenate(placed), best
