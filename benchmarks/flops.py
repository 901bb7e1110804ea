"""What decoding computes, beside the encoder: the multiplications and additions of semidbench's search, counted.

    python -m benchmarks.flops

Counted, not timed: matrix products with weights, and attention's products over the prompt. A node is a prefix that at
least one beam holds; each is computed once, and the root is one. Not a lower bound: the last column takes the nodes'
queries through cross-attention's key and value matrices where that is less than taking the prompt's tokens.
"""

from __future__ import annotations

import argparse

from tabulate import tabulate

from benchmarks.shapes import SHAPES, Shape

HEADERS = (
    "shape",
    "first tokens",
    "encoder",
    "cross keys and values",
    "nodes",
    "output layer",
    "(encode + decode) / encode",
    "keys and values by the queries",
)


def encoder_flops(shape: Shape, tokens: int) -> int:
    """One prompt of so many tokens through the encoder."""
    inner = shape.heads * shape.d_kv
    per_token = 4 * shape.d_model * inner + _feed_forward(shape)
    return 2 * shape.layers * (tokens * per_token + 2 * tokens * tokens * inner)


def cross_flops(shape: Shape, tokens: int) -> int:
    """Cross-attention's keys and values of one prompt."""
    return 2 * shape.layers * tokens * 2 * shape.d_model * shape.heads * shape.d_kv


def by_queries_flops(shape: Shape, tokens: int) -> int:
    """What one node costs more if its queries, not the prompt's tokens, go through the key and value matrices."""
    inner = shape.heads * shape.d_kv
    over_prompt = tokens * (shape.heads * shape.d_model - inner)  # a head's scores and sums are of d_model, not d_kv
    return 2 * shape.layers * 2 * (shape.d_model * inner + over_prompt)


def node_flops(shape: Shape, tokens: int) -> int:
    """One node through the decoder, without its few products with its ancestors."""
    inner = shape.heads * shape.d_kv
    return 2 * shape.layers * (6 * shape.d_model * inner + _feed_forward(shape) + 2 * tokens * inner)


def output_flops(shape: Shape) -> int:
    """One node's logits over the whole vocabulary."""
    return 2 * shape.d_model * shape.vocabulary


def _feed_forward(shape: Shape) -> int:
    matrices = 3 if shape.feed_forward == "gated-gelu" else 2
    return matrices * shape.d_model * shape.d_ff


def main() -> None:
    """Print a row for each shape and number of first tokens, for IDs of two levels."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flops", description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=32, help="of a prompt; default: %(default)s")
    parser.add_argument("--distinct", nargs="+", type=int, default=[12, 30, 60], help="first tokens of the beams")
    options = parser.parse_args()
    rows = []
    for name, shape in SHAPES.items():
        for distinct in options.distinct if name != "tiny" else ():
            nodes = 1 + distinct
            encoder = encoder_flops(shape, options.tokens)
            parts = (
                cross_flops(shape, options.tokens),
                nodes * node_flops(shape, options.tokens),
                nodes * output_flops(shape),
            )
            variant = parts[1] + parts[2] + min(parts[0], nodes * by_queries_flops(shape, options.tokens))
            counts = (f"{count / 1e9:.3g}" for count in (encoder, *parts))
            totals = (f"{1 + count / encoder:.2f}" for count in (sum(parts), variant))
            rows.append((name, distinct, *counts, *totals))
    print(tabulate(rows, HEADERS, tablefmt="pipe", disable_numparse=True))
    print("\nGFLOP a prompt.")


if __name__ == "__main__":
    main()
