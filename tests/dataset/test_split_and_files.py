from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semidbench.api import Catalogue, Interactions, Queries, TrainData
from semidbench.dataset import HeldOut, RawData, Split
from semidbench.dataset.facts import recall_ceiling, shared_query_share
from semidbench.dataset.files import load_held_out, load_train, save_held_out, save_train
from semidbench.dataset.split import split
from semidbench.errors import UserError

CANARY = "canary"
CANARY_ITEM = 987_654_321
SPLITS: tuple[Split, Split] = ("test", "development")


def raw_data(histories: list[list[int]], train_counts: list[int], test_counts: list[int]) -> RawData:
    """Histories by user and query counts by item; every query text is unique and names its side, item and number."""
    n = len(train_counts)
    names = tuple(f"item {row}" for row in range(n))

    def queries(side: str, counts: list[int]) -> Queries:
        return Queries(
            np.repeat(np.arange(n), counts),
            tuple(f"{side} {row} {k}" for row, count in enumerate(counts) for k in range(count)),
        )

    return RawData(
        catalogue=Catalogue(
            names, names, np.arange(n), tuple(("a", "b") for _ in names), tuple(() for _ in names), names
        ),
        interactions=Interactions(
            users=np.repeat(np.arange(len(histories)), [len(history) for history in histories]),
            items=np.array([item for history in histories for item in history], dtype=np.int64),
            timestamps=np.array([100 + k for history in histories for k in range(len(history))], dtype=np.int64),
        ),
        train_queries=queries("train", train_counts),
        test_queries=queries("test", test_counts),
    )


@st.composite
def raws(draw: st.DrawFn) -> RawData:
    n = draw(st.integers(3, 8))
    history = st.permutations(range(n)).flatmap(lambda order: st.integers(1, n).map(lambda length: order[:length]))
    histories = [list(range(3)), *draw(st.lists(history, max_size=6))]
    train_counts = [2, *draw(st.lists(st.integers(1, 12), min_size=n - 1, max_size=n - 1))]
    return raw_data(histories, train_counts, draw(st.lists(st.integers(1, 3), min_size=n, max_size=n)))


@given(raws())
def test_the_test_split_holds_out_last_interactions(raw: RawData) -> None:
    train, held = split(raw, "test")
    for user, history in enumerate(raw.interactions.histories()):
        mine = train.interactions.items[train.interactions.users == user].tolist()
        case = held.targets[held.users == user].tolist()
        assert [*mine, *case] == history.tolist()
        assert len(case) == (len(history) >= 2)
    assert (train.queries.texts, held.queries.texts) == (raw.train_queries.texts, raw.test_queries.texts)


@given(raws())
def test_development_never_sees_test_cases(raw: RawData) -> None:
    train, held = split(raw, "development")
    for user, history in enumerate(raw.interactions.histories()):
        mine = train.interactions.items[train.interactions.users == user].tolist()
        case = held.targets[held.users == user].tolist()
        visible = history.tolist()[:-1] if len(history) >= 2 else history.tolist()
        assert [*mine, *case] == visible
        assert len(case) == (len(history) >= 3)
    total = Counter(raw.train_queries.items.tolist())
    left = Counter(train.queries.items.tolist())
    for item, count in total.items():
        out = count - left[item]
        assert out == (max(count // 5, 1) if count >= 2 else 0)
        texts = [text for text, row in zip(train.queries.texts, train.queries.items, strict=True) if row == item]
        texts += [text for text, row in zip(held.queries.texts, held.queries.items, strict=True) if row == item]
        assert texts == [f"train {item} {k}" for k in range(count)]  # the last ones are held out
    assert not set(held.queries.texts) & set(train.queries.texts)


@given(raws(), st.sampled_from(SPLITS))
def test_everything_handed_on_is_frozen(raw: RawData, which: Split) -> None:
    for part in split(raw, which):
        for value in walk(part):
            if isinstance(value, np.ndarray):
                assert value.dtype == np.int64
                assert not value.flags.writeable
                assert value.flags.owndata


def test_a_repeat_of_a_held_out_query_leaves_training() -> None:
    raw = raw_data([[0, 1, 2]], [5, 2, 2], [1, 1, 1])
    texts = ("same", "b", "c", "d", "same", *raw.train_queries.texts[5:])
    train, held = split(dataclasses.replace(raw, train_queries=Queries(raw.train_queries.items, texts)), "development")
    assert held.queries.texts[0] == "same"
    assert train.queries.texts[:3] == ("b", "c", "d")


def test_nothing_to_hold_out_is_refused() -> None:
    with pytest.raises(UserError, match="development split holds out 0 interactions"):
        split(raw_data([[0, 1]], [2, 2], [1, 1]), "development")


def walk(value: Any) -> list[Any]:
    """Everything that can be reached from a value: fields, elements, and what arrays are views of."""
    found = [value]
    if dataclasses.is_dataclass(value):
        inner = [getattr(value, field.name) for field in dataclasses.fields(value)]
    elif isinstance(value, dict):
        inner = [*value.keys(), *value.values()]
    elif isinstance(value, tuple | list | set | frozenset):
        inner = list(value)
    elif isinstance(value, np.ndarray):
        inner = [*value.ravel().tolist(), *([value.base] if value.base is not None else [])]
    else:
        inner = []
    return found + [each for part in inner for each in walk(part)]


@pytest.mark.parametrize("which", SPLITS)
def test_no_canary_of_the_test_split_reaches_training(which: Split, tmp_path: Path) -> None:
    """Every held-out thing is marked; nothing marked may be found in training data, nor in its files."""
    raw = raw_data([[0, 1, 2, 3], [3, 2, 1], [1, 0]], [5, 5, 5, 5], [2, 2, 2, 2])
    items, times = raw.interactions.items.copy(), raw.interactions.timestamps.copy()
    last = np.append(np.diff(raw.interactions.users) != 0, True)
    items[last] = CANARY_ITEM
    times[last] = CANARY_ITEM
    marked = dataclasses.replace(
        raw,
        interactions=Interactions(raw.interactions.users, items, times),
        test_queries=Queries(raw.test_queries.items, tuple(f"{CANARY} {text}" for text in raw.test_queries.texts)),
    )
    assert any(value == CANARY_ITEM for value in walk(marked) if isinstance(value, int))  # the walk finds it there
    train, _ = split(marked, which)
    save_train(train, tmp_path)
    for part in (train, load_train(tmp_path)):
        for value in walk(part):
            assert not (isinstance(value, str) and CANARY in value)
            assert not (isinstance(value, int) and value == CANARY_ITEM)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        return bool(one.dtype == other.dtype and np.array_equal(one, other))
    if dataclasses.is_dataclass(one):
        return type(one) is type(other) and all(
            same(getattr(one, field.name), getattr(other, field.name)) for field in dataclasses.fields(one)
        )
    return bool(one == other)


@pytest.mark.parametrize("which", SPLITS)
def test_files_round_trip_byte_for_byte(which: Split, tmp_path: Path) -> None:
    train, held = split(raw_data([[0, 1, 2], [2, 0, 1]], [6, 2, 3], [1, 2, 1]), which)
    for turn in ("one", "two"):
        save_train(train, tmp_path / turn / "train")
        save_held_out(held, tmp_path / turn / "held")
    assert same(load_train(tmp_path / "one" / "train"), train)
    assert same(load_held_out(tmp_path / "one" / "held"), held)
    assert not load_train(tmp_path / "one" / "train").interactions.items.flags.writeable
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert len(files) == 7
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_incomplete_or_foreign_files_are_refused(tmp_path: Path) -> None:
    train, held = split(raw_data([[0, 1, 2]], [2, 2, 2], [1, 1, 1]), "test")
    with pytest.raises(UserError, match="cannot read dataset files"):
        load_train(tmp_path / "nowhere")
    save_held_out(held, tmp_path / "held")
    with pytest.raises(UserError, match="holds 'held-out' version 1, not 'train' version 1"):
        load_train(tmp_path / "held")
    save_train(train, tmp_path / "train")
    path = tmp_path / "train" / "queries.parquet"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(UserError, match="cannot read dataset files"):
        load_train(tmp_path / "train")
    save_train(train, tmp_path / "mixed")
    (tmp_path / "mixed" / "queries.parquet").write_bytes((tmp_path / "held" / "queries.parquet").read_bytes())
    with pytest.raises(UserError, match="rows where format"):
        load_train(tmp_path / "mixed")
    save_train(train, tmp_path / "old")
    header = tmp_path / "old" / "format.json"
    header.write_text(header.read_text().replace('"version": 1', '"version": 99'))
    with pytest.raises(UserError, match="version 99"):
        load_train(tmp_path / "old")


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from("abc")), min_size=1, max_size=12), st.integers(1, 3))
def test_ceiling_equals_the_best_of_all_rankings(pairs: list[tuple[int, str]], k: int) -> None:
    from itertools import combinations

    queries = Queries(np.array([item for item, _ in pairs]), tuple(text for _, text in pairs))
    best = 0
    for text in set(queries.texts):
        targets = [item for item, other in pairs if other == text]
        best += max(sum(target in top for target in targets) for top in combinations(range(5), k))
    assert recall_ceiling(queries, k) == pytest.approx(best / len(pairs))
    shared = [text for _, text in pairs if len({item for item, other in pairs if other == text}) > 1]
    assert shared_query_share(queries) == pytest.approx(len(shared) / len(pairs))


def test_types() -> None:
    train, held = split(raw_data([[0, 1, 2]], [2, 2, 2], [1, 1, 1]), "test")
    assert isinstance(train, TrainData)
    assert isinstance(held, HeldOut)
