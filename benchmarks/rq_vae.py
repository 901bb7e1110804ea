"""RQ-VAE with and without k-means initialisation and dead-code replacement: the table of docs/explanation/rq-vae.md.

    python -m benchmarks.rq_vae

Needs the plugins semidbench-vq and semidbench-faiss. About a minute on one idle thread.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
from semidbench_faiss.rq_kmeans import RqKmeans
from semidbench_vq.rq_vae import RqVae
from tabulate import tabulate

from semidbench.api import Context, Floats, Ints, TextEncoder

POINTS, DIMENSIONS, SIZES, SEEDS = 4_000, 128, (256, 256), (0, 1, 2)
GROUPS, SUBGROUPS = 64, 16
HEADERS = ("quantizer", "k-means init", "dead codes", "codes used", "distinct IDs", "items per ID", "error")


class _NoEncoder:
    """Quantizers read no text."""

    dimension, folder = 0, None

    def encode(self, texts: Sequence[str]) -> Floats:
        raise NotImplementedError


def mixture() -> Floats:
    """Points float32 (4,000, 128): 64 Gaussian groups, 16 subgroups each at half their scale, noise at a quarter."""
    rng = np.random.default_rng(20250822)
    groups = rng.standard_normal((GROUPS, 1, DIMENSIONS))
    centres = (groups + 0.5 * rng.standard_normal((GROUPS, SUBGROUPS, DIMENSIONS))).reshape(-1, DIMENSIONS)
    points = centres[rng.integers(0, len(centres), POINTS)] + 0.25 * rng.standard_normal((POINTS, DIMENSIONS))
    vectors: Floats = points.astype(np.float32)
    return vectors


def context(seed: int, encoder: TextEncoder, scratch: Path) -> Context:
    """One thread, on the CPU."""
    return Context(
        seed=seed,
        rng=np.random.default_rng(seed),
        device="cpu",
        threads=1,
        codebook_sizes=SIZES,
        text_encoder=encoder,
        views={},
        progress=lambda what, done, total: None,
        scratch=scratch,
    )


def measures(x: Floats, codes: Ints, rebuilt: Floats) -> tuple[float, ...]:
    """Codes used per level, distinct IDs, items per ID seen from an item, squared error as a share of the variance."""
    _, sizes = np.unique(codes, axis=0, return_counts=True)
    used = [float(len(np.unique(level))) for level in codes.T]
    error = float(np.square(x - rebuilt).sum() / np.square(x - x.mean(axis=0)).sum())
    return *used, float(len(sizes)), float(np.square(sizes).sum() / len(codes)), error


def row(make: type[RqVae] | type[RqKmeans], options: dict[str, object], x: Floats) -> list[str]:
    """Means and ranges over the seeds."""
    found = []
    for seed in SEEDS:
        quantizer = make(**options)  # type: ignore[arg-type]
        with tempfile.TemporaryDirectory() as scratch:
            quantizer.fit(x, context(seed, _NoEncoder(), Path(scratch)))
        codes = quantizer.encode(x)
        found.append(measures(x, codes, quantizer.decode(codes)))
    *used, ids, items, error = zip(*found, strict=True)
    levels = " + ".join(f"{np.mean(level):.0f}" for level in used)
    return [
        levels,
        f"{np.mean(ids):,.0f} ({min(ids):,.0f} to {max(ids):,.0f})",
        f"{np.mean(items):.1f} ({min(items):.1f} to {max(items):.1f})",
        f"{np.mean(error):.3f} ({min(error):.3f} to {max(error):.3f})",
    ]


def main() -> None:
    """Print the table."""
    argparse.ArgumentParser(prog="python -m benchmarks.rq_vae", description=__doc__.splitlines()[0]).parse_args()
    x = mixture()
    rows = []
    for kmeans_init, threshold in product((True, False), (2, 0)):
        options = {"kmeans_init": kmeans_init, "threshold_ema_dead_code": threshold}
        words = ("yes" if kmeans_init else "no", "replaced" if threshold else "left")
        rows.append(["rq-vae", *words, *row(RqVae, {"hidden": "128", "steps": 400, "lr": 0.003} | options, x)])
    rows.append(["rq-kmeans", "-", "-", *row(RqKmeans, {}, x)])
    rows.append(["rq-kmeans[beam=1]", "-", "-", *row(RqKmeans, {"beam": 1}, x)])
    print(tabulate(rows, HEADERS, tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main()
