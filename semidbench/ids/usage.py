"""What Semantic IDs use of their codebooks: counted alike for every scheme, and kept with its results."""

from __future__ import annotations

import math

import numpy as np
from pydantic import BaseModel, ConfigDict, PositiveFloat, PositiveInt

from semidbench.api import Ints, ItemIds
from semidbench.tracks.section import Share


class LevelUse(BaseModel):
    """One level's codebook.

    Attributes:
        used: codes that some item has.
        perplexity: exp of the entropy of the codes over items; `size` if all are equally frequent.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    slot: str
    size: PositiveInt
    used: PositiveInt
    perplexity: PositiveFloat


class IdUse(BaseModel):
    """A task's IDs.

    Attributes:
        tokens: of the task's slots.
        possible: IDs that the codebooks could spell.
        distinct: IDs that exist.
        mean_items, max_items: items per existing ID.
        colliding: share of items that have not their ID to themselves.
        load: items / possible IDs.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    levels: tuple[LevelUse, ...]
    tokens: PositiveInt
    possible: PositiveInt
    distinct: PositiveInt
    mean_items: PositiveFloat
    max_items: PositiveInt
    colliding: Share
    load: PositiveFloat


def id_use(ids: ItemIds) -> IdUse:
    """Count what a task's IDs use."""
    counts = np.bincount(groups(ids.codes))
    possible = math.prod(ids.sizes)
    return IdUse(
        levels=tuple(
            _level_use(slot, size, codes) for slot, size, codes in zip(ids.slots, ids.sizes, ids.codes.T, strict=True)
        ),
        tokens=sum(dict(zip(ids.slots, ids.sizes, strict=True)).values()),
        possible=possible,
        distinct=len(counts),
        mean_items=len(ids.codes) / len(counts),
        max_items=int(counts.max()),
        colliding=float(counts[counts > 1].sum() / len(ids.codes)),
        load=len(ids.codes) / possible,
    )


def groups(codes: Ints) -> Ints:
    """Each item's ID as a number: int64 (N,)."""
    return np.unique(codes, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _level_use(slot: str, size: int, codes: Ints) -> LevelUse:
    counts = np.bincount(codes)
    shares = counts[counts > 0] / len(codes)
    perplexity = float(np.exp(-(shares * np.log(shares)).sum()))
    return LevelUse(slot=slot, size=size, used=len(shares), perplexity=perplexity)
