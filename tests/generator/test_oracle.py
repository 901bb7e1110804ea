"""Another implementation's answers: transformers 4.53.3's logits and trie-constrained group beam search."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from semidbench.generator import t5_tree
from semidbench.generator.beam_search import chooser, search
from semidbench.generator.model import add_tokens, is_tied, load_generator, save_generator
from semidbench.generator.trie import build_trie
from semidbench.ids.distinct import distinct_ids
from semidbench.tracks import track

ORACLES = Path(os.environ.get("SEMIDBENCH_ORACLES", Path(__file__).parents[3] / "shared" / "oracles"))
CASES = sorted(ORACLES.glob("diverse_beam_search/*/expected.json"))
TOLERANCE = 1e-4


@pytest.fixture(params=CASES, ids=[case.parent.name for case in CASES])
def case(request: pytest.FixtureRequest) -> tuple[Path, dict[str, Any]]:
    return request.param.parent, json.loads(request.param.read_text())


def test_oracle_cases_are_there() -> None:
    if not ORACLES.is_dir() and "SEMIDBENCH_ORACLES" not in os.environ:
        pytest.skip(f"no oracles at {ORACLES}: set SEMIDBENCH_ORACLES")
    assert CASES, f"{ORACLES} holds no diverse_beam_search/*/expected.json"


def first_logits(model: Any, expected: dict[str, Any]) -> torch.Tensor:
    tokens, mask = (torch.tensor(expected[key]) for key in ("input_ids", "attention_mask"))
    start = torch.full((len(tokens), 1), model.config.decoder_start_token_id)
    with torch.inference_mode():
        return model(input_ids=tokens, attention_mask=mask, decoder_input_ids=start).logits[:, 0]


def test_oracle_first_step_logits(case: tuple[Path, dict[str, Any]]) -> None:
    folder, expected = case
    model = load_generator(folder).eval()
    torch.testing.assert_close(
        first_logits(model, expected), torch.tensor(expected["first_step_logits"]), atol=TOLERANCE, rtol=0
    )


def test_oracle_tree_decoder_gives_first_step_log_probabilities(case: tuple[Path, dict[str, Any]]) -> None:
    folder, expected = case
    model = load_generator(folder).eval()
    tokens, mask = (torch.tensor(expected[key]) for key in ("input_ids", "attention_mask"))
    with torch.inference_mode():
        state = t5_tree.begin(model, tokens, mask)
        start = torch.zeros(len(tokens), dtype=torch.int64)
        hidden = t5_tree.step(model, state, start, torch.arange(len(tokens)), None)
        ours = t5_tree.log_probabilities(model, hidden, 0, model.config.vocab_size)
    theirs = torch.tensor(expected["first_step_logits"]).log_softmax(-1)
    torch.testing.assert_close(ours, theirs, atol=TOLERANCE, rtol=0)


def test_oracle_logits_after_adding_tokens_saving_and_loading(
    case: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, expected = case
    theirs = torch.tensor(expected["first_step_logits"])
    model = load_generator(folder).eval()
    add_tokens(model, 96, seed=1)
    save_generator(model, tmp_path / "ours")
    again = load_generator(tmp_path / "ours").eval()
    for extended in (model, again):
        assert not is_tied(extended)
        logits = first_logits(extended, expected)
        assert logits.shape[1] == theirs.shape[1] + 96
        torch.testing.assert_close(logits[:, : theirs.shape[1]], theirs, atol=TOLERANCE, rtol=0)
    assert torch.equal(first_logits(model, expected), first_logits(again, expected))


def test_oracle_diverse_beam_search(case: tuple[Path, dict[str, Any]]) -> None:
    folder, expected = case
    model = load_generator(folder).eval()
    levels, size, first = (expected[key] for key in ("levels", "codes_per_level", "first_code_token"))
    offsets = tuple(first + level * size for level in range(levels))
    distinct = distinct_ids(np.array(expected["item_token_ids"]) - np.array(offsets))
    section = track.Decoding(
        beams=expected["num_beams"],
        groups=expected["num_beam_groups"],
        diversity_penalty=expected["diversity_penalty"],
    )
    tokens, mask = (torch.tensor(expected[key]) for key in ("input_ids", "attention_mask"))
    with torch.inference_mode():
        ids, scores = search(
            model, tokens, mask, build_trie(distinct, (size,) * levels), offsets, chooser("cpu", section)
        )
    ours = distinct.codes[ids.numpy()] + np.array(offsets)
    for prompt in range(len(tokens)):
        assert_same_ranking(
            ours[prompt], scores[prompt].numpy(), expected["sequences"][prompt], expected["sequences_scores"][prompt]
        )


def assert_same_ranking(ours: Any, our_scores: Any, theirs: Any, their_scores: Any) -> None:
    """Equal scores in order; equal sequences, but entries whose scores differ by < 1e-4 may swap."""
    np.testing.assert_allclose(our_scores, their_scores, atol=TOLERANCE, rtol=0)
    left = [(tuple(sequence), score) for sequence, score in zip(theirs, their_scores, strict=True)]
    for sequence, score in zip(ours.tolist(), our_scores, strict=True):
        match = next((e for e in left if e[0] == tuple(sequence) and abs(e[1] - score) < TOLERANCE), None)
        assert match is not None, f"{sequence} with score {score} is not in the other's list"
        left.remove(match)
