"""Each measurement at a tiny size, and what the decoders are timed on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import decode, decode_answers, flops, growth
from benchmarks.decode_task import make_task
from benchmarks.measure import best_batch, medians
from benchmarks.peer import Peer, started_peer
from benchmarks.products import LIBRARIES
from benchmarks.shapes import SHAPES, catalogue, distinct_first, first_code_logits, peak, random_prompts, random_t5
from semidbench.generator import t5_layers
from semidbench.generator.beam_search import decode as search
from semidbench.generator.trie import build_trie
from semidbench.ids.distinct import distinct_ids
from semidbench.tracks import track

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(
    path.stem
    for path in (ROOT / "benchmarks").glob("*.py")
    if "def main() -> None:" in path.read_text("utf-8") and path.stem != "peer_decode"
)
TINY = SHAPES["tiny"]
ENCODERS = ("transformers 4", "transformers 5", "semidbench")
PAPER = track.Decoding(beams=60, groups=30, diversity_penalty=0.25)
NO_BEAMS = track.Decoding(beams=8, groups=4, diversity_penalty=0.25)


def test_scripts_are_all_documented() -> None:
    pages = ROOT / "docs" / "reference" / "performance.md", ROOT / "docs" / "explanation" / "rq-vae.md"
    text = "".join(page.read_text("utf-8") for page in pages)
    assert {"cells", "decode", "growth", "startup"} <= set(SCRIPTS)
    assert [name for name in SCRIPTS if f"python -m benchmarks.{name}" not in text] == []


@pytest.mark.parametrize("script", SCRIPTS)
def test_help(script: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", [script, "--help"])
    with pytest.raises(SystemExit) as ended:
        import_module(f"benchmarks.{script}").main()
    assert ended.value.code == 0
    assert f"python -m benchmarks.{script}" in capsys.readouterr().out


def test_medians_call_the_timers_in_turn() -> None:
    calls: list[str] = []
    times = {"a": iter([3.0, 1.0, 2.0]), "b": iter([9.0, 8.0, 5.0])}

    def timer(name: str) -> float:
        calls.append(name)
        return next(times[name])

    assert medians({"a": lambda: timer("a"), "b": lambda: timer("b")}, 3) == {"a": 2.0, "b": 8.0}
    assert calls == ["a", "b"] * 3


@pytest.mark.parametrize("target", [4, 8])
def test_peaked_logits_give_the_first_tokens_that_the_decoder_holds(target: int) -> None:
    model = random_t5(TINY, seed=0)
    prompts = random_prompts(TINY, 6, 5, seed=0)
    logits = first_code_logits(model, TINY, prompts)
    factor = peak(logits, target, NO_BEAMS.beams, NO_BEAMS.groups, NO_BEAMS.diversity_penalty)
    with torch.no_grad():
        model.lm_head.weight[TINY.text_tokens :] *= factor
    one_level = distinct_ids(np.arange(TINY.sizes[0])[:, None])  # a search of one level ends on the first tokens
    found = search(
        model,
        prompts,
        build_trie(one_level, TINY.sizes[:1]),
        TINY.first_tokens[:1],
        NO_BEAMS,
        device="cpu",
        progress=lambda what, done, total: None,
    )
    held = [len(set(row.tolist())) for row in found.ids]
    counted = distinct_first(logits * np.float32(factor), NO_BEAMS.groups, 2, NO_BEAMS.diversity_penalty)
    assert held == counted.tolist()
    assert max(held) == target


@pytest.mark.parametrize("gated", [False, True])
def test_floor_is_what_torch_counts(gated: bool) -> None:
    shape = replace(TINY, feed_forward="gated-gelu") if gated else TINY
    model, tokens = random_t5(shape, seed=0), torch.ones((1, 7), dtype=torch.int64)
    with torch.inference_mode(), FlopCounterMode(display=False) as encoder:
        encoded = model.encoder(input_ids=tokens)
    with torch.inference_mode(), FlopCounterMode(display=False) as root:
        model(encoder_outputs=encoded, decoder_input_ids=tokens[:, :1])
    assert encoder.get_total_flops() == flops.encoder_flops(shape, 7)
    with_itself = 2 * shape.layers * 2 * shape.heads * shape.d_kv  # the root's products with its only ancestor
    expected = flops.cross_flops(shape, 7) + flops.node_flops(shape, 7) + flops.output_flops(shape) + with_itself
    assert root.get_total_flops() == expected


def test_queries_through_keys_and_values_are_what_torch_counts() -> None:
    heads, width, model, tokens = TINY.heads, TINY.d_kv, TINY.d_model, 7
    encoded, into = torch.ones(tokens, model), torch.ones(heads, width, model)
    query = torch.ones(heads, 1, width)
    with FlopCounterMode(display=False) as by_tokens:
        keys = encoded @ into.flatten(0, 1).T
        apart = keys.view(tokens, heads, width).transpose(0, 1)
        torch.bmm(torch.bmm(query, apart.transpose(1, 2)), apart)
    with FlopCounterMode(display=False) as by_queries:
        scores = torch.bmm(query, into).view(heads, model) @ encoded.T
        torch.bmm((scores @ encoded)[:, None], into.transpose(1, 2))
    shared = flops.cross_flops(TINY, tokens) // TINY.layers // 2  # keys or values; here one is both
    own = 2 * 2 * tokens * heads * width
    assert by_tokens.get_total_flops() == shared + own
    assert (by_queries.get_total_flops() - own) * TINY.layers == flops.by_queries_flops(TINY, tokens)


def test_peak_refuses_what_cannot_be() -> None:
    with pytest.raises(ValueError, match="no peakedness gives 1 first tokens"):
        peak(np.random.default_rng(0).standard_normal((3, 16)).astype(np.float32), 1, 8, 4, 0.25)


PEER = """
import json, sys
import numpy as np
print(json.dumps({"transformers": "stub", "torch": "stub"}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    if request["what"] == "answers":
        print(open(ANSWERS).read(), flush=True)
    else:
        print(json.dumps({"seconds": 1.0}), flush=True)
"""


@pytest.mark.parametrize("wrong", [False, True])
def test_decode_prints_ratios_and_compares_answers(
    wrong: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode, "BATCHES", {"cpu": {"peer": (1, 2), "semidbench": (2,), "encoder": (2,)}})
    monkeypatch.setitem(LIBRARIES, "another", nullcontext)
    task = make_task(TINY, 12, PAPER, tmp_path / "task", 0, 8, "cpu")
    ours = decode.Ours(task, "cpu")
    sequences, scores = ours.search(0, TINY.prompts[0], "cpu")
    answers = {"sequences": sequences.tolist(), "scores": (scores + (2e-4 if wrong else 2e-5)).tolist()}
    (tmp_path / "answers.json").write_text(json.dumps(answers))
    stub = tmp_path / "peer.py"
    stub.write_text(PEER.replace("ANSWERS", repr(str(tmp_path / "answers.json"))))
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{stub}"\n')
    python.chmod(0o755)
    with started_peer(python, "peer_decode.py", task.folder, 1, "cpu") as peer:
        assert decode_answers.equal_answers(task, peer, ours) == (0 if wrong else TINY.prompts[0])
        best = decode.best_batches(task, peer, ours, {})
        found = decode.measure(task, peer, ours, best, 1, ["another"])
    assert set(found) - set(best) == {"semidbench, another forced"}
    cells = decode.row("tiny", decode.Compared(task, best, found, 4, None))
    assert len(cells) == len(decode.HEADERS)
    assert decode.row("tiny", decode.Compared(task, best, found, 4, (7, 8)))[-1] == "7 of 8"
    assert cells[2] == "250 (1)"  # 1 s for 4 prompts at any size
    assert float(cells[4]) == pytest.approx(250 / (1e3 * found["semidbench"]), rel=0.05)
    assert float(cells[9]) == pytest.approx(found["semidbench"] / found["encoder, semidbench"], rel=0.05)


def test_best_batch_goes_on_until_two_sizes_gain_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[tuple[int, int]] = []

    def timer(prompts: int, batch: int) -> float:
        asked.append((prompts, batch))
        return prompts * {1: 9.0, 2: 8.0, 4: 8.1, 8: 5.0, 16: 4.99, 32: 6.0, 64: 1.0}[batch]

    assert best_batch("a timer", timer, 6, (1, 2, 4, 8, 16, 32, 64)) == 8
    sizes = [(6, 1), (6, 2), (8, 4), (8, 8), (16, 16), (32, 32)]  # filled batches, never 64
    assert asked == [size for size in sizes for _ in range(2)]
    assert "largest" not in capsys.readouterr().err
    assert best_batch("a timer", timer, 6, (1, 2, 4, 8)) == 8
    assert "a timer: its quickest batch size is the largest" in capsys.readouterr().err


def test_best_batch_does_not_count_the_first_call_of_a_size() -> None:
    """On a graphics card that call takes many times as long; the search ended there at the smallest size."""
    seen: set[int] = set()

    def timer(prompts: int, batch: int) -> float:
        preparing = 0.0 if batch in seen else 100.0 * batch
        seen.add(batch)
        return preparing + prompts / batch  # twice the batch, half the time

    assert best_batch("a card", timer, 64, (1, 2, 4, 8, 16)) == 16


def test_only_our_batch_size_is_sought_again_for_other_logits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "BATCHES", {"cpu": {"peer": (1,), "semidbench": (2,), "encoder": (2,)}})
    task = make_task(TINY, 12, PAPER, tmp_path, 0, 8, "cpu")
    known = dict.fromkeys(["HF generate", *(f"encoder, {whose}" for whose in ENCODERS)], 64)
    nobody = Peer(subprocess.Popen(["true"]))
    assert decode.best_batches(task, nobody, decode.Ours(task, "cpu"), known) == known | {"semidbench": 2}
    nobody.process.wait(10)


def test_the_three_encoders_are_one(tmp_path: Path) -> None:
    shape = replace(TINY, feed_forward="gated-gelu", layers=2)
    ours = decode.Ours(make_task(shape, 12, PAPER, tmp_path, 0, 8, "cpu"), "cpu")
    mask = torch.ones_like(ours.tokens)
    with torch.inference_mode():
        plain = ours.encoder(input_ids=ours.tokens, attention_mask=mask).last_hidden_state
        loaded = ours.model.encoder(input_ids=ours.tokens, attention_mask=mask).last_hidden_state
        own = t5_layers.encode(ours.model, ours.tokens, t5_layers.padding_mask(mask))
    torch.testing.assert_close(loaded, plain, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(own, plain, atol=1e-5, rtol=1e-5)


def test_same_answers_lets_equal_scores_change_places_only() -> None:
    sequences, scores = [[1, 2], [3, 4], [5, 6]], [-1.0, -1.00005, -2.0]
    assert decode_answers.same_answers(sequences, scores, [[3, 4], [1, 2], [5, 6]], scores)
    assert not decode_answers.same_answers(sequences, scores, [[5, 6], [1, 2], [3, 4]], scores)
    assert not decode_answers.same_answers(sequences, scores, [[1, 2], [3, 4], [5, 7]], scores)
    assert not decode_answers.same_answers(
        [[1, 2], [1, 2], [5, 6]], scores, sequences, scores
    )  # once there, twice here


def test_equal_lists_counts_prompts_whose_order_is_the_same_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = make_task(TINY, 12, PAPER, tmp_path, 0, 8, "cpu")
    ours = decode.Ours(task, "cpu")
    search = ours.search
    assert decode_answers.equal_lists(task, ours) == (8, 8)

    def on_a_card(start: int, stop: int, device: str) -> tuple[np.ndarray, np.ndarray]:
        sequences, scores = search(start, stop, "cpu")
        if device == "cuda":
            sequences[2] = sequences[2][::-1]
            sequences[5, -1, -1] += 1
        return sequences, scores

    ours.device = "cuda"
    monkeypatch.setattr(ours, "search", on_a_card)
    assert decode_answers.equal_lists(task, ours) == (6, 8)


def test_decode_says_how_to_make_the_peer(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["decode", "--peer-python", "nowhere/python"])
    with pytest.raises(SystemExit) as ended:
        decode.main()
    assert ended.value.code == 2
    message = capsys.readouterr().err
    assert "no Python at nowhere/python" in message
    assert "benchmarks/peer-requirements.txt" in message


def test_growth_measures_a_small_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "PROMPTS", 2)
    found = growth.index(200, repetitions=1, threads=torch.get_num_threads())
    assert found["ids"] == len(np.unique(catalogue(growth.index_shape(200), seed=0), axis=0))
    assert len(found["steps"]) == 3
    assert min(found["build"], found["decode"], found["full_node"], *found["steps"]) > 0
    assert found["memory"] > 50


def test_a_full_node_has_every_child() -> None:
    codes = growth.with_full_node(catalogue(growth.index_shape(200), seed=0))
    distinct = distinct_ids(codes)
    children = build_trie(distinct, growth.INDEX_SIZES).children(2, torch.zeros(1, dtype=torch.int64))
    assert (children >= 0).all()


def test_growth_gives_a_time_for_each_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "PROMPTS", 2)
    found = growth.prompts_and_beams(1, prompts=[2, 3], beams=[2, 4])
    assert {name: list(seconds) for name, seconds in found.items()} == {"prompts": [2, 3], "beams": [2, 4]}
    assert list(growth.levels(1, [1, 3])) == [1, 3]


@pytest.mark.skipif("SEMIDBENCH_PEER_PYTHON" not in os.environ, reason="needs transformers 4.53.3 of its own")
def test_answers_equal_hugging_faces(tmp_path: Path) -> None:
    task = make_task(TINY, 12, PAPER, tmp_path, 0, 8, "cpu")
    python = Path(os.environ["SEMIDBENCH_PEER_PYTHON"])
    with started_peer(python, "peer_decode.py", task.folder, 1, "cpu") as peer:
        assert decode_answers.equal_answers(task, peer, decode.Ours(task, "cpu")) == TINY.prompts[0]
