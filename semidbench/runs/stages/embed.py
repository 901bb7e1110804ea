"""Training data to embeddings: an embedder's views for a seed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from semidbench.ids.embedder import load_views, save_views
from semidbench.isolation.call import call_plugin
from semidbench.isolation.work import Embedding
from semidbench.methods.contracts import check_views
from semidbench.methods.failure import calling
from semidbench.runs.shared.inputs import PLUGIN_CODE, plugin_inputs, plugin_key
from semidbench.runs.shared.session import Session
from semidbench.runs.stages.attempt import FailedStages, attempt
from semidbench.store.fingerprint import core_code, module_code
from semidbench.store.stages import Spent, Stage, StageKey

if TYPE_CHECKING:
    from semidbench.methods.resolved import ResolvedMethod
    from semidbench.text.stored_encoder import Progress

CODE, OWN_CODE = ("ids.embedder", "methods.options"), (*PLUGIN_CODE, "runs.stages.embed")


def embedding_key(session: Session, method: ResolvedMethod, seed: int) -> StageKey:
    """What determines an embedder's views."""
    inputs = {
        **plugin_key(session, seed),
        "method": method.as_key(),
        "builds_on": {other.name: embedding_key(session, other, seed).hash for other in method.builds_on},
        "code": [core_code(*CODE), module_code(*OWN_CODE)],
    }
    return StageKey("embedding", inputs)


def embed(
    session: Session, methods: Sequence[ResolvedMethod], seed: int, progress: Progress, failed: FailedStages
) -> tuple[Stage, ...]:
    """The stages of embedders and of those that they build on, each after what it builds on.

    Args:
        failed: the stages that a plugin failed in before, to which this adds.

    Raises:
        PluginFailure: a plugin failed or broke its contract, now or before.
    """
    every = [each for method in methods for each in method.with_below()]
    return tuple(embed_one(session, method, seed, progress, failed) for method in every)


def embed_one(session: Session, method: ResolvedMethod, seed: int, progress: Progress, failed: FailedStages) -> Stage:
    """One embedder's stage; what it builds on is computed before, or found in the store."""
    below = {other.name: embed_one(session, other, seed, progress, failed).folder for other in method.builds_on}

    def make(folder: Path) -> Spent:
        work = Embedding(method.named, below)
        with call_plugin(work, plugin_inputs(session, seed), session.limits, progress) as called:
            with calling(method.who):  # what its process wrote and checked is checked here
                views = check_views(method.who, load_views(called.output), session.dataset.train.n_items)
            save_views(views, folder)
            return called.spent()

    return attempt(session.store, embedding_key(session, method, seed), make, failed)
