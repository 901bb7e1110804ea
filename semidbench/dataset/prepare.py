"""From a track's dataset recipe to data, and the numbers to report about it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from semidbench.api import Queries, TrainData
from semidbench.dataset import HeldOut, RawData
from semidbench.dataset.movielens import read_movielens
from semidbench.dataset.queries import write_queries
from semidbench.dataset.query_files import read_queries
from semidbench.dataset.sources import DATA_MUST_HOLD, find_sources
from semidbench.dataset.world import make_world
from semidbench.errors import UserError
from semidbench.track import MovieLens, Track


@dataclass(frozen=True, slots=True)
class Prepared:
    """A dataset and one sentence each about what was odd in its files."""

    raw: RawData
    notes: tuple[str, ...]


def prepare(track: Track, data: Path | None) -> Prepared:
    """The dataset that the track's recipe names; `data` is where the user's files lie, if it reads any.

    Raises:
        UserError: the recipe reads files and `data` is missing or wrong, or is given and not read.
    """
    section = track.dataset
    if isinstance(section, MovieLens):
        return _prepare_movielens(track.name, section, data)
    if data is not None:
        raise UserError(f"track {track.name} reads no files: its data is built in. Run again without --data {data}")
    return Prepared(make_world(section), ())


def facts(train: TrainData, held_out: HeldOut, *, k: int, codebook_sizes: Sequence[int]) -> dict[str, int | float]:
    """Numbers about a split that tables report.

    Args:
        train: training data.
        held_out: its held-out cases.
        k: of the R@k whose ceiling is wanted.
        codebook_sizes: of the track; their product is the number of possible IDs.

    Returns:
        Counts; `shared_query_share`, the share of held-out queries whose text was written for several items;
        `query_recall_ceiling`, the highest expected R@k of a ranking that sees only the text;
        `load`, items per possible ID; `seen_item_share`, items with a training interaction.
    """
    return {
        "items": train.n_items,
        "users": train.interactions.n_users,
        "train_interactions": len(train.interactions),
        "train_queries": len(train.queries),
        "test_users": len(held_out.users),
        "test_queries": len(held_out.queries),
        "shared_query_share": shared_query_share(held_out.queries),
        "query_recall_ceiling": recall_ceiling(held_out.queries, k),
        "load": train.n_items / math.prod(codebook_sizes),
        "seen_item_share": len(np.unique(train.interactions.items)) / train.n_items,
    }


def shared_query_share(queries: Queries) -> float:
    """The share of queries whose text stands with more than one item."""
    targets = _targets_by_text(queries)
    return sum(sum(items.values()) for items in targets.values() if len(items) > 1) / len(queries)


def recall_ceiling(queries: Queries, k: int) -> float:
    """The best mean R@k of any ranking that depends on the query's text alone.

    For each text it puts the k items first that the text was written for most often.
    """
    return sum(sum(count for _, count in items.most_common(k)) for items in _targets_by_text(queries).values()) / len(
        queries
    )


def _targets_by_text(queries: Queries) -> dict[str, Counter[int]]:
    targets: dict[str, Counter[int]] = {}
    for item, text in zip(queries.items.tolist(), queries.texts, strict=True):
        targets.setdefault(text, Counter())[item] += 1
    return targets


def _prepare_movielens(name: str, section: MovieLens, data: Path | None) -> Prepared:
    if data is None:
        raise UserError(f"track {name} needs data files. {DATA_MUST_HOLD}")
    movies = read_movielens(section, data)
    given = find_sources(data).queries
    if given:
        train_queries, test_queries, notes = read_queries(given, section, movies)
    else:
        train_queries, test_queries = write_queries(section, movies.catalogue, movies.cast)
        notes = ()
    raw = RawData(movies.catalogue, movies.interactions, train_queries, test_queries)
    return Prepared(raw, (*movies.notes, *notes))
