from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semidbench.api import Interactions, ItemIds
from semidbench.generator import examples
from semidbench.generator.examples import IGNORED, TokenRows, rec_prompts, search_prompts, training_examples
from semidbench.ids.vocabulary import id_vocabulary
from semidbench.runs.shared import query_tokens
from semidbench.runs.shared.dataset import SplitDataset
from semidbench.runs.shared.query_tokens import held_out_query_tokens, training_query_tokens
from semidbench.runs.shared.session import open_session
from semidbench.text.tokenizer import END_ID, load_text_tokens, train_tokenizer
from semidbench.tracks.files import load_track
from semidbench.tracks.track import Prompts

PROMPTS = Prompts(search="search: {query}", rec="recommend: {history}", history=3, max_tokens=8)
TOKENIZER = train_tokenizer(["search: a funny film about dogs", "recommend:"] * 9, 400)


def ids(codes: list[list[int]], slots: tuple[str, ...], size: int) -> ItemIds:
    return ItemIds(np.array(codes), slots, (size,) * len(slots))


def test_tokens_of_shared_and_of_separate_slots() -> None:
    shared = ids([[0, 1], [2, 3]], ("item-1", "item-2"), 4)
    vocabulary = id_vocabulary({"search": shared, "rec": shared}, 100)
    assert vocabulary.n_id_tokens == 8
    assert vocabulary.tokens(shared).tolist() == [[100, 105], [102, 107]]
    other = ids([[3], [0]], ("rec",), 4)
    vocabulary = id_vocabulary({"search": shared, "rec": other}, 100)
    assert vocabulary.n_id_tokens == 12
    assert vocabulary.tokens(other).tolist() == [[111], [108]]


def test_search_prompts_are_cut_and_end_with_the_end_token() -> None:
    rows = search_prompts(["dogs", "a funny film about dogs a funny film"], TOKENIZER, PROMPTS)
    assert rows.lengths.tolist() == [len(TOKENIZER.encode("search: dogs").ids) + 1, 8]
    assert rows.flat[rows.offsets[1:] - 1].tolist() == [END_ID, END_ID]


@given(st.lists(st.text(max_size=30), max_size=7), st.integers(1, 3))
def test_queries_in_pieces_are_tokenised_as_one_by_one(texts: list[str], piece: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(examples, "_CHUNK", piece)
        rows = search_prompts(texts, TOKENIZER, PROMPTS)
    assert rows.flat.dtype == np.int32
    assert rows.offsets.dtype == np.int64
    assert [row.tolist() for row in np.split(rows.flat, rows.offsets[1:-1]) if texts] == [
        [*TOKENIZER.encode(f"search: {text}").ids[:7], END_ID] for text in texts
    ]


def test_a_run_tokenises_its_queries_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = open_session(load_track("smoke"), "test", None, tmp_path, "cpu")
    held_out = session.dataset.held_out().queries.texts
    with monkeypatch.context() as patch:
        patch.setattr(SplitDataset, "held_out", None)  # who trains does not see it
        first = training_query_tokens(session), session.dataset.train.queries.texts
    second = held_out_query_tokens(session), held_out
    monkeypatch.setattr(query_tokens, "search_prompts", None)
    for (made, texts), found in zip((first, second), (training_query_tokens, held_out_query_tokens), strict=True):
        tokenizer = load_text_tokens(session.tokenizer.folder).tokenizer
        expected, read = search_prompts(texts, tokenizer, session.track.prompts), found(session)
        for rows in (made, read):
            assert np.array_equal(rows.flat, expected.flat)
            assert np.array_equal(rows.offsets, expected.offsets)


@st.composite
def interactions(draw: st.DrawFn) -> Interactions:
    lengths = draw(st.lists(st.integers(1, 7), min_size=1, max_size=5))
    users = np.repeat(np.arange(len(lengths)), lengths)
    items = np.array(draw(st.lists(st.integers(0, 5), min_size=len(users), max_size=len(users))))
    return Interactions(users, items, np.arange(len(users)))


@given(interactions())
def test_every_prefix_of_a_history_is_an_example(data: Interactions) -> None:
    search_tokens = 50 + np.arange(6)[:, None]
    rec_tokens = 60 + np.stack([np.arange(6), np.arange(6) + 10], axis=1)
    search = search_prompts(["dogs"], TOKENIZER, PROMPTS)
    found = training_examples(search, np.array([2]), data, search_tokens, rec_tokens, TOKENIZER, PROMPTS)
    before = TOKENIZER.encode("recommend:").ids
    expected = [
        ([*before, *rec_tokens[history[max(0, t - 3) : t]].ravel().tolist(), END_ID], rec_tokens[history[t]].tolist())
        for history in data.histories()
        for t in range(1, len(history))
    ]
    ours = [
        (found.prompts.flat[found.prompts.offsets[i] : found.prompts.offsets[i + 1]].tolist(), found.labels[i].tolist())
        for i in range(len(found))
    ]
    assert ours[0][1] == [52, IGNORED]
    assert ours[1:] == expected
    windows = rec_prompts(data.histories(), rec_tokens, TOKENIZER, PROMPTS)
    assert [row.tolist() for row in np.split(windows.flat, windows.offsets[1:-1])] == [
        [*before, *rec_tokens[history[-3:]].ravel().tolist(), END_ID] for history in data.histories()
    ]


@given(st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=6), min_size=1, max_size=6), st.data())
def test_padding(rows: list[list[int]], data: st.DataObject) -> None:
    flat = np.array([token for row in rows for token in row], dtype=np.int32)
    table = TokenRows(flat, np.concatenate([[0], np.cumsum([len(row) for row in rows])]))
    wanted = np.array(data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=6)))
    tokens, mask = table.padded(wanted)
    for at, row in enumerate(wanted):
        assert tokens[at][mask[at] == 1].tolist() == rows[row]
        assert (tokens[at][mask[at] == 0] == 0).all()
    assert mask.shape[1] == max(len(rows[row]) for row in wanted)


def test_tokenizer_is_the_same_each_time() -> None:
    texts = [f"word{i % 17} other{i % 5} thing" for i in range(300)]
    assert train_tokenizer(texts, 60).to_str() == train_tokenizer(texts, 60).to_str()


@given(interactions(), st.integers(1, 4))
def test_a_cap_keeps_the_latest_prefixes_of_each_user(data: Interactions, cap: int) -> None:
    tokens = 60 + np.arange(6)[:, None]
    none = search_prompts([], TOKENIZER, PROMPTS)
    found = training_examples(none, np.zeros(0, np.int64), data, tokens, tokens, TOKENIZER, PROMPTS, cap)
    expected = [item for history in data.histories() for item in history[1:][-cap:]]
    assert (found.labels[:, 0] - 60).tolist() == expected
