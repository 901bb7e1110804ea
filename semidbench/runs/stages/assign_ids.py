"""Embeddings to Semantic IDs: a scheme's layout and quantizer at work for a seed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from semidbench.ids.layout import load_ids, save_ids
from semidbench.isolation.call import call_plugin
from semidbench.isolation.work import Assignment
from semidbench.methods.contracts import check_item_ids
from semidbench.methods.failure import calling
from semidbench.runs.shared.inputs import PLUGIN_CODE, plugin_inputs, plugin_key
from semidbench.runs.shared.session import Session
from semidbench.runs.stages.attempt import FailedStages, attempt
from semidbench.runs.stages.embed import embedding_key
from semidbench.store.fingerprint import core_code, module_code
from semidbench.store.stages import Spent, Stage, StageKey

if TYPE_CHECKING:
    from semidbench.methods.resolved import ResolvedScheme
    from semidbench.text.stored_encoder import Progress

CODE = ("ids.layout", "ids.embedder", "methods.options")  # the embedder's module reads and joins views
OWN_CODE = (*PLUGIN_CODE, "runs.stages.assign_ids")


def ids_key(session: Session, scheme: ResolvedScheme, seed: int) -> StageKey:
    """What determines a scheme's IDs."""
    inputs = {
        **plugin_key(session, seed),
        "embeddings": [embedding_key(session, method, seed).hash for method in scheme.embedders],
        "quantizer": scheme.quantizer.as_key() if scheme.quantizer else None,
        "layout": scheme.layout.as_key(),
        "code": [core_code(*CODE), module_code(*OWN_CODE)],
    }
    return StageKey("ids", inputs)


def assign_ids(
    session: Session,
    scheme: ResolvedScheme,
    embeddings: Sequence[Stage],
    seed: int,
    progress: Progress,
    failed: FailedStages,
) -> Stage:
    """The stage of a scheme's IDs.

    Args:
        embeddings: of the scheme's embedders and of those that they build on, as `embed` returns them.
        failed: the stages that a plugin failed in before, to which this adds.

    Raises:
        PluginFailure: a plugin failed or broke its contract.
    """
    by_key = {stage.key: stage.folder for stage in embeddings}
    views = tuple(by_key[embedding_key(session, method, seed).hash] for method in scheme.embedders)

    def make(folder: Path) -> Spent:
        quantizer = scheme.quantizer.named if scheme.quantizer else None
        work = Assignment(scheme.layout.named, quantizer, scheme.name, views)
        with call_plugin(work, plugin_inputs(session, seed), session.limits, progress) as called:
            with calling(scheme.layout.who):  # what its process wrote and checked is checked here
                ids = check_item_ids(scheme.layout.who, load_ids(called.output), session.dataset.train.n_items)
            save_ids(ids, folder)
            return called.spent()

    return attempt(session.store, ids_key(session, scheme, seed), make, failed)
