"""What the harness checks of everything a plugin returns. A breach names the method and what was seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from semidbench.api import TASKS, Context, Floats, Ints, ItemIds, Quantizer, Task
from semidbench.errors import UserError
from semidbench.store.plain_values import MAX_TEXT, is_line

MAX_LEVELS = 8
ALWAYS_CODES = 2**16  # a codebook may have as many, however few items there are
_SHOWN = 200  # characters of what came


def _breach(who: str, expected: str, seen: str) -> UserError:
    return UserError(f"{who} broke its contract: expected {expected}, got {seen}. See docs/reference/plugin-api.md")


def _array(who: str, what: str, value: Any, dtype: type, shape: tuple[int | None, ...]) -> np.ndarray[Any, Any]:
    """`value` if it is an array of that type and shape (None: any positive length)."""
    if not isinstance(value, np.ndarray):
        raise _breach(who, f"{what} as a numpy array", type(value).__name__)
    if value.dtype != dtype:
        raise _breach(who, f"{what} of dtype {np.dtype(dtype)}", str(value.dtype))
    fits = value.ndim == len(shape) and all(
        have == want if want is not None else have > 0 for have, want in zip(value.shape, shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if want is None else str(want) for want in shape)
        raise _breach(who, f"{what} of shape ({wanted})", str(value.shape))
    return value


def _finite(who: str, what: str, value: Floats) -> None:
    bad = ~np.isfinite(value).all(axis=1)
    if bad.any():
        raise _breach(who, f"{what} to be finite", f"NaN or infinity in {bad.sum()} rows, first in row {bad.argmax()}")


def check_views(who: str, views: Any, n_items: int) -> dict[str, Floats]:
    """An embedder's views: float32 (N, d), finite, named `item`, or `search` and `rec`."""
    if not isinstance(views, Mapping) or set(views) not in ({"item"}, {"search", "rec"}):
        seen = sorted(map(str, views)) if isinstance(views, Mapping) else type(views).__name__
        raise _breach(who, "views named 'item', or 'search' and 'rec'", str(seen))
    for name, view in views.items():
        _array(who, f"view {name!r}", view, np.float32, (n_items, None))
        _finite(who, f"view {name!r}", view)
    return dict(views)


def check_scores(who: str, scores: Any, rows: int, n_items: int) -> Floats:
    """A ranker's scores: float32 (rows, N), no NaN."""
    checked = _array(who, "scores", scores, np.float32, (rows, n_items))
    if np.isnan(checked.min(initial=0)):  # NaN is the least of all, and nothing as large is made
        raise _breach(who, "scores without NaN", f"NaN in {np.isnan(checked).any(axis=1).sum()} rows")
    return checked


def check_item_ids(who: str, ids: Any, n_items: int) -> dict[Task, ItemIds]:
    """A layout's IDs, for both tasks."""
    if not isinstance(ids, Mapping) or set(ids) != set(TASKS):
        seen = sorted(map(str, ids)) if isinstance(ids, Mapping) else type(ids).__name__
        raise _breach(who, "IDs for 'search' and 'rec'", str(seen))
    for task in TASKS:
        task_ids = ids[task]
        if not isinstance(task_ids, ItemIds):
            raise _breach(who, f"semidbench.api.ItemIds for {task!r}", type(task_ids).__name__)
        _check_slots(who, task_ids)
        _check_sizes(who, "sizes", task_ids.sizes, n_items)
        _check_codes(who, task_ids.codes, n_items, task_ids.sizes)
    slots = {(slot, size) for task in TASKS for slot, size in zip(ids[task].slots, ids[task].sizes, strict=True)}
    for slot in sorted({slot for slot, _ in slots}):
        sizes = sorted(size for name, size in slots if name == slot)
        if len(sizes) > 1:
            raise _breach(who, f"one size for slot {slot!r} everywhere", f"sizes {sizes}")
    return {task: ids[task] for task in TASKS}


def _check_slots(who: str, ids: ItemIds) -> None:
    if not isinstance(ids.slots, tuple) or not isinstance(ids.sizes, tuple):
        seen = f"{type(ids.slots).__name__} and {type(ids.sizes).__name__}"
        raise _breach(who, "slots and sizes as tuples", seen)
    if not 1 <= len(ids.slots) <= MAX_LEVELS or len(ids.sizes) != len(ids.slots):
        raise _breach(who, f"1 to {MAX_LEVELS} slots, one size each", f"{ids.slots} and {ids.sizes}")
    if not all(isinstance(slot, str) and slot and is_line(slot) for slot in ids.slots):
        expected = f"slot names of 1 to {MAX_TEXT} characters, all printable"
        raise _breach(who, expected, ascii(ids.slots)[:_SHOWN])


def _check_sizes(who: str, what: str, sizes: Any, n_items: int) -> tuple[int, ...]:
    """Codebook sizes: each is a part of the generator's vocabulary, so more codes than items could use are refused."""
    expected = f"{what} as a tuple of 1 to {MAX_LEVELS} positive ints"
    if not isinstance(sizes, tuple):
        raise _breach(who, expected, type(sizes).__name__)
    if not 1 <= len(sizes) <= MAX_LEVELS or not all(type(size) is int and size > 0 for size in sizes):
        raise _breach(who, expected, repr(sizes)[:_SHOWN])
    most = max(ALWAYS_CODES, n_items)
    if max(sizes) > most:
        raise _breach(who, f"{what} of at most {most:,} codes a level, for {n_items:,} items", repr(sizes)[:_SHOWN])
    return sizes


def _check_codes(who: str, codes: Any, rows: int, sizes: tuple[int, ...]) -> Ints:
    checked = _array(who, "codes", codes, np.int64, (rows, len(sizes)))
    bad = (checked < 0) | (checked >= np.asarray(sizes))
    if bad.any():
        row, level = np.argwhere(bad)[0]
        raise _breach(who, f"codes in 0..{sizes[level] - 1} at level {level}", f"{checked[row, level]} in row {row}")
    return checked


class CheckedQuantizer:
    """A quantizer that holds what it returns against the contract."""

    def __init__(self, who: str, quantizer: Quantizer) -> None:
        self._who = who
        self._quantizer = quantizer
        self._fitted_on = 0

    @property
    def codebook_sizes(self) -> tuple[int, ...]:
        return _check_sizes(
            self._who, "codebook_sizes", getattr(self._quantizer, "codebook_sizes", None), self._fitted_on
        )

    def fit(self, x: Floats, context: Context) -> None:
        self._quantizer.fit(x, context)
        self._fitted_on = len(x)

    def encode(self, x: Floats) -> Ints:
        return _check_codes(self._who, self._quantizer.encode(x), len(x), self.codebook_sizes)
