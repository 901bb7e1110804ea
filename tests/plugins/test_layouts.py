"""The layouts that learn nothing: shared, separate and the controls."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from semidbench_layouts.controls import Atomic, CategoryPrefix, Random, _ceil_root
from semidbench_layouts.imported import Imported
from semidbench_layouts.separate import Separate
from semidbench_layouts.shared import Shared

from semidbench.api import Context, Floats, Ints, ItemIds, Layout, Quantizer, Task, TrainData
from semidbench.errors import UserError
from semidbench.exchange.imported_ids import IDS_VARIABLE, import_ids
from semidbench.ids.vocabulary import id_vocabulary
from semidbench.methods.contracts import check_item_ids
from semidbench.tracks.files import load_track

MakeContext = Callable[..., Context]


class Signs:
    """Quantizer: the signs of the first columns, as many as levels are asked for."""

    fitted_on: Floats

    def fit(self, x: Floats, context: Context) -> None:
        self.fitted_on = x
        self.codebook_sizes = context.codebook_sizes

    def encode(self, x: Floats) -> Ints:
        return (x[:, : len(self.codebook_sizes)] > 0).astype(np.int64)


def no_quantizer() -> Quantizer:
    raise AssertionError("this layout uses none")


def view(train: TrainData, seed: int) -> Floats:
    return np.random.default_rng(seed).standard_normal((train.n_items, 4)).astype(np.float32)


def control(layout: Layout, train: TrainData, context: Context) -> ItemIds:
    assert isinstance(layout, Layout)
    assert layout.uses_embedder is False  # type: ignore[attr-defined]
    assert layout.uses_quantizer is False  # type: ignore[attr-defined]
    ids = layout.assign(train, {}, no_quantizer, context)
    check_item_ids("layout", ids, train.n_items)
    assert ids["search"] is ids["rec"]
    return ids["search"]


def with_categories(train: TrainData, categories: list[tuple[str, ...]]) -> TrainData:
    """The same with other categories, an item for each."""
    return replace(
        train, catalogue=replace(train.catalogue, texts=("",) * len(categories), categories=tuple(categories))
    )


def test_both_tasks_share_one_object(train: TrainData, context: MakeContext) -> None:
    x = view(train, 0)
    made: list[Signs] = []

    def new_quantizer() -> Quantizer:
        made.append(Signs())
        return made[-1]

    layout = Shared()
    ids = layout.assign(train, {"item": x}, new_quantizer, context())
    assert isinstance(layout, Layout)
    assert len(made) == 1
    assert made[0].fitted_on is x
    assert ids["search"] is ids["rec"]
    assert ids["search"].slots == ("item-1", "item-2")
    assert ids["search"].sizes == (8, 8)
    np.testing.assert_array_equal(ids["rec"].codes, x[:, :2] > 0)


@pytest.mark.parametrize("names", [(), ("search", "rec"), ("item", "rec")])
def test_shared_refuses_other_views(train: TrainData, context: MakeContext, names: tuple[str, ...]) -> None:
    views = {name: np.zeros((train.n_items, 2), np.float32) for name in names}
    with pytest.raises(ValueError, match="exactly one view named 'item'"):
        Shared().assign(train, views, Signs, context())


def test_separate_quantizes_each_view_for_its_task(train: TrainData, context: MakeContext) -> None:
    views = {"rec": view(train, 1), "search": view(train, 2)}
    made: list[Signs] = []

    def new_quantizer() -> Quantizer:
        made.append(Signs())
        return made[-1]

    layout = Separate()
    ids = layout.assign(train, views, new_quantizer, context())
    assert isinstance(layout, Layout)
    assert [id(quantizer.fitted_on) for quantizer in made] == [id(views["search"]), id(views["rec"])]
    tasks: tuple[Task, ...] = ("search", "rec")
    for task in tasks:
        assert ids[task].slots == (f"{task}-1", f"{task}-2")
        assert ids[task].sizes == (8, 8)
        np.testing.assert_array_equal(ids[task].codes, views[task][:, :2] > 0)


@pytest.mark.parametrize("names", [(), ("item",), ("search",), ("search", "item")])
def test_separate_refuses_other_views(train: TrainData, context: MakeContext, names: tuple[str, ...]) -> None:
    views = {name: np.zeros((train.n_items, 2), np.float32) for name in names}
    with pytest.raises(ValueError, match=r"needs the views 'search' and 'rec' .* Join two embedders as X\+Y"):
        Separate().assign(train, views, Signs, context())


def test_tokens_with_the_papers_codebooks(train: TrainData, context: MakeContext) -> None:
    """Section 4: 512 tokens, and 1,024 for Separate."""
    x, asked = view(train, 0), context(codebook_sizes=(256, 256))
    shared = Shared().assign(train, {"item": x}, Signs, asked)
    separate = Separate().assign(train, {"search": x, "rec": x}, Signs, asked)
    assert id_vocabulary(shared, 0).n_id_tokens == 512
    assert id_vocabulary(separate, 0).n_id_tokens == 1024


def test_random_codes_are_uniform_and_of_the_seed(train: TrainData, context: MakeContext) -> None:
    many = with_categories(train, [()] * 20_000)
    ids = control(Random(), many, context(codebook_sizes=(4, 10)))
    assert ids.sizes == (4, 10)
    assert ids.slots == ("item-1", "item-2")
    table = np.zeros((4, 10))
    np.add.at(table, (ids.codes[:, 0], ids.codes[:, 1]), 1)
    # 40 cells of 500: chi-square with 39 degrees of freedom, of which .9999 lie below 82
    assert ((table - 500) ** 2 / 500).sum() < 82
    again, other = (control(Random(), many, context(seed, (4, 10))).codes for seed in (0, 1))
    np.testing.assert_array_equal(ids.codes, again)
    assert (ids.codes != other).any()


NAMES = st.sampled_from(["", "a", "b", "c", "d"])


@given(
    first=st.lists(NAMES, min_size=1, max_size=80),
    sizes=st.lists(st.integers(2, 6), min_size=2, max_size=4).map(tuple),
    seed=st.integers(0, 5),
)
def test_category_prefix(train: TrainData, first: list[str], sizes: tuple[int, ...], seed: int) -> None:
    train = with_categories(train, [(name, "second") if name else () for name in first])
    context = Context(
        seed=seed,
        rng=np.random.default_rng(seed),
        device="cpu",
        threads=1,
        codebook_sizes=sizes,
        text_encoder=None,  # type: ignore[arg-type]
        views={},
        progress=lambda what, done, total: None,
        scratch=None,  # type: ignore[arg-type]
    )
    ids = control(CategoryPrefix(), train, context)
    assert len(ids.sizes) == len(sizes)
    assert ids.sizes[0] == len(set(first))
    code_of = dict(zip(first, ids.codes[:, 0].tolist(), strict=True))
    assert len(set(code_of.values())) == len(code_of)  # a code a category
    assert [code_of[name] for name in first] == ids.codes[:, 0].tolist()
    # as many possible IDs as asked for, and no more than rounding makes necessary
    assert math.prod(ids.sizes) >= math.prod(sizes)
    smaller = (ids.sizes[0], *(size - 1 for size in ids.sizes[1:]))
    assert math.prod(smaller) < math.prod(sizes)
    for name, count in Counter(first).items():
        of_category = [tuple(code) for code, other in zip(ids.codes.tolist(), first, strict=True) if other == name]
        room = math.prod(ids.sizes[1:])
        assert len(set(of_category)) == min(count, room)
        assert max(Counter(of_category).values()) == -(-count // room)


def test_category_prefix_numbers_in_a_random_order(train: TrainData, context: MakeContext) -> None:
    codes = [control(CategoryPrefix(), train, context(seed)).codes for seed in (0, 0, 1)]
    np.testing.assert_array_equal(codes[0], codes[1])
    np.testing.assert_array_equal(codes[0][:, 0], codes[2][:, 0])
    assert (codes[0][:, 1] != codes[2][:, 1]).any()
    assert control(CategoryPrefix(), train, context()).sizes == (6, 11)  # 64 possible IDs over 6 topics
    with pytest.raises(ValueError, match="two levels or more"):
        CategoryPrefix().assign(train, {}, no_quantizer, context(codebook_sizes=(8,)))


@given(value=st.integers(1, 10**15), degree=st.integers(1, 7))
def test_ceil_root(value: int, degree: int) -> None:
    root = _ceil_root(value, degree)
    assert root**degree >= value
    assert root == 1 or (root - 1) ** degree < value


def test_atomic_gives_each_item_a_token(train: TrainData, context: MakeContext) -> None:
    ids = control(Atomic(), train, context())
    assert ids.slots == ("item",)
    assert ids.sizes == (train.n_items,)
    assert ids.codes[:, 0].tolist() == list(range(train.n_items))


def test_imported_ids_are_given_as_they_were_kept(
    train: TrainData, context: MakeContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(IDS_VARIABLE, str(tmp_path / "ids"))
    tokens = {str(item): [item % 7, item % 5] for item in range(train.n_items)}
    (tmp_path / "index.json").write_text(json.dumps(tokens))
    kept = import_ids(tmp_path / "index.json", None, "mine", load_track("smoke"), train.n_items)
    digits = kept.path.name.split(".")[1]
    layout = Imported("mine", digits)
    for seed in (0, 1):
        ids = control(layout, train, context(seed))
        assert ids.codes.tolist() == list(tokens.values())
        assert (ids.slots, ids.sizes) == (("item-1", "item-2"), (7, 5))
    fewer = with_categories(train, [()] * 9)
    with pytest.raises(ValueError, match=f"'mine' are for {train.n_items} items and the track has 9"):
        layout.assign(fewer, {}, no_quantizer, context())
    with pytest.raises(UserError, match="no IDs 'other'"):
        Imported("other", digits)
