from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semidbench.generator import packing
from semidbench.generator.examples import TokenRows
from semidbench.generator.packing import Grain, PromptBatch, packed, way
from semidbench.generator.t5_gradients import laid_out, relu_, self_attention, unit_norm


def random(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def prompts_of(lengths: list[int], grain: Grain) -> PromptBatch:
    lengths = sorted(lengths)
    flat = np.random.default_rng(0).integers(2, 50, sum(lengths)).astype(np.int32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "_STEP", 2)
        patch.setitem(packing.GRAINS, "cpu", grain)
        return packed(TokenRows(flat, np.concatenate([[0], np.cumsum(lengths)])), np.arange(len(lengths)), "cpu")


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 6), st.floats(-3, 3), st.integers(0, 1000))
def test_the_norm_and_its_gradient_are_autograd_s(width: int, rows: int, scale: float, seed: int) -> None:
    hidden, above = (random(seed + at, 2, rows, width).double() * 10**scale for at in (0, 1))
    ours, plain = hidden.clone().requires_grad_(), hidden.clone().requires_grad_()
    normed = unit_norm(ours, 1e-6)
    expected = plain * torch.rsqrt(plain.pow(2).mean(-1, keepdim=True) + 1e-6)
    torch.testing.assert_close(normed, expected)
    torch.testing.assert_close(torch.autograd.grad(normed, ours, above), torch.autograd.grad(expected, plain, above))


def test_relu_and_its_gradient_are_autograd_s() -> None:
    values, above = random(0, 50, 7), random(1, 50, 7)
    values[0] = 0
    ours, plain = values.clone().requires_grad_(), values.clone().requires_grad_()
    torch.testing.assert_close(relu_(ours * 1), plain.relu())
    torch.testing.assert_close(
        torch.autograd.grad(relu_(ours * 1), ours, above.clone()), torch.autograd.grad(plain.relu(), plain, above)
    )


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=9),
    st.builds(Grain, st.integers(1, 9), st.integers(1, 4), st.sampled_from([1, 30, 2**62]), st.booleans()),
    st.integers(1, 3),
)
def test_attention_and_its_gradients_are_those_of_each_prompt_alone(
    lengths: list[int], grain: Grain, heads: int
) -> None:
    prompts, width = prompts_of(lengths, grain), 4
    longest = max(block.length for block in prompts.blocks)
    rows = random(0, len(prompts.tokens), 3 * heads * width).requires_grad_()
    bias = random(1, 1, heads, longest, longest).requires_grad_()
    above = random(2, len(prompts.tokens), heads * width)
    above[sum(lengths) :] = 0  # nothing reads what becomes of padding
    mixed = self_attention(rows, bias, prompts.blocks, (way(prompts, 3, heads), way(prompts, 1, heads)), heads, 0.0)
    found = torch.autograd.grad(mixed, (rows, bias), above)
    each, start = [], 0
    for length in sorted(lengths):
        queries, keys, values = rows[start : start + length].view(length, 3, heads, width).permute(1, 2, 0, 3)
        weights = (queries @ keys.transpose(1, 2) + bias[0, :, :length, :length]).softmax(-1)
        each.append((weights @ values).transpose(0, 1).flatten(1))
        start += length
    expected = torch.cat(each)
    torch.testing.assert_close(mixed[:start], expected)
    torch.testing.assert_close(found, torch.autograd.grad(expected, (rows, bias), above[:start]))


def test_dropout_drops_and_its_gradient_drops_the_same() -> None:
    prompts = prompts_of([5, 5, 3], Grain(4, 1, 2**62, False))
    ways = way(prompts, 3, 2), way(prompts, 1, 2)
    rows, above = random(0, len(prompts.tokens), 24).double(), random(1, len(prompts.tokens), 8).double()

    def mixed(given: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(3)
        return self_attention(given, torch.zeros(1, 2, 5, 5), prompts.blocks, ways, 2, 0.4)

    assert not torch.allclose(mixed(rows), self_attention(rows, torch.zeros(1, 2, 5, 5), prompts.blocks, ways, 2, 0.0))
    leaf, step = rows.clone().requires_grad_(), random(2, *rows.shape).double() * 1e-3
    above[13:] = 0
    (gradient,) = torch.autograd.grad(mixed(leaf), leaf, above)
    slope = ((mixed(rows + step) - mixed(rows - step)) * above).sum() / 2
    torch.testing.assert_close((gradient * step).sum(), slope, rtol=1e-3, atol=1e-7)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=9), st.integers(1, 4))
def test_rows_go_to_their_places_and_gradients_back(lengths: list[int], multiple: int) -> None:
    prompts = prompts_of(lengths, Grain(5, multiple, 30, False))
    rows = random(0, len(prompts.tokens), 3).requires_grad_()
    places = laid_out(rows, way(prompts, 1, 1))
    torch.testing.assert_close(places, rows[prompts.places])
    above = random(1, *places.shape)
    (gradient,) = torch.autograd.grad(places, rows, above)
    real = sum(lengths)
    torch.testing.assert_close(gradient[:real], above[prompts.rows[:real]])
    assert torch.count_nonzero(gradient[real:]) == 0
