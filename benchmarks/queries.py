"""What is done per query beside the models, at the paper's size: tokens, placements, hashes, metrics, files.

    python -m benchmarks.queries
    python -m benchmarks.queries --queries 100000 --repetitions 3

Peak GiB is that of the process until then, so that a step that needs more than all before it shows.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import machine
from semidbench.api import Floats, Ints, Task
from semidbench.generator.examples import search_prompts
from semidbench.results.cases import Cases, from_parquet, to_parquet
from semidbench.results.cell_metrics import compute_metrics
from semidbench.results.placements import best_items, place_beams, place_scores, rankings_sha256
from semidbench.text.tokenizer import trained_text_tokens
from semidbench.tracks.files import load_track

BATCH = 270  # queries whose scores of 62,138 items fill 64 MiB


def main() -> None:
    """Print the table."""
    wanted = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    wanted.add_argument("--queries", type=int, default=780_000)
    wanted.add_argument("--items", type=int, default=62_138)
    wanted.add_argument("--beams", type=int, default=60)
    wanted.add_argument("--repetitions", type=int, default=5)
    given = wanted.parse_args()
    print(f"{given.queries:,} queries, {given.items:,} items, {given.beams} beams\n")
    print("| step | seconds | peak GiB |\n| --- | ---: | ---: |")
    for name, step in _steps(given.queries, given.items, given.beams):
        seconds = median(_timed(step) for _ in range(given.repetitions))
        print(f"| {name} | {seconds:.2f} | {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} |")
    print(f"\nMedians of {given.repetitions}. {machine()}.")


def _timed(step: Callable[[], object]) -> float:
    began = time.monotonic()
    step()
    return time.monotonic() - began


def _steps(queries: int, items: int, beams: int) -> Any:
    """Names and steps; what a step is given is made before it is named."""
    track, rng = load_track("paper"), np.random.default_rng(0)
    texts = made_texts(made_words(rng), queries, 12, rng)
    tokenizer = trained_text_tokens(texts[:20_000], 8_000).tokenizer
    yield "tokenise the queries", lambda: search_prompts(texts, tokenizer, track.prompts)
    item_to_id = np.concatenate([np.arange(items * 3 // 4), rng.integers(0, items * 3 // 4, items - items * 3 // 4)])
    targets = rng.integers(0, items, queries)
    ids, scores = made_beams(queries, beams, item_to_id, rng)
    ids[:, beams // 3] = np.where(rng.random(queries) < 0.2, item_to_id[targets], ids[:, beams // 3])
    yield "place the targets in the beams", lambda: place_beams(ids, scores, item_to_id, targets)
    yield "hash the rankings", lambda: rankings_sha256({"search": ids})
    placed = place_beams(ids, scores, item_to_id, targets)
    own = Cases(placed, targets.astype(np.int32), targets < items // 100)
    cases: dict[Task, Cases] = {"search": own, "rec": own}  # twice as many as named
    yield "metrics of twice as many", lambda: compute_metrics(cases, track.evaluation)
    yield "write twice as many to Parquet", lambda: to_parquet(cases)
    data = to_parquet(cases)
    yield "read twice as many from Parquet", lambda: from_parquet(data, 2 * queries)
    dense = rng.standard_normal((BATCH, items), dtype=np.float32)
    named = f"of a ranker's scores of {BATCH} queries"
    yield f"place the targets {named}", lambda: place_scores(dense, targets[:BATCH])
    yield f"best {beams} items {named}", lambda: best_items(dense, beams)


def made_words(rng: np.random.Generator) -> NDArray[np.str_]:
    """20,000 made-up words of 3 to 8 letters."""
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    return np.array(["".join(rng.choice(letters, length)) for length in rng.integers(3, 9, 20_000)])


def made_texts(words: NDArray[np.str_], count: int, length: int, rng: np.random.Generator) -> list[str]:
    """Texts of so many words each, the first ones of the list more often."""
    return [" ".join(row) for row in words[np.minimum(rng.zipf(1.2, (count, length)) - 1, len(words) - 1)]]


def made_beams(queries: int, beams: int, item_to_id: Ints, rng: np.random.Generator) -> tuple[Any, Floats]:
    """Lists in which every ID stands twice, and falling scores."""
    half = rng.integers(0, int(item_to_id.max()) + 1, (queries, beams // 2), dtype=np.int32)
    scores = -np.sort(rng.random((queries, beams), dtype=np.float32), axis=1)
    return np.concatenate([half, half], axis=1), scores


if __name__ == "__main__":
    main()
