from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semidbench.dataset import RawData
from semidbench.dataset.facts import facts
from semidbench.dataset.split import split
from semidbench.dataset.world import draw_latents, make_world, zipf_counts
from semidbench.errors import UserError
from semidbench.tracks import track

SMALL = track.World(
    recipe="world",
    seed=3,
    items=240,
    users=400,
    interactions_per_user=14,
    topics=12,
    tastes=12,
    agreement=0.3,
    rec_popularity_skew=0.7,
    search_popularity_skew=0.0,
    train_queries=6,
    test_queries=4,
)


def world(**changes: float) -> RawData:
    return make_world(SMALL.model_copy(update=changes))


def test_a_world_is_well_formed() -> None:
    raw = world()
    assert len(raw.catalogue) == SMALL.items
    assert all(raw.catalogue.titles)
    assert all(raw.catalogue.descriptions)
    assert all(raw.catalogue.categories)
    histories = raw.interactions.histories()
    assert len(histories) == SMALL.users
    lengths = np.array([len(history) for history in histories])
    assert lengths.min() >= 3
    assert lengths.mean() == pytest.approx(SMALL.interactions_per_user, rel=0.1)
    assert all(len(set(history.tolist())) == len(history) for history in histories)
    same_user = np.diff(raw.interactions.users) == 0
    assert (np.diff(raw.interactions.timestamps)[same_user] > 0).all()
    assert raw.interactions.items.min() >= 0
    assert raw.interactions.items.max() < SMALL.items


def test_test_queries_are_new_texts() -> None:
    raw = world()
    assert not set(raw.train_queries.texts) & set(raw.test_queries.texts)
    assert set(np.bincount(raw.train_queries.items)) == {SMALL.train_queries}
    assert set(np.bincount(raw.test_queries.items)) == {SMALL.test_queries}


def test_a_query_is_about_its_item() -> None:
    """Words of an item's training and test queries overlap far more than those of two items' queries."""
    raw = world()
    words: list[list[set[str]]] = []
    for queries in (raw.train_queries, raw.test_queries):
        words.append([set() for _ in range(SMALL.items)])
        for item, text in zip(queries.items.tolist(), queries.texts, strict=True):
            words[-1][item] |= set(text.replace(",", " ").split())
    own = np.mean([len(a & b) for a, b in zip(*words, strict=True)])
    other = np.mean([len(a & b) for a, b in zip(words[0], words[1][1:], strict=False)])
    assert own > 1.5 * other


def agreement_of(raw: RawData) -> float:
    """How much likelier it is that consecutive items of a user share a category than any two items."""
    sets = [set(categories) for categories in raw.catalogue.categories]
    users, items = raw.interactions.users, raw.interactions.items.tolist()
    together = [bool(sets[items[k]] & sets[items[k + 1]]) for k in np.flatnonzero(np.diff(users) == 0)]
    shuffled = np.random.default_rng(0).permutation(items).tolist()
    apart = [bool(sets[a] & sets[b]) for a, b in pairwise(shuffled)]
    return float(np.mean(together) / np.mean(apart))


def test_agreement_ties_taste_to_content() -> None:
    none, half, full = (agreement_of(world(agreement=value)) for value in (0.0, 0.5, 1.0))
    assert none == pytest.approx(1.0, abs=0.1)
    assert none + 0.2 < half < full - 0.2


def test_agreement_in_the_latents() -> None:
    """At 1 equal topics mean equal tastes; at 0 they do not; how sharp tastes are does not change."""
    drawn = {}
    for value in (0.0, 1.0):
        section = SMALL.model_copy(update={"agreement": value})
        drawn[value] = draw_latents(section, np.random.default_rng(1))
    for value, follows in ((1.0, True), (0.0, False)):
        topics, tastes = drawn[value].topics, drawn[value].tastes
        assert np.allclose(topics.sum(axis=1), 1)
        assert np.allclose(tastes.sum(axis=1), 1)
        single = np.flatnonzero(topics.max(axis=1) == 1)
        of_topic = [set(tastes[single][topics[single].argmax(axis=1) == t].argmax(axis=1)) for t in range(SMALL.topics)]
        assert all(len(each) <= 1 for each in of_topic) == follows
    sharpness = [float((latents.tastes**2).sum(axis=1).mean()) for latents in drawn.values()]
    assert sharpness[0] == pytest.approx(sharpness[1], rel=0.1)


def test_popularity_skew() -> None:
    """A line through log counts over log ranks falls with about the exponent asked for.

    Somewhat less steeply: nobody consumes an item twice, so the head of a taste is soon used up.
    """

    def slope(skew: float) -> float:
        section = SMALL.model_copy(update={"items": 1000, "users": 3000, "rec_popularity_skew": skew})
        latents = draw_latents(section, np.random.default_rng(section.seed).spawn(5)[0])
        counts = np.bincount(make_world(section).interactions.items, minlength=section.items)
        bands = np.array_split(counts[np.argsort(latents.popularity)][10:], 15)
        ranks = np.array_split(np.arange(11, section.items + 1), 15)
        means = [np.log([each.mean() for each in parts]) for parts in (ranks, bands)]
        return float(np.polyfit(*means, deg=1)[0])

    assert slope(0.0) == pytest.approx(0.0, abs=0.05)
    assert slope(0.5) == pytest.approx(-0.5, abs=0.15)
    assert slope(1.0) == pytest.approx(-1.0, abs=0.3)


def test_search_popularity_skew() -> None:
    raw = world(search_popularity_skew=1.0)
    for queries, each in ((raw.train_queries, SMALL.train_queries), (raw.test_queries, SMALL.test_queries)):
        counts = np.bincount(queries.items, minlength=SMALL.items)
        assert counts.sum() == each * SMALL.items
        assert counts.min() >= 1
        assert counts.max() > 20 * np.median(counts)
    assert not set(raw.train_queries.texts) & set(raw.test_queries.texts)


@given(st.integers(1, 60), st.floats(0, 3), st.integers(1, 20))
def test_zipf_counts(n: int, exponent: float, mean: int) -> None:
    counts = zipf_counts(np.arange(1, n + 1), exponent, mean)
    assert counts.sum() == n * mean
    assert counts.min() >= 1
    assert (np.diff(counts) <= 0).all()
    if exponent == 0:
        assert set(counts.tolist()) == {mean}
    # In proportion, wherever the minimum of 1 does not bind.
    weights = np.arange(1, n + 1) ** -exponent
    free = counts > 1
    if free.any():
        scale = counts[free].sum() / weights[free].sum()
        assert (np.abs(counts[free] - scale * weights[free]) <= 2).all()


def test_tastes_persist() -> None:
    """Neighbours in a history are of one category more often than items ten steps apart."""
    raw = world(agreement=1.0, interactions_per_user=25)
    sets = [set(categories) for categories in raw.catalogue.categories]

    def share(gap: int) -> float:
        pairs = [pair for history in raw.interactions.histories() for pair in zip(history, history[gap:], strict=False)]
        return float(np.mean([bool(sets[a] & sets[b]) for a, b in pairs]))

    assert share(1) > share(10) + 0.1


def test_history_beats_popularity() -> None:
    """A co-occurrence count, the simplest history-aware model, is far ahead of popularity."""
    train, held = split(world(users=1000), "test")
    n = SMALL.items
    popularity = np.bincount(train.interactions.items, minlength=n).astype(float)
    near = np.zeros((n, n))
    histories = train.interactions.histories()
    for history in histories:
        for gap in (1, 2, 3):
            np.add.at(near, (history[:-gap], history[gap:]), 1 / gap)
            np.add.at(near, (history[gap:], history[:-gap]), 1 / gap)
    near /= np.sqrt(np.maximum(popularity, 1))[:, None]

    def recall_at_10(scores: list[np.ndarray]) -> float:
        hits = []
        for history, target, score in zip(histories, held.targets, scores, strict=True):
            unseen = score.copy()
            unseen[history] = -1
            hits.append(target in np.argsort(-unseen, kind="stable")[:10])
        return float(np.mean(hits))

    by_popularity = recall_at_10([popularity] * len(histories))
    by_history = recall_at_10([near[history[-5:]].sum(axis=0) for history in histories])
    assert by_history > 2 * by_popularity


def test_seeds_differ_and_hash_seeds_do_not_matter() -> None:
    program = f"""
import hashlib
from semidbench.dataset.world import make_world
from semidbench.tracks import track
raw = make_world(track.World(**{SMALL.model_dump()!r}))
parts = (raw.catalogue.texts, raw.interactions.items.tolist(), raw.train_queries.texts, raw.test_queries.texts)
print(hashlib.sha256(repr(parts).encode()).hexdigest())
"""
    hashes = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(hashes) == 1
    assert world(seed=4).catalogue.texts != world(seed=5).catalogue.texts


def test_odd_sizes_work() -> None:
    raw = world(items=4, users=5, interactions_per_user=30, topics=3, tastes=7)
    assert max(len(history) for history in raw.interactions.histories()) == 4
    assert len(world(items=30, topics=1, tastes=1).catalogue) == 30
    with pytest.raises(UserError, match="at least 3 items"):
        world(items=2)


def test_facts() -> None:
    train, held = split(world(), "test")
    numbers = facts(train, held, k=30, codebook_sizes=(16, 16))
    assert numbers["load"] == SMALL.items / 256
    assert numbers["test_queries"] == SMALL.items * SMALL.test_queries
    assert numbers["test_users"] == SMALL.users
    assert 0.9 < numbers["query_recall_ceiling"] <= 1
    assert 0.5 < numbers["seen_item_share"] <= 1
