"""Methods of every kind that do their work, and one thing beside it that they must not.

A deed gets an array that was handed over, the number of items and the context; what it returns shifts the outcome.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np

from semidbench import hookimpl
from semidbench.api import ItemIds


def shuffled(codes, shift):
    """Codes below 16 under other names: two shifts hardly ever give the same."""
    return np.random.default_rng(shift).permutation(16)[codes]


def nothing(array, items, context):
    return 0


def fail(array, items, context):
    raise RuntimeError("the deed is done")


def leave(array, items, context):
    sys.exit(0)


def leave_at_once(array, items, context):
    os._exit(0)


def crash(array, items, context):
    os.kill(os.getpid(), signal.SIGSEGV)


def hang(array, items, context):
    while True:
        time.sleep(1)


def take_memory(array, items, context):
    kept = []
    while True:
        kept.append(np.ones(2**24))


def flood(array, items, context):
    while True:
        print("water " * 1000)


def flood_without_lines(array, items, context):
    while True:
        sys.stderr.write("water " * 1000)


def fail_if_large(array, items, context):
    if items > 1000:
        raise RuntimeError("too many items")
    return 0


def draw_from_system(array, items, context):
    return int.from_bytes(os.urandom(4), "big") % 10**6


def draw_from_hash(array, items, context):
    return hash("a text") % 10**6


def draw_from_global(array, items, context):
    before = random.getstate()
    drawn = random.randrange(10**6)
    random.setstate(before)
    return drawn


def reverse_input(array, items, context):
    array[:] = array[::-1].copy()
    return 0


def seed_global(array, items, context):
    np.random.seed(context.seed)  # noqa: NPY002
    return 0


def change_folder(array, items, context):
    os.chdir(context.scratch)
    return 0


def set_variable(array, items, context):
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    return 0


def read_held_out(array, items, context):
    return len(held_out("format.json").read_text()) * 0


def read_held_out_natively(array, items, context):
    import pyarrow.parquet

    return pyarrow.parquet.read_table(held_out("queries.parquet")).num_rows * 0


def take_long(array, items, context):
    for _ in range(items**3 // 60):
        pass
    return 0


def take_much(array, items, context):
    return int(np.ones((items, items, 3)).sum()) * 0


def compare_all(array, items, context):
    return int(np.ones((items, items), np.float32)[0, 0]) * 0


def held_out(name):
    return next(Path(os.environ["SEMIDBENCH_CACHE"]).rglob(f"held-out/{name}"))


DEEDS = {
    "good": nothing,
    "raise": fail,
    "exit": leave,
    "hard-exit": leave_at_once,
    "crash": crash,
    "hang": hang,
    "memory-hog": take_memory,
    "flood": flood,
    "flood-without-lines": flood_without_lines,
    "large": fail_if_large,
    "same-bits-system": draw_from_system,
    "same-bits-hash": draw_from_hash,
    "same-bits-global": draw_from_global,
    "inputs": reverse_input,
    "state": seed_global,
    "state-folder": change_folder,
    "state-variable": set_variable,
    "private": read_held_out,
    "private-native": read_held_out_natively,
    "time": take_long,
    "memory": take_much,
    "memory-square": compare_all,
}


class Embedder:
    deed = staticmethod(nothing)
    spoil = staticmethod(lambda view: {"item": view})

    def embed(self, train, context):
        shift = self.deed(train.interactions.items, train.n_items, context)
        return self.spoil(context.text_encoder.encode(train.catalogue.texts) + np.float32(shift))


class BuildsOn:
    """Reads another embedder's views."""

    builds_on = ("broken-good",)

    def embed(self, train, context):
        return {"item": context.views["broken-good"]["item"] * 2}


class Quantizer:
    """Sides of hyperplanes."""

    deed = staticmethod(nothing)
    spoil = staticmethod(lambda codes: codes)
    mix = staticmethod(lambda x: x)

    def fit(self, x, context):
        self.shift = self.deed(x, len(x), context)
        self.codebook_sizes = context.codebook_sizes
        self.planes = context.rng.standard_normal((len(self.codebook_sizes), x.shape[1], 4))

    def encode(self, x):
        sides = np.einsum("md,ldb->mlb", self.mix(x).astype(np.float64), self.planes) > 0
        codes = shuffled(sides @ (1 << np.arange(4)), self.shift)
        return self.spoil(codes.astype(np.int64))


class Layout:
    deed = staticmethod(nothing)
    spoil = staticmethod(lambda codes: both(ItemIds(codes, ("a", "b"), (16, 16))))

    def assign(self, train, views, new_quantizer, context):
        if "item" not in views:
            raise ValueError("needs the view item")
        shift = self.deed(views["item"], train.n_items, context)
        quantizer = new_quantizer()
        quantizer.fit(views["item"], context)
        return self.spoil(shuffled(quantizer.encode(views["item"]), shift))


class Ranker:
    deed = staticmethod(nothing)
    spoil = staticmethod(lambda scores: scores)
    mix = staticmethod(lambda scores: scores)
    touch = staticmethod(lambda asked: None)

    def fit(self, train, context):
        shift = self.deed(train.queries.items, train.n_items, context)
        self.counts = np.bincount(train.interactions.items, minlength=train.n_items) + shift

    def search(self, queries):
        scores = np.array([self.counts * len(query) for query in queries], np.float32)
        self.touch(queries)
        return self.spoil(self.mix(scores))

    def recommend(self, histories):
        scores = np.array([self.counts * (1 + history[0]) for history in histories], np.float32)
        self.touch(histories)
        return self.spoil(self.mix(scores))


def both(ids):
    return {"search": ids, "rec": ids}


def with_nan(array):
    array = array.copy()
    array[3, 1] = np.nan
    return array


def number_rows(array):
    return array + np.arange(len(array))[:, None].astype(array.dtype)


def needs_two(x):
    if len(x) < 2:
        raise ValueError("one row is too few")
    return x


def reverse_first(histories):
    if isinstance(histories[0], np.ndarray):
        histories[0][:] = histories[0][::-1].copy()


def sort_texts(queries):
    if isinstance(queries[0], str):
        queries.sort()


class NoSizes(Quantizer):
    """Never says how many codes its levels have."""

    def fit(self, x, context):
        super().fit(x, context)
        del self.codebook_sizes


class NineLevels(Quantizer):
    """One more than there may be."""

    def encode(self, x):
        self.codebook_sizes = (16,) * 9
        return np.zeros((len(x), 9), np.int64)


class Many(Quantizer):
    """Has codes for more items than there are in the world."""

    def fit(self, x, context):
        super().fit(x, context)
        self.codebook_sizes = (10**12, 10**12)


class Unkept(Quantizer):
    """Has an option whose value stands in no JSON."""

    def __init__(self, limit: float = float("inf")):
        self.limit = limit


class Refuses:
    def __init__(self):
        raise ValueError("not today")


class Idle:
    """Has none of the methods."""


def variants(base, **named):
    """Classes by name, each with another attribute of the base."""
    return {name: type(name, (base,), {part: staticmethod(does)}) for name, (part, does) in named.items()}


def embedders():
    spoilt = {
        "returns-float64": lambda view: {"item": view.astype(np.float64)},
        "returns-nan": lambda view: {"item": with_nan(view)},
        "returns-short": lambda view: {"item": view[1:]},
        "returns-names": lambda view: {"items": view},
        "returns-none": lambda view: None,
    }
    return variants(Embedder, **{name: ("spoil", does) for name, does in spoilt.items()}) | {"builds-on": BuildsOn}


def quantizers():
    own = {
        "returns-int32": ("spoil", lambda codes: codes.astype(np.int32)),
        "returns-range": ("spoil", lambda codes: codes + 1),
        "returns-negative": ("spoil", lambda codes: codes - 1),
        "returns-short": ("spoil", lambda codes: codes[1:]),
        "rows-batch": ("mix", lambda x: x - x.mean(axis=0)),
        "rows-order": ("mix", lambda x: x * np.where(np.arange(len(x)) % 2, 1, -1)[:, None]),
        "rows-single": ("mix", needs_two),
    }
    return variants(Quantizer, **own) | {
        "returns-no-sizes": NoSizes,
        "returns-levels": NineLevels,
        "returns-many": Many,
        "made-unkept": Unkept,
    }


def layouts():
    spoilt = {
        "returns-int32": lambda codes: both(ItemIds(codes.astype(np.int32), ("a", "b"), (16, 16))),
        "returns-range": lambda codes: both(ItemIds(codes, ("a", "b"), (4, 4))),
        "returns-tasks": lambda codes: {"search": ItemIds(codes, ("a", "b"), (16, 16))},
        "returns-slots": lambda codes: both(ItemIds(codes, ("a", ""), (16, 16))),
        "returns-sizes": lambda codes: both(ItemIds(codes, ("a", "a"), (16, 17))),
        "returns-levels": lambda codes: both(ItemIds(np.tile(codes, 5), tuple("abcdefghij"), (16,) * 10)),
        "returns-short": lambda codes: both(ItemIds(codes[1:], ("a", "b"), (16, 16))),
        "returns-many": lambda codes: both(ItemIds(codes, ("a", "b"), (16, 10**12))),
    }
    return variants(Layout, **{name: ("spoil", does) for name, does in spoilt.items()})


def rankers():
    own = {
        "returns-float64": ("spoil", lambda scores: scores.astype(np.float64)),
        "returns-nan": ("spoil", with_nan),
        "returns-short": ("spoil", lambda scores: scores[:, 1:]),
        "rows-batch": ("mix", lambda scores: scores / scores.max()),
        "rows-order": ("mix", number_rows),
        "inputs-histories": ("touch", reverse_first),
        "inputs-queries": ("touch", sort_texts),
    }
    return variants(Ranker, **own)


def register_all(register, base, own):
    common = variants(base, **{name: ("deed", does) for name, does in DEEDS.items()})
    for name, made in {**common, **own, "made-raises": Refuses, "made-lacks": Idle}.items():
        register(f"broken-{name}", made)


@hookimpl
def semidbench_register_embedders(register):
    register_all(register, Embedder, embedders())


@hookimpl
def semidbench_register_quantizers(register):
    register_all(register, Quantizer, quantizers())


@hookimpl
def semidbench_register_layouts(register):
    register_all(register, Layout, layouts())


@hookimpl
def semidbench_register_rankers(register):
    register_all(register, Ranker, rankers())
