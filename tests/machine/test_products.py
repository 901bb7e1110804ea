from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from semidbench.machine import products as module
from semidbench.machine.products import Linear, added_product, exchange_linear_layers, linear


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=3),
    st.integers(1, 70),
    st.integers(1, 90),
    st.sampled_from(["dense", "transposed", "expanded"]),
    st.booleans(),
    st.sampled_from(["torch", "oneDNN"]),
)
def test_product_and_gradients_equal_those_of_torch(
    shape: list[int], inner: int, outer: int, layout: str, biased: bool, library: str
) -> None:
    torch.manual_seed(0)
    rows, weight = torch.randn(*shape, inner), nn.Parameter(torch.randn(outer, inner))
    bias = nn.Parameter(torch.randn(outer)) if biased else None
    above = torch.randn(*shape, outer)
    if layout == "transposed":
        rows, above = (each.transpose(0, -1).contiguous().transpose(0, -1) for each in (rows, above))
    if layout == "expanded":  # as the gradient of a sum is
        above = torch.ones(1).expand(above.shape)
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_FEWEST_ROWS", 0)
        patch.setattr(module, "_WIDE", 64)  # wider ones, of few rows, go through oneDNN either way
        patch.setattr(module, "library", lambda: library)
        for of in (linear(weight, bias), lambda rows: functional.linear(rows, weight, bias)):
            leaf = rows.clone().requires_grad_()
            weight.grad = None
            if bias is not None:
                bias.grad = None
            product = of(leaf)
            product.backward(above)
            seen.append((product, leaf.grad, weight.grad, *([bias.grad] if bias is not None else [])))
    for ours, torchs in zip(*seen, strict=True):
        torch.testing.assert_close(ours, torchs, rtol=1e-4, atol=1e-4)


def test_layers_are_exchanged_in_place_and_keep_their_parameters() -> None:
    model = nn.Sequential(nn.Linear(3, 4, bias=False), nn.Sequential(nn.Linear(4, 5)), nn.Linear(5, 2, bias=False))
    before = {name: value.data_ptr() for name, value in model.state_dict().items()}
    exchange_linear_layers(model)
    assert [type(layer) for layer in (model[0], model[1][0], model[2])] == [Linear] * 3
    assert {name: value.data_ptr() for name, value in model.state_dict().items()} == before


@pytest.mark.parametrize("library", ["torch", "oneDNN"])
def test_a_residual_and_its_gradients_equal_the_plain_sum(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "library", lambda: library)
    hidden, rows, weight = (torch.randn(shape, requires_grad=True) for shape in ((40, 5), (40, 7), (5, 7)))
    above = torch.randn(40, 5)
    ours, plain = added_product(hidden, rows, weight), hidden + rows @ weight.T
    torch.testing.assert_close(ours, plain)
    torch.testing.assert_close(*(torch.autograd.grad(each, (hidden, rows, weight), above) for each in (ours, plain)))


def test_the_library_is_fixed_by_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(module, "products_library", lambda processor: asked.append(processor) or "oneDNN")
    module.library.cache_clear()
    assert module.library() == "oneDNN"
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    module.library.cache_clear()
    assert module.library() == "torch"
    module.library.cache_clear()
    assert len(asked) == 1  # no rule is asked for a torch without oneDNN
