"""Linear layers on a CPU, by the library that multiplies quicker on its processor.

Which one that is, oneDNN or torch's own, `products_library` says.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from semidbench.machine.processor import Library, products_library, this_processor

_FEWEST_ROWS = 32  # below, what a call to oneDNN costs outweighs what it saves
_FEW_ROWS, _WIDE = 128, 4096  # oneDNN multiplies so few rows with so many outputs quicker on every processor


class Linear(nn.Linear):
    """torch's layer with the same parameters, multiplied by the quicker library."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """(..., in_features) to (..., out_features)."""
        return product(input, self.weight, self.bias)


@cache
def library() -> Library:
    """What multiplies float32 matrices on this machine's CPU."""
    return products_library(this_processor()) if _has_onednn() else "torch"


def product(rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """torch.nn.functional.linear: rows @ weight.T + bias."""
    if _by_onednn(rows, weight):
        outcome: torch.Tensor = _Product.apply(rows, weight, bias)  # type: ignore[no-untyped-call]
        return outcome
    return functional.linear(rows, weight, bias)


def added_product(hidden: torch.Tensor, rows: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """hidden + rows @ weight.T of (N, out), (N, in) and (out, in); one operation where the library has it."""
    if hidden.dtype != rows.dtype or _by_onednn(rows, weight):
        return hidden + product(rows, weight)
    return torch.addmm(hidden, rows, weight.T)


def exchange_linear_layers(model: nn.Module) -> None:
    """Put a `Linear` in the place of each of torch's own, around the same parameters."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Linear:
                setattr(module, name, linear(child.weight, child.bias))


def linear(weight: torch.Tensor, bias: torch.Tensor | None = None) -> Linear:
    """A layer around parameters: a weight (out_features, in_features) and, if there is one, a bias (out_features,)."""
    layer = Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
    layer.weight, layer.bias = weight, bias  # type: ignore[assignment] # torch's own does without a bias, too
    return layer


def _by_onednn(rows: torch.Tensor, weight: torch.Tensor) -> bool:
    """Whether oneDNN can multiply them, and is the quicker library to."""
    count = rows.numel() // rows.shape[-1]
    return (
        rows.device.type == weight.device.type == "cpu"
        and rows.dtype == weight.dtype == torch.float32
        and count >= _FEWEST_ROWS
        and (library() == "oneDNN" or (count <= _FEW_ROWS and len(weight) >= _WIDE and _has_onednn()))
        and not torch.is_autocast_enabled("cpu")
    )


def _has_onednn() -> bool:
    return bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]


class _Product(torch.autograd.Function):
    """rows @ weight.T + bias by oneDNN, and its gradients by the library that is the quicker one in general."""

    @staticmethod
    def forward(context: Any, rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        context.save_for_backward(rows, weight)
        return _multiply(rows, weight, bias)

    @staticmethod
    def backward(context: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        rows, weight = context.saved_tensors
        above = gradients[0]
        quicker = library() == "oneDNN"
        of_rows = of_weight = None
        if context.needs_input_grad[0]:
            of_rows = _multiply(above, weight.T, None) if quicker else above @ weight
        flat, above = rows.flatten(0, -2), above.flatten(0, -2)
        if context.needs_input_grad[1]:
            of_weight = _of_weight(flat, above) if quicker else above.T @ flat
        return of_rows, of_weight, above.sum(0) if context.needs_input_grad[2] else None


def _of_weight(rows: torch.Tensor, above: torch.Tensor) -> torch.Tensor:
    """above.T @ rows: the operator copies its first matrix into rows, so that is the narrower one."""
    if above.shape[1] > rows.shape[1]:
        return _multiply(rows.T, above.T, None).T
    return _multiply(above.T, rows.T, None)


def _multiply(rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """The operator that torch's compiler puts in the place of a linear layer."""
    outcome: torch.Tensor = torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "")
    return outcome
