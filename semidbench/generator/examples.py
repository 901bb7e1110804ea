"""Prompts and training examples, as tokens.

Search: the query in the track's prompt, the item's search ID as target. Recommendation: the rec IDs of
the last items of a history, oldest first, the next item's rec ID as target; every prefix of a user's
training history is an example, or its latest ones where a track caps them. (Prompts, prefixes and history
length are ours: the paper is silent.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from semidbench.api import Interactions, Ints
from semidbench.text.tokenizer import END_ID

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from semidbench.tracks.track import Prompts

IGNORED = -100  # a label position that the loss skips
_CHUNK = 2**14  # texts in the tokenizer at a time: what it says of each takes 4 KiB


@dataclass(frozen=True, slots=True)
class TokenRows:
    """Rows of tokens of unequal length: row i is `flat[offsets[i]:offsets[i + 1]]`.

    Attributes:
        flat: int32.
        offsets: int64 (rows + 1).
    """

    flat: NDArray[np.int32]
    offsets: Ints

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Ints:
        return np.diff(self.offsets)

    def lengths_of(self, rows: Ints) -> Ints:
        """Of some rows, without going through all."""
        lengths: Ints = self.offsets[rows + 1] - self.offsets[rows]
        return lengths

    def padded(self, rows: Ints) -> tuple[Ints, Ints]:
        """The rows as one right-padded int64 (rows, longest) array, and its 0/1 mask."""
        lengths = self.lengths_of(rows)
        mask = np.arange(lengths.max()) < lengths[:, None]
        tokens = np.zeros(mask.shape, dtype=np.int64)
        tokens[mask] = self.flat[_ranges(self.offsets[rows], lengths)]
        return tokens, mask.astype(np.int64)


@dataclass(frozen=True, slots=True)
class Examples:
    """Prompts with their targets: `labels` int64 (rows, longest ID), short IDs filled with IGNORED."""

    prompts: TokenRows
    labels: Ints

    def __len__(self) -> int:
        return len(self.labels)


def search_prompts(texts: Sequence[str], tokenizer: Tokenizer, prompts: Prompts) -> TokenRows:
    """Tokens of each query in the search prompt, cut to `max_tokens`, with the end token."""
    before, after = prompts.search.split("{query}")
    flat, lengths = [np.zeros(0, np.int32)], [np.zeros(1, np.int64)]
    for start in range(0, len(texts), _CHUNK):
        filled = [f"{before}{text}{after}" for text in texts[start : start + _CHUNK]]
        encoded = tokenizer.encode_batch(filled, add_special_tokens=False)  # T5's own would add a second end token
        rows = [[*row.ids[: prompts.max_tokens - 1], END_ID] for row in encoded]
        flat.append(np.fromiter(chain.from_iterable(rows), np.int32))
        lengths.append(np.fromiter(map(len, rows), np.int64))
    return TokenRows(np.concatenate(flat), np.cumsum(np.concatenate(lengths)))


def rec_prompts(histories: Sequence[Ints], id_tokens: Ints, tokenizer: Tokenizer, prompts: Prompts) -> TokenRows:
    """Tokens of the last `history` items' IDs of each history in the recommendation prompt.

    Args:
        histories: item numbers, oldest first.
        id_tokens: the items' rec IDs as tokens, int64 (N, L).
    """
    if not histories:
        return TokenRows(np.zeros(0, np.int32), np.zeros(1, np.int64))
    items = np.concatenate(histories)
    ends = np.cumsum([len(history) for history in histories])
    starts = np.maximum(ends - prompts.history, np.concatenate([[0], ends[:-1]]))
    return _history_rows(items, starts, ends, id_tokens, tokenizer, prompts)


def training_examples(
    search: TokenRows,
    searched: Ints,
    interactions: Interactions,
    search_tokens: Ints,
    rec_tokens: Ints,
    tokenizer: Tokenizer,
    prompts: Prompts,
    prefixes_per_user: int | None = None,
) -> Examples:
    """All examples of both tasks, search first.

    Args:
        search: the training queries' prompts, from `search_prompts`.
        searched: int64 (queries,), the item of each.
        search_tokens: the items' search IDs as tokens, int64 (N, L).
        rec_tokens: the items' rec IDs as tokens, int64 (N, L).
        prefixes_per_user: the latest so many prefixes of each history; None means all.
    """
    position = np.arange(len(interactions))
    first = np.searchsorted(interactions.users, interactions.users)  # where each row's user begins
    left = np.searchsorted(interactions.users, interactions.users, side="right") - position  # 1 for the last
    ends = position[(position > first) & (left <= (prefixes_per_user or len(position)))]
    starts = np.maximum(ends - prompts.history, first[ends])
    rec = _history_rows(interactions.items, starts, ends, rec_tokens, tokenizer, prompts)
    width = max(search_tokens.shape[1], rec_tokens.shape[1])
    labels = [_widen(search_tokens[searched], width), _widen(rec_tokens[interactions.items[ends]], width)]
    flat = np.concatenate([search.flat, rec.flat])
    offsets = np.concatenate([search.offsets, rec.offsets[1:] + search.offsets[-1]])
    return Examples(TokenRows(flat, offsets), np.concatenate(labels))


def _history_rows(
    items: Ints, starts: Ints, ends: Ints, id_tokens: Ints, tokenizer: Tokenizer, prompts: Prompts
) -> TokenRows:
    """One prompt for each window items[start:end]."""
    before, after = (
        tokenizer.encode(part.strip(), add_special_tokens=False).ids for part in prompts.rec.split("{history}")
    )
    after = [*after, END_ID]
    width = id_tokens.shape[1]
    body = (ends - starts) * width
    offsets = np.concatenate([[0], np.cumsum(body + len(before) + len(after))])
    flat = np.empty(offsets[-1], dtype=np.int32)
    flat[(offsets[:-1, None] + np.arange(len(before))).ravel()] = np.tile(before, len(starts))
    flat[(offsets[1:, None] - len(after) + np.arange(len(after))).ravel()] = np.tile(after, len(starts))
    flat[_ranges(offsets[:-1] + len(before), body)] = id_tokens[items[_ranges(starts, ends - starts)]].ravel()
    return TokenRows(flat, offsets)


def _ranges(starts: Ints, lengths: Ints) -> Ints:
    """start, start + 1, ..., start + length - 1 of each pair, one after the other."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - ends + lengths, lengths)


def _widen(tokens: Ints, width: int) -> Ints:
    return np.pad(tokens, ((0, 0), (0, width - tokens.shape[1])), constant_values=IGNORED)
