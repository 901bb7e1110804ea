"""Linear layers by oneDNN and by torch's own products, forward and with gradients.

    python -m benchmarks.linear

It says which of them semidbench takes on this processor (`semidbench.machine.processor.products_library`).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import torch
from tabulate import tabulate
from torch import nn

from benchmarks.measure import machine, medians
from benchmarks.products import forced
from semidbench.machine import products
from semidbench.machine.processor import Library
from semidbench.machine.products import linear

LIBRARIES: tuple[Library, ...] = ("torch", "oneDNN")
SHAPES = {  # rows, in, out
    "ml-small, attention": (4096, 64, 64),
    "ml-small, feed-forward": (4096, 64, 256),
    "width-128, feed-forward": (2048, 128, 512),
    "flan-t5-base, attention": (1024, 768, 768),
    "flan-t5-base, feed-forward": (1024, 768, 2048),
    "flan-t5-base, output layer": (32, 768, 32640),
}


def seconds(layer: nn.Linear, library: Library, rows: torch.Tensor, above: torch.Tensor | None) -> float:
    """Of one product, or of one with both its gradients."""
    layer.weight.grad = rows.grad = None
    with forced(library):
        started = time.perf_counter()
        product = layer(rows)
        if above is not None:
            product.backward(above)
        return time.perf_counter() - started


def ratio(layer: nn.Linear, rows: torch.Tensor, above: torch.Tensor | None, repetitions: int) -> list[str]:
    """GFLOP a second of each, and oneDNN's over torch's own."""
    operations = 2 * rows.numel() * layer.out_features * (1 if above is None else 3) / 1e9
    timers: dict[str, Callable[[], float]] = {
        library: partial(seconds, layer, library, rows, above) for library in LIBRARIES
    }
    medians(timers, 2)  # warm
    found = medians(timers, repetitions)
    speeds = [f"{operations / found[library]:.0f}" for library in LIBRARIES]
    return [*speeds, f"{found['torch'] / found['oneDNN']:.2f}"]


def main() -> None:
    """Print a row for each shape."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.linear", description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--repetitions", type=int, default=25, help="default: %(default)s")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    table = []
    for name, (count, width, out) in SHAPES.items():
        layer = linear(nn.Linear(width, out, bias=False).weight)
        above = torch.randn(count, out)
        with torch.inference_mode():
            forward = ratio(layer, torch.randn(count, width), None, options.repetitions)
        both = ratio(layer, torch.randn(count, width, requires_grad=True), above, options.repetitions)
        table.append([name, f"{count} x {width} x {out}", *forward, *both])
    headers = [
        "layer",
        "rows x in x out",
        "torch, GFLOP/s",
        "oneDNN",
        "ratio",
        "with gradients: torch",
        "oneDNN",
        "ratio",
    ]
    print(tabulate(table, headers, tablefmt="pipe", disable_numparse=True))
    print(f"\nsemidbench takes {products.library()} here.")
    print(f"\nMedians of {options.repetitions}. {machine(options.threads)}.")


if __name__ == "__main__":
    main()
