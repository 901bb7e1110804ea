"""Token vocabulary: the text tokens of the prompts, and one token per (slot, code).

Text tokens come first, so that adding ID tokens moves none of them. ID tokens follow slot by slot, in
the order in which the tasks' IDs name the slots.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from semidbench.api import TASKS, Ints, ItemIds, Task
from semidbench.errors import UserError

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, slots=True)
class IdVocabulary:
    """Where each slot's tokens lie: token = offset[slot] + code.

    Attributes:
        text_tokens: size of the text vocabulary, the first ID token.
        offsets: first token of each slot.
        sizes: tokens of each slot.
    """

    text_tokens: int
    offsets: Mapping[str, int]
    sizes: Mapping[str, int]

    @property
    def n_id_tokens(self) -> int:
        return sum(self.sizes.values())

    def first_tokens(self, ids: ItemIds) -> tuple[int, ...]:
        """The token of code 0 of each level."""
        return tuple(self.offsets[slot] for slot in ids.slots)

    def tokens(self, ids: ItemIds) -> Ints:
        """Token ids int64 (N, L) of the items' IDs."""
        return ids.codes + np.asarray(self.first_tokens(ids), dtype=np.int64)


def id_vocabulary(ids: Mapping[Task, ItemIds], text_tokens: int) -> IdVocabulary:
    """Lay out the tokens of both tasks' slots behind the text tokens.

    Raises:
        UserError: a slot is named with two sizes.
    """
    sizes: dict[str, int] = {}
    for task in TASKS:
        for slot, size in zip(ids[task].slots, ids[task].sizes, strict=True):
            if sizes.setdefault(slot, size) != size:
                raise UserError(f"slot {slot!r} has {sizes[slot]} codes in one place and {size} in another")
    starts = np.cumsum([text_tokens, *sizes.values()]).tolist()
    return IdVocabulary(text_tokens, dict(zip(sizes, starts, strict=False)), sizes)
