"""How the cost of decoding grows with prompts, beams, levels and the catalogue.

    python -m benchmarks.growth
    python -m benchmarks.growth --what catalogue --items 1000 10000

The T5 is `width-128` of shapes.py with random weights, unpeaked, so that beams share few prefixes.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from statistics import median
from typing import Any

import numpy as np
import torch
from tabulate import tabulate
from transformers import T5ForConditionalGeneration

from benchmarks.measure import machine, medians
from benchmarks.shapes import SHAPES, Shape, catalogue, random_prompts, random_t5
from semidbench.api import Ints
from semidbench.generator.beam_search import decode
from semidbench.generator.trie import Trie, build_trie
from semidbench.ids.distinct import DistinctIds, distinct_ids
from semidbench.machine.memory import peak_mib
from semidbench.tracks import track

SHAPE = SHAPES["width-128"]
PROMPT_TOKENS, PROMPTS = 32, 256
BEAMS = 60
INDEX_SIZES = (1_024, 1_024, 1_024)
STEP_PROMPTS, STEP_NODES = 64, 30  # a decoding step's prompts, and the prefixes of each below the root
STEP_CALLS = 20


def decoding(beams: int) -> track.Decoding:
    """The paper's penalty, two beams a group."""
    return track.Decoding(beams=beams, groups=beams // 2, diversity_penalty=0.25)


def decode_timer(
    model: T5ForConditionalGeneration, shape: Shape, trie: Trie, prompts: int, beams: int
) -> Callable[[], float]:
    """Seconds of one `decode`."""
    rows = random_prompts(shape, prompts, PROMPT_TOKENS, seed=0)

    def seconds() -> float:
        started = time.perf_counter()
        decode(
            model,
            rows,
            trie,
            shape.first_tokens,
            decoding(beams),
            device="cpu",
            progress=lambda what, done, total: None,
        )
        return time.perf_counter() - started

    return seconds


def prompts_and_beams(repetitions: int, prompts: list[int], beams: list[int]) -> dict[str, dict[int, float]]:
    """Median seconds for each number of prompts at 60 beams, and of beams at 256 prompts."""
    model = random_t5(SHAPE, seed=0)
    trie = build_trie(distinct_ids(catalogue(SHAPE, seed=0)), SHAPE.sizes)
    by_prompts = {str(n): decode_timer(model, SHAPE, trie, n, BEAMS) for n in prompts}
    by_beams = {str(n): decode_timer(model, SHAPE, trie, PROMPTS, n) for n in beams}
    return {
        "prompts": {int(n): seconds for n, seconds in _warm_medians(by_prompts, repetitions).items()},
        "beams": {int(n): seconds for n, seconds in _warm_medians(by_beams, repetitions).items()},
    }


def levels(repetitions: int, numbers: list[int]) -> dict[int, float]:
    """Median seconds for 256 prompts and IDs of each number of levels, 64 codes each."""
    timers = {}
    for number in numbers:
        shape = replace(SHAPE, sizes=(64,) * number)
        trie = build_trie(distinct_ids(catalogue(shape, seed=0)), shape.sizes)
        timers[str(number)] = decode_timer(random_t5(shape, seed=0), shape, trie, PROMPTS, BEAMS)
    return {int(number): seconds for number, seconds in _warm_medians(timers, repetitions).items()}


def index_shape(items: int) -> Shape:
    """The T5 with 3 levels of 1,024 codes."""
    return replace(SHAPE, items=items, sizes=INDEX_SIZES)


def index(items: int, repetitions: int, threads: int) -> dict[str, Any]:
    """One catalogue, for a process of its own: building, its peak memory, masks, decoding.

    Returns:
        `ids`; `build` in seconds; `memory` in MiB, the whole process with Python, torch and the codes; `steps`, for
        each level the median seconds of one look-up of children, for the root of 64 prompts, then for 30 nodes of
        each; `full_node`, the same at the last level if one of its nodes has every child; `decode`, median seconds
        for 256 prompts.
    """
    torch.set_num_threads(threads)
    shape = index_shape(items)
    codes = catalogue(shape, seed=0)
    started = time.perf_counter()
    distinct = distinct_ids(codes)
    trie = build_trie(distinct, shape.sizes)
    built = {"ids": len(distinct.codes), "build": time.perf_counter() - started, "memory": peak_mib()}
    full = distinct_ids(with_full_node(codes))
    timer = decode_timer(random_t5(shape, seed=0), shape, trie, PROMPTS, BEAMS)
    return built | {
        "steps": step_seconds(trie, distinct, repetitions),
        "full_node": step_seconds(build_trie(full, shape.sizes), full, repetitions)[-1],
        "decode": _warm_medians({"decode": timer}, repetitions)["decode"],
    }


def index_apart(items: int, repetitions: int, threads: int) -> dict[str, Any]:
    """`index` in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(index, items, repetitions, threads).result()


def with_full_node(codes: Ints) -> Ints:
    """The same IDs, and every ID that begins with two zeros: a node with as many children as it can have."""
    last = np.arange(INDEX_SIZES[-1])
    return np.concatenate([codes, np.stack([np.zeros_like(last), np.zeros_like(last), last], axis=1)])


def step_seconds(trie: Trie, distinct: DistinctIds, repetitions: int) -> list[float]:
    """For each level the median seconds of `children` on nodes of random IDs."""
    rows = np.random.default_rng(0).integers(0, len(distinct.codes), (STEP_PROMPTS, STEP_NODES))
    nodes = torch.zeros(STEP_PROMPTS, dtype=torch.int64)
    found = []
    for level in range(len(INDEX_SIZES)):
        look_up = partial(trie.children, level, nodes)
        children = look_up()
        times = []
        for _ in range(repetitions):
            started = time.perf_counter()
            for _ in range(STEP_CALLS):
                look_up()
            times.append((time.perf_counter() - started) / STEP_CALLS)
        found.append(median(times))
        below = children.view(STEP_PROMPTS, -1, children.shape[1]).expand(-1, STEP_NODES, -1)
        codes = torch.from_numpy(distinct.codes[rows, level].astype(np.int64))[..., None]
        nodes = below.gather(2, codes).flatten().to(torch.int64)
    return found


def _warm_medians(timers: dict[str, Callable[[], float]], repetitions: int) -> dict[str, float]:
    for timer in timers.values():
        timer()
    return medians(timers, repetitions)


def _print_decoding(name: str, seconds: dict[int, float], prompts: Callable[[int], int]) -> None:
    rows = [(n, f"{took:.3g}", f"{1e3 * took / prompts(n):.3g}") for n, took in seconds.items()]
    print(tabulate(rows, (name, "seconds", "ms a prompt"), tablefmt="pipe", disable_numparse=True), end="\n\n")


def _print_catalogue(items: list[int], repetitions: int, threads: int) -> None:
    rows = []
    for count in items:
        found = index_apart(count, repetitions, threads)
        rows.append(
            (
                f"{count:,}",
                f"{found['ids']:,}",
                f"{found['build']:.3g}",
                f"{found['memory']:,.0f}",
                *(f"{1e3 * seconds:.3g}" for seconds in (*found["steps"], found["full_node"])),
                f"{1e3 * found['decode'] / PROMPTS:.3g}",
            )
        )
    steps = (f"look-up at level {level + 1}, ms" for level in range(len(INDEX_SIZES)))
    full = f"level {len(INDEX_SIZES)} with a full node, ms"
    headers = ("items", "IDs", "index built, s", "peak memory, MiB", *steps, full, "decode, ms a prompt")
    print(tabulate(rows, headers, tablefmt="pipe", disable_numparse=True), end="\n\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__.splitlines()[0])
    tables = ("decoding", "levels", "catalogue")
    parser.add_argument("--what", nargs="+", choices=tables, default=tables, help="default: all")
    parser.add_argument("--prompts", nargs="+", type=int, default=[64, 256, 1_024, 4_096])
    parser.add_argument("--beams", nargs="+", type=int, default=[10, 30, 60, 120], help="two a group")
    parser.add_argument("--levels", nargs="+", type=int, default=[1, 2, 3, 4, 5, 6, 7, 8])
    parser.add_argument("--items", nargs="+", type=int, default=[10**n for n in range(3, 8)], help="of the catalogue")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="default: %(default)s")
    parser.add_argument("--repetitions", type=int, default=5, help="default: %(default)s")
    return parser.parse_args()


def main() -> None:
    """Print a table for each thing that grows."""
    options = _options()
    torch.set_num_threads(options.threads)
    if "decoding" in options.what:
        found = prompts_and_beams(options.repetitions, options.prompts, options.beams)
        _print_decoding("prompts", found["prompts"], lambda n: n)
        _print_decoding("beams", found["beams"], lambda n: PROMPTS)
    if "levels" in options.what:
        _print_decoding("levels", levels(options.repetitions, options.levels), lambda n: PROMPTS)
    if "catalogue" in options.what:
        _print_catalogue(options.items, options.repetitions, options.threads)
    print(f"Medians of {options.repetitions}. {machine(options.threads)}.")


if __name__ == "__main__":
    main()
