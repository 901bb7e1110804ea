from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semidbench.errors import UserError
from semidbench.generator import beam_search as decoder
from semidbench.generator import t5_tree
from semidbench.generator.beam_search import chooser, decode, search
from semidbench.generator.examples import TokenRows
from semidbench.generator.trie import build_trie
from semidbench.ids.distinct import DistinctIds, distinct_ids
from semidbench.tracks import track
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
    sizes = draw(st.lists(st.integers(2, 5), min_size=1, max_size=8))
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
        ids, scores = search(model, tokens, mask, build_trie(distinct, sizes), offsets, chooser("cpu", section))
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


def quiet(*_: object) -> None: ...


def prompts_of(lengths: np.ndarray[Any, Any], rng: np.random.Generator) -> TokenRows:
    return TokenRows(rng.integers(3, 40, lengths.sum()).astype(np.int32), np.concatenate([[0], np.cumsum(lengths)]))


def small_catalogue(rng: np.random.Generator) -> DistinctIds:
    return distinct_ids(rng.integers(0, 4, (30, 2)))


def small_decode(
    model: Any, rows: TokenRows, distinct: DistinctIds, progress: Callable[[str, int, int], None] = quiet
) -> decoder.BeamLists:
    section = track.Decoding(beams=6, groups=3, diversity_penalty=0.25)
    trie = build_trie(distinct, (4, 4))
    return decode(model, rows, trie, (40, 44), section, device="cpu", progress=progress)


def test_batches_do_not_change_results_and_order_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    rows, distinct, model = prompts_of(rng.integers(1, 9, 50), rng), small_catalogue(rng), tiny_generator(8)
    whole = small_decode(model, rows, distinct)
    seen: list[tuple[int, int]] = []
    monkeypatch.setattr(t5_tree, "_ENCODED_TOKENS", 20)  # a few prompts through the encoder at a time,
    monkeypatch.setitem(t5_tree._LOGITS, "cpu", 1)  # 32 prefixes through the output layer,
    monkeypatch.setitem(decoder._MOST_PROMPTS, "cpu", 7)  # 7 prompts in a batch,
    monkeypatch.setattr(decoder, "_PREFIXES", 5)
    parts = small_decode(model, rows, distinct, lambda _, done, total: seen.append((done, total)))
    assert seen == [*((done, 50) for done in range(7, 50, 7)), (50, 50)]
    np.testing.assert_array_equal(parts.ids, whole.ids)
    np.testing.assert_allclose(parts.scores, whole.scores, atol=1e-5)
    for at in range(0, 50, 7):
        alone = TokenRows(rows.flat[rows.offsets[at] : rows.offsets[at + 1]], np.array([0, rows.lengths[at]]))
        single = small_decode(model, alone, distinct)
        np.testing.assert_array_equal(single.ids[0], whole.ids[at])
        np.testing.assert_allclose(single.scores[0], whole.scores[at], atol=1e-5)


def test_a_batch_holds_fewer_prompts_the_more_memory_one_takes() -> None:
    model = tiny_generator(8)

    def at_once(longest: int = 40, sizes: tuple[int, ...] = (64, 64), beams: int = 60) -> int:
        return decoder._prompts_at_once(model, longest, sizes, beams, "cpu")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoder, "_MEMORY", 2**24)
        assert 1 < at_once() < 256
        assert at_once(longest=4000) < at_once()
        assert at_once(beams=600) < at_once()
        assert at_once(sizes=(64,) * 8) < at_once()
        assert at_once(sizes=(64, 4096)) < at_once()
        assert at_once(sizes=(4096,)) > at_once(sizes=(64, 4096))  # the root is one prefix
        patch.setattr(decoder, "_MEMORY", 1)
        assert at_once() == 1


def test_fewer_ids_than_beams_leaves_beams_unused() -> None:
    model, section = tiny_generator(8), track.Decoding(beams=4, groups=1, diversity_penalty=0.0)
    distinct = distinct_ids(np.array([[0, 1], [2, 3]]))
    with torch.inference_mode():
        ids, scores = search(
            model,
            torch.tensor([[3, 1]]),
            torch.ones((1, 2), dtype=torch.long),
            build_trie(distinct, (4, 4)),
            (40, 44),
            chooser("cpu", section),
        )
    assert sorted(ids[0].tolist()) == [-1, -1, 0, 1]
    assert torch.isinf(scores[0][2:]).all()


@pytest.mark.parametrize(
    "full",
    [
        torch.OutOfMemoryError("CUDA"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_a_batch_that_does_not_fit_is_halved_and_nothing_is_lost(
    monkeypatch: pytest.MonkeyPatch, full: Exception
) -> None:
    rng = np.random.default_rng(1)
    rows, distinct, model = prompts_of(rng.integers(1, 9, 21), rng), small_catalogue(rng), tiny_generator(8)
    expected = small_decode(model, rows, distinct)
    tried = []

    def short_of_memory(model: Any, tokens: torch.Tensor, *rest: Any) -> Any:
        tried.append(len(tokens))
        if len(tokens) > 5:
            raise full
        return search(model, tokens, *rest)

    monkeypatch.setattr(decoder, "search", short_of_memory)
    found = small_decode(model, rows, distinct)
    assert tried == [21, 10, 5, 5, 5, 5, 1]
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)


def test_a_search_that_is_recorded_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a graphics card, but that a replay is the work itself."""
    rng = np.random.default_rng(1)
    rows, distinct, model = prompts_of(rng.integers(1, 9, 21), rng), small_catalogue(rng), tiny_generator(8)
    expected, recordings = small_decode(model, rows, distinct), []

    def record(work: Callable[[], None]) -> Callable[[], None]:
        recordings.append(work)
        return work

    monkeypatch.setattr(decoder, "recorder", lambda device: record)
    monkeypatch.setitem(decoder._MOST_PROMPTS, "cpu", 8)
    found = small_decode(model, rows, distinct)
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)
    assert len(recordings) == 2  # 8 prompts at once, and the last 5; all levels have as many codes


def test_a_single_prompt_that_does_not_fit_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    rng = np.random.default_rng(1)
    monkeypatch.setattr(decoder, "search", no_memory)
    with pytest.raises(UserError, match="one prompt of 7 tokens with 6 beams does not fit in the memory of cpu"):
        small_decode(tiny_generator(8), prompts_of(np.array([3, 7]), rng), small_catalogue(rng))


def test_another_runtime_error_is_not_taken_for_a_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("shapes do not fit")

    rng = np.random.default_rng(1)
    monkeypatch.setattr(decoder, "search", broken)
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        small_decode(tiny_generator(8), prompts_of(np.array([3, 7]), rng), small_catalogue(rng))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5), st.integers(1, 3), st.sampled_from([0.0, 0.25, 2.0]), st.integers(0, 99))
def test_codes_that_no_beam_can_take_may_be_left_out(groups: int, per_group: int, penalty: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    log_p = torch.randn((8, 40), generator=generator)
    log_p = log_p.masked_fill(torch.rand(log_p.shape, generator=generator) < 0.3, -torch.inf).log_softmax(1)
    beam_rows = torch.randint(0, 4, (2, groups, per_group), generator=generator) + torch.tensor([0, 4])[:, None, None]
    scores = torch.randn(beam_rows.shape, generator=generator)
    found = []
    for pruned in (1, 100):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(decoder, "_PRUNED", pruned)
            found.append(decoder._choose(scores, beam_rows, log_p, penalty))
    for cut, whole in zip(*found, strict=True):
        assert torch.equal(cut, whole)
