"""Schemes' IDs before any training: what they use of their codebooks and keep of the embeddings, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from semidbench.api import TASKS, Floats, ItemIds, Task
from semidbench.errors import UserError
from semidbench.ids.embedder import load_views
from semidbench.ids.layout import load_ids
from semidbench.ids.usage import IdUse, id_use
from semidbench.ids.vocabulary import id_vocabulary
from semidbench.isolation.limits import plugin_limits
from semidbench.isolation.resolver import resolve_isolated, resolved
from semidbench.machine.device import held_threads, pick_device
from semidbench.machine.memory import free_mib
from semidbench.methods.resolved import ResolvedMethod, ResolvedScheme, Wanted
from semidbench.methods.scheme import parse_embedders, parse_scheme
from semidbench.preview.variance_left import left_by_means, left_by_sums
from semidbench.runs.reporter import Reporter, Silent
from semidbench.runs.shared.session import Session, open_session
from semidbench.runs.stages.assign_ids import assign_ids
from semidbench.runs.stages.embed import embed
from semidbench.store.stages import default_store
from semidbench.text.encoder import open_encoder
from semidbench.text.lsa import training_texts
from semidbench.text.stored_encoder import Progress
from semidbench.tracks.files import load_track

TEXTS = "item texts"  # the view of schemes without embedder: the track's text encoder on the items' texts


@dataclass(frozen=True, slots=True)
class ViewError:
    """Share of a view's variance that IDs leave unexplained: 1 is as good as the view's mean.

    Attributes:
        view: the embedder that made it, with the view's name where it makes several.
        sums, means: by the best sum of one vector per code, and by the mean of the items that share the ID.
        chance_sums, chance_means: the same with the IDs dealt to the items at random, which says how much a fit with so
            many codes explains by chance.
    """

    view: str
    sums: float
    chance_sums: float
    means: float
    chance_means: float


@dataclass(frozen=True, slots=True)
class InspectedIds:
    """IDs of one task, or of both where they are the same.

    Attributes:
        tasks: whose IDs these are.
    """

    tasks: tuple[Task, ...]
    use: IdUse
    errors: tuple[ViewError, ...]


@dataclass(frozen=True, slots=True)
class InspectedScheme:
    """A scheme's IDs.

    Attributes:
        tokens: vocabulary tokens of both tasks together.
    """

    scheme: str
    tokens: int
    ids: tuple[InspectedIds, ...]


@dataclass(frozen=True, slots=True)
class Inspection:
    """Schemes on one track and seed."""

    track: str
    version: int
    items: int
    seed: int
    schemes: tuple[InspectedScheme, ...]


def inspect(
    schemes: Sequence[str],
    track: str = "demo",
    seed: int = 0,
    *,
    views: str | None = None,
    data: Path | None = None,
    cache: Path | None = None,
    device: str = "auto",
    reporter: Reporter | None = None,
) -> Inspection:
    """Compute schemes' embeddings and IDs, or find them in the cache, and measure them. Nothing is trained on them.

    Args:
        schemes: as embedder/quantizer/layout.
        views: embedders joined by +, such as `search+rec`: every scheme is measured on their views. None: each scheme
            on the views of its own embedders; one without embedder on the encodings of the items' texts.
        data: folder with the track's data, for tracks that read some.
        cache: where stage outputs are kept; None means `default_store()`.
        device: "cpu", "cuda", or "auto" for CUDA where there is some.

    Raises:
        UserError: anything the user can fix.
    """
    reporter = reporter or Silent()
    chosen = load_track(track)
    if not schemes:
        raise UserError("name at least one scheme to inspect, such as content/rq-kmeans/shared")
    if seed < 0:
        raise UserError(f"seed must not be negative: {seed}")
    names = None if views is None else [str(one) for one in parse_embedders(views, views)]
    wanted = [*(Wanted("scheme", text) for text in schemes), *(Wanted("embedder", name) for name in names or ())]
    found = resolved(resolve_isolated(chosen, wanted))
    rows = {row.name: row for row in found if isinstance(row, ResolvedScheme)}
    methods = [method for method in found if isinstance(method, ResolvedMethod)]
    common = None if names is None else dict(zip(names, methods, strict=True))
    with held_threads(chosen.threads):
        reporter.stage("prepare the data")
        on = pick_device(device)
        session = open_session(chosen, "test", data, cache or default_store(), on)
        session = replace(session, limits=plugin_limits(chosen.plan.stage_minutes, None, on, free_mib(), 1))
        reporter.plan(len(rows))
        inspected = tuple(_inspected(session, row, seed, common, reporter) for row in rows.values())
    return Inspection(chosen.name, chosen.version, session.dataset.train.n_items, seed, inspected)


def _inspected(
    session: Session, row: ResolvedScheme, seed: int, common: Mapping[str, ResolvedMethod] | None, reporter: Reporter
) -> InspectedScheme:
    work = reporter.begin(f"{row.name} seed {seed}")
    work.stage("embed")
    embeddings = embed(session, row.embedders, seed, work.progress, {})
    work.stage("assign IDs")
    ids = load_ids(assign_ids(session, row, embeddings, seed, work.progress, {}).folder)
    work.stage("measure")
    own = dict(zip(map(str, parse_scheme(row.name).embedders), row.embedders, strict=True))
    views = _views(session, own if common is None else common, seed, work.progress)
    inspected = tuple(_inspected_ids(tasks, ids[tasks[0]], views, seed) for tasks in _distinct(ids))
    work.done(", ".join(f"{one.use.distinct} IDs for {' and '.join(one.tasks)}" for one in inspected))
    return InspectedScheme(row.name, id_vocabulary(ids, 0).n_id_tokens, inspected)


def _views(
    session: Session, embedders: Mapping[str, ResolvedMethod], seed: int, progress: Progress
) -> dict[str, Floats]:
    """Views by label; without embedders, the encodings of the items' texts."""
    if not embedders:
        train = session.dataset.train
        encoder = open_encoder(session.encoder, training_texts(train), progress)
        return {TEXTS: encoder.encode(train.catalogue.texts)}
    labelled: dict[str, Floats] = {}
    for name, method in embedders.items():
        views = load_views(embed(session, [method], seed, progress, {})[-1].folder)
        labelled |= {name if len(views) == 1 else f"{name}: {view}": vectors for view, vectors in views.items()}
    return labelled


def _distinct(ids: Mapping[Task, ItemIds]) -> list[tuple[Task, ...]]:
    """The tasks, together where their IDs are the same."""
    search, rec = (ids[task] for task in TASKS)
    same = search.slots == rec.slots and np.array_equal(search.codes, rec.codes)
    return [TASKS] if same else [(task,) for task in TASKS]


def _inspected_ids(tasks: tuple[Task, ...], ids: ItemIds, views: Mapping[str, Floats], seed: int) -> InspectedIds:
    dealt = np.random.default_rng(seed).permutation(ids.codes)
    errors = tuple(
        ViewError(
            name,
            sums=left_by_sums(view, ids.codes),
            chance_sums=left_by_sums(view, dealt),
            means=left_by_means(view, ids.codes),
            chance_means=left_by_means(view, dealt),
        )
        for name, view in views.items()
    )
    return InspectedIds(tasks, id_use(ids), errors)
