from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import T5Config, T5ForConditionalGeneration

from semidbench.generator import packing
from semidbench.generator.examples import IGNORED, TokenRows
from semidbench.generator.model import add_tokens
from semidbench.generator.packing import Block, Grain, PromptBatch, TrainingBatch, packed
from semidbench.generator.t5_loss import SummedLoss
from semidbench.machine import products
from semidbench.machine.products import exchange_linear_layers

VOCABULARY = 50


def t5(feed_forward: str, dropout: float, tied: bool) -> T5ForConditionalGeneration:
    config = T5Config(
        vocab_size=VOCABULARY - 6,
        d_model=24,
        d_kv=12,  # heads * d_kv is not d_model, as in flan-t5-small
        d_ff=40,
        num_layers=2,
        num_decoder_layers=3,
        num_heads=3,
        feed_forward_proj=feed_forward,
        dropout_rate=dropout,
        decoder_start_token_id=0,
        relative_attention_num_buckets=8,
        relative_attention_max_distance=16,
    )
    config._attn_implementation = "eager"
    torch.manual_seed(0)
    model = T5ForConditionalGeneration(config)
    exchange_linear_layers(model)
    if not tied:
        model.lm_head = torch.nn.Linear(24, VOCABULARY - 6, bias=False)
        model.config.scale_decoder_outputs = False
    add_tokens(model, 6, seed=0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "layer_norm" in name:  # all one at first
                weight.add_(0.3 * torch.randn_like(weight))
    return model.train()


def prompts_of(tokens: torch.Tensor, mask: torch.Tensor) -> PromptBatch:
    """In one block, with all padding."""
    additive = torch.zeros(mask.shape).masked_fill(mask == 0, -torch.inf)[:, None, None, :]
    rows = torch.arange(tokens.numel())
    return PromptBatch(tokens.flatten(), rows, (Block(*tokens.shape, None if mask.all() else additive),), rows, rows)


def batch(lengths: list[int], labels: int, ignored: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(1)
    mask = np.arange(max(lengths)) < np.array(lengths)[:, None]
    tokens = np.where(mask, rng.integers(2, VOCABULARY, mask.shape), 0)
    targets = rng.integers(2, VOCABULARY, (len(lengths), labels))
    if ignored:
        targets[::2, 1:] = IGNORED
    return torch.from_numpy(tokens), torch.from_numpy(mask.astype(np.int64)), torch.from_numpy(targets)


@pytest.mark.parametrize("feed_forward", ["relu", "gated-gelu"])
@pytest.mark.parametrize("dropout", [0.0, 0.2])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("lengths", [[7, 7, 7, 7], [3, 9, 20, 1]])
@pytest.mark.parametrize(("labels", "ignored"), [(1, False), (2, False), (4, True)])
@pytest.mark.parametrize("library", ["torch", "oneDNN"])
def test_loss_and_every_gradient_are_transformers_own(
    feed_forward: str,
    dropout: float,
    tied: bool,
    lengths: list[int],
    labels: int,
    ignored: bool,
    library: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(products, "library", lambda: library)
    monkeypatch.setattr(products, "_FEWEST_ROWS", 0)
    model = t5(feed_forward, dropout, tied)
    tokens, mask, targets = batch(lengths, labels, ignored)
    count = (targets != IGNORED).sum()

    torch.manual_seed(7)  # the same numbers decide the same dropout
    expected = model(input_ids=tokens, attention_mask=mask, labels=targets).loss
    expected.backward()
    theirs = {name: weight.grad.clone() for name, weight in model.named_parameters()}
    model.zero_grad()
    torch.manual_seed(7)
    loss = SummedLoss(model)(prompts_of(tokens, mask), targets) / count
    loss.backward()

    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=1e-5)
    for name, weight in model.named_parameters():
        largest = float(theirs[name].abs().max())
        torch.testing.assert_close(weight.grad, theirs[name], atol=1e-5 * largest, rtol=0, msg=name)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=20),
    st.builds(Grain, st.integers(1, 20), st.integers(1, 8), st.sampled_from([1, 100, 2**62]), st.booleans()),
)
def test_prompts_without_padding_give_the_same_loss_and_gradients(lengths: list[int], grain: Grain) -> None:
    model = t5("gated-gelu", 0.0, tied=False)
    tokens, mask, targets = batch(sorted(lengths), 2, ignored=False)
    rows = TokenRows(tokens[mask == 1].numpy().astype(np.int32), np.concatenate([[0], np.cumsum(sorted(lengths))]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "_STEP", 3)
        patch.setitem(packing.GRAINS, "cpu", grain)
        without = packed(rows, np.arange(len(lengths)), "cpu")
    assert sum(lengths) < len(without.tokens) <= sum(lengths) + grain.rows
    assert all(block.length % grain.length == 0 for block in without.blocks)
    distinct = len(without.tokens) if grain.few_shapes else len(set(without.distinct.tolist()))
    assert len(without.distinct) == distinct
    seen = []
    for prompts in (prompts_of(tokens, mask), without):
        model.zero_grad()
        loss = SummedLoss(model)(prompts, targets)
        loss.backward()
        seen.append([loss.detach(), *(weight.grad for weight in model.parameters())])
    for whole, other in zip(*seen, strict=True):
        torch.testing.assert_close(other, whole, atol=1e-5 * float(whole.abs().max()), rtol=0)


@pytest.mark.parametrize("feed_forward", ["relu", "gated-gelu"])
def test_a_step_reads_no_value_on_the_host(feed_forward: str) -> None:
    """A CUDA graph could not hold it. The meta device has shapes alone, and raises where a value is read."""
    model = t5(feed_forward, 0.2, tied=True).to("meta")
    rows = TokenRows(np.arange(2, 14, dtype=np.int32), np.array([0, 5, 12]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(packing.GRAINS, "cpu", packing.GRAINS["cuda"])
        prompts = packed(rows, np.arange(2), "cpu")
    batch = TrainingBatch(prompts, torch.ones((2, 2), dtype=torch.long), torch.ones(()))
    on_meta = TrainingBatch.of([tensor.to("meta") for tensor in batch.tensors()])
    loss = SummedLoss(model)(on_meta.prompts, on_meta.labels) * on_meta.weight
    loss.backward()
    assert loss.shape == ()
    assert all(weight.grad is not None for weight in model.parameters())


def test_evaluation_drops_nothing_out() -> None:
    model = t5("relu", 0.5, tied=False).eval()
    tokens, mask, targets = batch([5, 8], 2, ignored=False)
    with torch.no_grad():
        loss = SummedLoss(model)(prompts_of(tokens, mask), targets) / 4
        expected = model(input_ids=tokens, attention_mask=mask, labels=targets).loss
    torch.testing.assert_close(loss, expected)


def test_labels_that_are_all_ignored_give_no_gradient_and_no_nan() -> None:
    model = t5("relu", 0.0, tied=False)
    tokens, mask, targets = batch([5, 8], 2, ignored=False)
    loss = SummedLoss(model)(prompts_of(tokens, mask), torch.full_like(targets, IGNORED))
    loss.backward()
    assert loss.item() == 0
    assert all(torch.count_nonzero(weight.grad) == 0 for weight in model.parameters())
