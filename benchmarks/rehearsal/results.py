"""The stages behind the models: references answer, placements are evaluated, tables are made; and `plan`'s estimate."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from benchmarks import scale
from benchmarks.queries import BATCH, made_beams
from benchmarks.rehearsal.parts import Part, counts
from benchmarks.rehearsal.place import Place, now, silent
from semidbench.api import Task
from semidbench.leaderboards.board import results_folder
from semidbench.results.cases import Cases, to_parquet
from semidbench.results.cell_metrics import compute_metrics
from semidbench.results.placements import place_beams, place_scores, rankings_sha256

PLANNED_STEPS, PLANNED_PROMPTS = "plan's training", "plan's decoding"


def answer(place: Place) -> list[Part]:
    """bm25, and the product of vectors that the other references' scores are, each with its placements."""
    from semidbench.methods.registry import load_registry
    from semidbench.methods.resolve import resolve
    from semidbench.methods.resolved import ResolvedMethod, Wanted

    session, times, rng = place.session(), counts(place.track), np.random.default_rng(0)
    held_out, train = session.dataset.held_out(), session.dataset.train
    prompts = len(held_out.queries) + len(held_out.users)
    rows = rng.choice(len(held_out.queries), min(BATCH, len(held_out.queries)), replace=False)
    targets = held_out.queries.items[rows]
    bm25, seeds = resolve(load_registry(), Wanted("ranker", "bm25"), session.track), times.seeds
    assert isinstance(bm25, ResolvedMethod)
    ranker = bm25.named.build()
    began = now("cpu")
    with place.context(session, silent) as context:
        ranker.fit(train, context)
    parts = [Part("bm25's index", 1, "times", now("cpu") - began, seeds)]
    began = now("cpu")
    place_scores(ranker.search([held_out.queries.texts[row] for row in rows]), targets)
    parts.append(Part("bm25's answers, placed", len(rows), "prompts", now("cpu") - began, seeds * prompts))
    items = place.vectors(session.encoder.dimension)
    queries = items[rng.integers(0, len(items), len(rows))]
    began = now("cpu")
    place_scores(queries @ items.T, targets)
    others = times.references - seeds
    return [
        *parts,
        Part("other references' answers, placed", len(rows), "prompts", now("cpu") - began, others * prompts),
    ]


def evaluate(place: Place) -> list[Part]:
    """One cell's lists, made up at full size: placed, hashed, scored, written."""
    track, size, times, rng = place.track, place.size, counts(place.track), np.random.default_rng(0)
    assert track.plan.expected is not None
    items, beams = size.items, track.decoding.beams
    item_to_id = rng.integers(0, items * 3 // 4, items)
    asked: dict[Task, int] = {"search": items * track.plan.expected.test_queries, "rec": size.users}
    targets = {task: rng.integers(0, items, count) for task, count in asked.items()}
    lists = {task: made_beams(count, beams, item_to_id, rng) for task, count in asked.items()}
    began = now("cpu")
    placed = {task: place_beams(*lists[task], item_to_id, targets[task]) for task in asked}
    rankings_sha256({task: ids for task, (ids, _) in lists.items()})
    parts = [Part("lists placed and hashed", 1, "cells", now("cpu") - began, times.cells)]
    began = now("cpu")
    units = {"search": targets["search"], "rec": np.arange(size.users)}
    cases = {task: Cases(placed[task], units[task].astype(np.int32), targets[task] < items // 100) for task in asked}
    compute_metrics(cases, track.evaluation)
    to_parquet(cases)
    whole = times.cells + times.references
    return [*parts, Part("metrics computed, placements packed", 1, "cells", now("cpu") - began, whole)]


def make_tables(place: Place) -> list[Part]:
    """The leaderboard and the comparison with the paper over made results of all cells."""
    times, size, work = counts(place.track), place.size, scale.WORK["paper"]
    rows = (times.cells + times.references) // times.seeds
    made = scale.Size(rows, times.seeds, size.items, work.size.queries_per_item, size.users)
    parts = []
    with tempfile.TemporaryDirectory(dir=place.folder) as name:
        scale.mark(made, results_folder(work.track, Path(name)))
        scale.make_results(work.track, made, Path(name))
        for command, words in work.commands.items():
            seconds, _, _ = scale.measured([name if word == "OUT" else word for word in words])
            parts.append(Part(f"tables of all cells: {command}", 1, "times", seconds, 1))
    return parts


def estimate(place: Place) -> list[Part]:
    """What `semidbench plan` says of the same track, data and models on this machine."""
    from semidbench.preview.plan import plan

    with place.models_found():
        made = plan(str(place.track_file), data=place.data, cache=place.cache, device=place.amounts.device)
    cells = made.rows * made.seeds
    return [
        Part(PLANNED_STEPS, 1, "steps", made.probe.step_seconds, cells * made.steps),
        Part(PLANNED_PROMPTS, 1, "prompts", made.probe.prompt_seconds, cells * made.work.prompts),
    ]
