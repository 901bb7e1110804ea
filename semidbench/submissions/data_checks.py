"""Results against their data, prepared anew: level two of `semidbench verify`, for whoever has the data at hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from semidbench.api import Task
from semidbench.dataset.facts import facts
from semidbench.dataset.prepare import prepare
from semidbench.dataset.split import split
from semidbench.dataset.split_hash import dataset_sha256
from semidbench.results.metrics import head_items
from semidbench.submissions.filed_result import FiledResult, cases_hash
from semidbench.tracks.track import Track, World


def data_at_hand(track: Track, data: Path | None) -> bool:
    """Whether the track's data can be prepared: it is built in, or its folder is given."""
    return isinstance(track.dataset, World) or data is not None


def data_problems(results: Sequence[FiledResult], track: Track, data: Path | None) -> Iterator[str]:
    """Results that were made on other data, or whose test cases are not the data's; a line each.

    Args:
        data: the folder with the track's data; not read where the data is built in.

    Raises:
        UserError: the data is missing or wrong.
    """
    prepared = prepare(track, None if isinstance(track.dataset, World) else data)
    train, held_out = split(prepared.raw, "test")
    expected = {
        "sha256": dataset_sha256(train, held_out),
        **facts(train, held_out, k=track.evaluation.primary, codebook_sizes=track.ids.codebook_sizes),
    }
    counts = np.bincount(train.interactions.items, minlength=train.n_items)
    head = head_items(counts, track.evaluation.head_share)
    hashes: dict[Task, str] = {
        "search": cases_hash(held_out.queries.items, head[held_out.queries.items]),
        "rec": cases_hash(held_out.users, head[held_out.targets]),
    }
    for result in results:
        recorded = result.cell.dataset.model_dump()
        wrong = [name for name, value in expected.items() if recorded[name] != value]
        if wrong:
            shown = "; ".join(f"{name} {recorded[name]}, not {expected[name]}" for name in wrong)
            yield f"{result.path}: it records other data: {shown}. Run the cell again on this data"
        for task, case_hash in hashes.items():
            if result.case_hashes[task] != case_hash and not wrong:
                yield f"{result.path}: its {task} test cases are not those of the data. Run the cell again"
