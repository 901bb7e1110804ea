"""A cell's ranked lists as TREC run and qrels files, for other evaluators.

A query's number is the row of its case in the per-query Parquet, a document's the row of its item.
docs/how-to/exchange.md says how ties are written and how the harness's metrics follow from the files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from semidbench.api import TASKS, Floats, Ints
from semidbench.dataset import Split
from semidbench.exchange.export_files import export_folder, write_files
from semidbench.exchange.finished_cell import find_cell
from semidbench.ids.distinct import distinct_ids
from semidbench.ids.layout import ids_sha256, load_ids
from semidbench.results.placements import Mask, Whole, first_occurrences, rankings_sha256
from semidbench.runs.stages.assign_ids import ids_key
from semidbench.runs.stages.decode import beams_key, load_beams
from semidbench.store.files import slug

VERSION = 1
ABOUT = "trec.about.json"
_PIECE = 1024  # queries at a time


def export_trec(
    track: str,
    scheme: str,
    seed: int = 0,
    *,
    split: Split = "test",
    data: Path | None = None,
    cache: Path | None = None,
    out: Path | None = None,
    device: str = "auto",
    gpus: int = 1,
) -> tuple[Path, ...]:
    """Write run and qrels of both tasks, and what made them, from a finished cell's stages.

    Args:
        out: the folder; None: one of the cell's own in `semidbench-export`.

    Returns:
        The files.

    Raises:
        UserError: anything the user can fix; the cell is not finished, among others.
    """
    cell = find_cell(track, scheme, seed, split=split, data=data, cache=cache, device=device, gpus=gpus)
    ids = load_ids(cell.stage(ids_key(cell.session, cell.scheme, seed)).folder)
    beams = load_beams(cell.stage(beams_key(cell.session, cell.scheme, seed)))
    held_out = cell.session.dataset.held_out()
    targets = {"search": held_out.queries.items, "rec": held_out.targets}
    tag = slug(cell.scheme.name, seed)
    files: dict[str, Iterator[bytes]] = {}
    for task in TASKS:
        files[f"{task}.run.trec"] = run_lines(*beams[task], distinct_ids(ids[task].codes).item_to_id, tag)
        files[f"{task}.qrels.trec"] = qrels_lines(targets[task])
    about = {
        "semidbench_trec": VERSION,
        "made_by": cell.made_by(),
        "id_table_sha256": ids_sha256(ids),
        "rankings_sha256": rankings_sha256({task: beams[task][0] for task in TASKS}),
        "files": list(files),
    }
    files[ABOUT] = iter([json.dumps(about, indent=1, sort_keys=True).encode() + b"\n"])
    return write_files(export_folder(cell, out), files)


def run_lines(beam_ids: Whole, beam_scores: Floats, item_to_id: Ints, tag: str) -> Iterator[bytes]:
    """The lines of a run, some queries at a time: an ID's items by number, all with its score.

    An ID that several beams found stands where it comes first, as the harness counts it.

    Args:
        beam_ids: integers (Q, B), rows of the table of distinct IDs, best first; -1 marks an unused beam.
        beam_scores: float32 (Q, B), falling along each row where a beam is used.
        item_to_id: int64 (N,), each item's row in the table of distinct IDs.
        tag: the run's name, without white space.
    """
    order, ends = np.argsort(item_to_id, kind="stable"), np.cumsum(np.bincount(item_to_id))
    items = [of_id.tolist() for of_id in np.split(order, ends[:-1])]
    for start in range(0, len(beam_ids), _PIECE):
        ids = beam_ids[start : start + _PIECE]
        first = first_occurrences(ids)
        scores = strictly_falling(beam_scores[start : start + _PIECE], first)
        yield "".join(
            _query_lines(query, of_query[new].tolist(), own[new].tolist(), items, tag)
            for query, (of_query, own, new) in enumerate(zip(ids, scores, first, strict=True), start)
        ).encode()


def _query_lines(query: int, ids: list[int], scores: list[float], items: list[list[int]], tag: str) -> str:
    ranked = ((item, score) for of_id, score in zip(ids, scores, strict=True) for item in items[of_id])
    return "".join(f"{query} Q0 {item} {rank} {score!r} {tag}\n" for rank, (item, score) in enumerate(ranked, start=1))


def strictly_falling(scores: Floats, used: Mask) -> Floats:
    """The scores, lowered by a last bit where needed so that no two used ones of a row are equal: float32 (Q, B).

    Different IDs are never tied: the one that the decoder put first is ahead. The scores differ in float32, which is
    what trec_eval keeps of them.

    Args:
        scores: float32 (Q, B), falling along each row where used.
        used: bool (Q, B).
    """
    lowest, below = np.full(len(scores), np.inf, np.float32), np.float32(-np.inf)
    found = scores.copy()
    for column in range(scores.shape[1]):
        found[:, column] = np.minimum(scores[:, column], np.nextafter(lowest, below))
        lowest = np.where(used[:, column], found[:, column], lowest)
    return found


def qrels_lines(targets: Ints) -> Iterator[bytes]:
    """The lines of qrels: each query's one relevant item."""
    for start in range(0, len(targets), _PIECE):
        rows = enumerate(targets[start : start + _PIECE].tolist(), start)
        yield "".join(f"{query} 0 {item} 1\n" for query, item in rows).encode()
