from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semidbench import track
from semidbench.decoder import decode, search
from semidbench.examples import TokenRows
from semidbench.trie import build_trie, distinct_ids
from tests.tiny import tiny_generator

TEXT = 40


def plain_group_beam_search(
    model: Any, tokens: torch.Tensor, ids: list[tuple[int, ...]], offsets: tuple[int, ...], section: track.Decoding
) -> list[tuple[tuple[int, ...], float]]:
    """One prompt, one prefix at a time, with transformers' own forward pass: the definition, slowly."""
    per_group = section.beams // section.groups
    groups: list[list[tuple[tuple[int, ...], float]]] = [[((), 0.0)] for _ in range(section.groups)]
    for level in range(len(offsets)):
        chosen: dict[int, int] = {}
        for at, beams in enumerate(groups):
            options = []
            for prefix, score in beams:
                start = [0, *(offsets[depth] + code for depth, code in enumerate(prefix))]
                logits = model(input_ids=tokens[None], decoder_input_ids=torch.tensor([start])).logits[0, -1]
                log_p = logits.log_softmax(-1)
                for code in sorted({row[level] for row in ids if row[:level] == prefix}):
                    penalty = section.diversity_penalty * chosen.get(code, 0)
                    options.append(((*prefix, code), score + log_p[offsets[level] + code].item() - penalty))
            groups[at] = sorted(options, key=lambda option: -option[1])[:per_group]
            for prefix, _ in groups[at]:
                chosen[prefix[-1]] = chosen.get(prefix[-1], 0) + 1
    found = [(prefix, score / len(offsets)) for beams in groups for prefix, score in beams]
    return sorted(found, key=lambda beam: -beam[1])


@st.composite
def id_tables(draw: st.DrawFn) -> tuple[list[int], np.ndarray[Any, Any]]:
    sizes = draw(st.lists(st.integers(2, 5), min_size=1, max_size=4))
    row = st.tuples(*(st.integers(0, size - 1) for size in sizes))
    return sizes, np.array(draw(st.lists(row, min_size=1, max_size=12)))


@settings(max_examples=25, deadline=None)
@given(id_tables(), st.integers(1, 4), st.integers(1, 3), st.sampled_from([0.0, 0.25, 2.0]), st.integers(0, 3))
def test_search_equals_the_plain_search(
    table: tuple[list[int], np.ndarray[Any, Any]], groups: int, per_group: int, penalty: float, seed: int
) -> None:
    sizes, codes = table
    offsets = tuple((TEXT + np.cumsum([0, *sizes[:-1]])).tolist())
    model = tiny_generator(sum(sizes), seed)
    section = track.Decoding(beams=groups * per_group, groups=groups, diversity_penalty=penalty)
    distinct = distinct_ids(codes)
    prompts = [torch.tensor([3, 4, 5, 6, 1]), torch.tensor([9, 1])]
    tokens = torch.nn.utils.rnn.pad_sequence(prompts, batch_first=True)
    mask = (tokens > 0).long()
    with torch.inference_mode():
        ids, scores = search(model, tokens, mask, build_trie(distinct), offsets, tuple(sizes), section)
        for at, prompt in enumerate(prompts):
            theirs = plain_group_beam_search(model, prompt, list(map(tuple, codes.tolist())), offsets, section)
            used = ids[at] >= 0
            ours = [
                (tuple(distinct.codes[i]), s) for i, s in zip(ids[at][used].tolist(), scores[at][used], strict=True)
            ]
            if per_group > 1 and len(np.unique(codes[:, 0])) < per_group:
                ours, theirs = ours[:1], theirs[:1]  # transformers' own rule for unused beams, see below
            assert len(ours) == len(theirs)
            np.testing.assert_allclose([s for _, s in ours], [s for _, s in theirs], atol=1e-4)
            if len({round(s, 3) for _, s in theirs}) == len(theirs):
                assert [i for i, _ in ours] == [i for i, _ in theirs]


def test_batches_do_not_change_results_and_order_is_kept() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 9, 50)
    rows = TokenRows(rng.integers(3, 40, lengths.sum()).astype(np.int32), np.concatenate([[0], np.cumsum(lengths)]))
    distinct = distinct_ids(rng.integers(0, 4, (30, 2)))
    model, section = tiny_generator(8), track.Decoding(beams=6, groups=3, diversity_penalty=0.25)
    seen: list[tuple[int, int]] = []
    together = decode(
        model,
        rows,
        build_trie(distinct),
        (40, 44),
        (4, 4),
        section,
        device="cpu",
        progress=lambda _, done, total: seen.append((done, total)),
    )
    assert seen[-1] == (50, 50)
    for at in range(0, 50, 7):
        alone = TokenRows(rows.flat[rows.offsets[at] : rows.offsets[at + 1]], np.array([0, lengths[at]]))
        single = decode(
            model,
            alone,
            build_trie(distinct),
            (40, 44),
            (4, 4),
            section,
            device="cpu",
            progress=lambda *_: None,
        )
        np.testing.assert_allclose(single.scores[0], together.scores[at], atol=1e-5)


def test_fewer_ids_than_beams_leaves_beams_unused() -> None:
    model, section = tiny_generator(8), track.Decoding(beams=4, groups=1, diversity_penalty=0.0)
    distinct = distinct_ids(np.array([[0, 1], [2, 3]]))
    with torch.inference_mode():
        ids, scores = search(
            model,
            torch.tensor([[3, 1]]),
            torch.ones((1, 2), dtype=torch.long),
            build_trie(distinct),
            (40, 44),
            (4, 4),
            section,
        )
    assert sorted(ids[0].tolist()) == [-1, -1, 0, 1]
    assert torch.isinf(scores[0][2:]).all()


@pytest.mark.parametrize("levels", [1, 2, 8])
def test_trie_leaves_are_the_rows_of_the_distinct_ids(levels: int) -> None:
    rng = np.random.default_rng(levels)
    codes = rng.integers(0, 3, (40, levels))
    distinct = distinct_ids(codes)
    assert (distinct.codes[distinct.item_to_id] == codes).all()
    trie = build_trie(distinct)
    node = torch.zeros(len(distinct.codes), dtype=torch.int64)
    for depth in range(levels):
        children = trie.children(depth, node, 3)
        allowed = [
            [bool((distinct.codes[:, : depth + 1] == [*row[:depth], code]).all(axis=1).any()) for code in range(3)]
            for row in distinct.codes.tolist()
        ]
        assert (children >= 0).tolist() == allowed
        node = children.gather(1, torch.from_numpy(distinct.codes[:, depth : depth + 1])).squeeze(1)
    assert node.tolist() == list(range(len(distinct.codes)))
