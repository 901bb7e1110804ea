"""Diverse beam search over the IDs that exist.

Equals transformers 4.53.3's group beam search with a prefix constraint (Vijayakumar et al., 2016):
groups choose one after the other; a group's scores for a code are lowered by the penalty times the
number of earlier groups' beams that chose that code at this level; the lowered scores accumulate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from transformers import T5ForConditionalGeneration

from semidbench.api import Floats, Ints
from semidbench.errors import UserError
from semidbench.generator import t5_tree
from semidbench.generator.recorded import Recorded, recorder

if TYPE_CHECKING:
    from semidbench.generator.examples import TokenRows
    from semidbench.generator.trie import Trie
    from semidbench.tracks import track

_UNUSED = -1e9  # the score of a group's beams but the first, before the first level
_PRUNED = 8  # levels of more codes than so many times the beams are cut to as many codes as beams
_MOST_PROMPTS = {"cpu": 256, "cuda": 4096}  # at once; more gain nothing
_MEMORY = 2**29  # bytes of a batch on a CPU
_OUT_OF_MEMORY = ("can't allocate memory", "ALLOC_FAILED", "out of memory")  # of torch's allocator, cuBLAS, oneDNN
_PREFIXES = 64  # prefixes are filled up to a multiple: few shapes, which libraries prepare for once


@dataclass(frozen=True, slots=True)
class BeamLists:
    """What the search returned for Q prompts, best first.

    Attributes:
        ids: int64 (Q, beams), rows of the distinct IDs, -1 where fewer IDs exist than a group has
            beams. The same ID can come back from several groups.
        scores: float32 (Q, beams), sum of log-probabilities less the penalties, over the number of
            levels; -inf where the ID is -1.
    """

    ids: Ints
    scores: Floats


def decode(
    model: T5ForConditionalGeneration,
    prompts: TokenRows,
    trie: Trie,
    first_tokens: tuple[int, ...],
    section: track.Decoding,
    *,
    device: str,
    progress: Callable[[str, int, int], None],
    choose: Chooser | None = None,
) -> BeamLists:
    """Search every prompt, in batches of similar length.

    Args:
        first_tokens: the token of code 0 of each level.
        device: "cpu" or "cuda".
        progress: called as `progress("decode", done, total)` after each batch.
        choose: `chooser` of this device and section, with what it has recorded; None makes one.

    Raises:
        UserError: a single prompt does not fit in memory.
    """
    model.to(device).eval()
    trie = trie.to(device)
    choose = choose or chooser(device, section)
    ids = np.empty((len(prompts), section.beams), dtype=np.int64)
    scores = np.empty((len(prompts), section.beams), dtype=np.float32)
    order = np.argsort(-prompts.lengths, kind="stable")  # the longest first: too large a batch fails at once
    done, longest = 0, int(prompts.lengths.max(initial=1))
    batch = _prompts_at_once(model, longest, trie.sizes, section.beams, device)
    while done < len(order):
        rows = order[done : done + batch]
        tokens, mask = prompts.padded(rows)
        found = _search_if_it_fits(model, tokens, mask, trie, first_tokens, choose, device)
        if found is None and len(rows) == 1:
            raise UserError(
                f"decoding: one prompt of {tokens.shape[1]} tokens with {section.beams} beams does not fit in the "
                f"memory of {device}. Free some, or take a smaller generator, fewer beams or a larger machine"
            )
        if found is None:
            batch, choose = len(rows) // 2, chooser(device, section)  # its recordings hold memory
            continue
        ids[rows], scores[rows] = found
        done += len(rows)
        progress("decode", done, len(order))
    return BeamLists(ids, scores)


def _prompts_at_once(
    model: T5ForConditionalGeneration, longest: int, sizes: Sequence[int], beams: int, device: str
) -> int:
    """How many prompts a batch holds, by an estimate in float32 of what one takes; on a machine always as many."""
    config = model.config
    cached = 2 * config.num_decoder_layers * config.num_heads * config.d_kv  # keys and values of a position
    prefixes = [min(beams, math.prod(sizes[:level])) for level in range(len(sizes))]  # that go on from each level
    codes = max(count * size for count, size in zip(prefixes, sizes, strict=True))
    floats = 2 * longest * cached + sum(prefixes) * cached + max(prefixes) * 4 * config.d_ff + 8 * codes
    memory = _MEMORY if device == "cpu" else torch.cuda.get_device_properties(device).total_memory // 4
    return max(1, min(_MOST_PROMPTS[device], int(memory // (4 * floats))))


def _search_if_it_fits(
    model: T5ForConditionalGeneration,
    tokens: Ints,
    mask: Ints,
    trie: Trie,
    first_tokens: tuple[int, ...],
    choose: Chooser,
    device: str,
) -> tuple[Ints, Floats] | None:
    """What `search` finds, on a device and back; None where its memory runs out.

    In float32 on every device: bfloat16 on a graphics card left not one list of 96 as a CPU has it, and float32 98%.
    """
    try:
        with torch.inference_mode():
            prompts, unmasked = (torch.from_numpy(array).to(device) for array in (tokens, mask))
            ids, scores = search(model, prompts, unmasked, trie, first_tokens, choose)
            return ids.cpu().numpy(), scores.cpu().numpy()
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and not any(
            text in str(error) for text in _OUT_OF_MEMORY
        ):
            raise
    if device == "cuda":
        torch.cuda.empty_cache()
    return None


def search(
    model: T5ForConditionalGeneration,
    tokens: torch.Tensor,
    mask: torch.Tensor,
    trie: Trie,
    first_tokens: tuple[int, ...],
    choose: Chooser,
) -> tuple[torch.Tensor, torch.Tensor]:
    """One batch: int64 tokens and mask (B, T) to IDs int64 and scores float32, both (B, beams)."""
    state = t5_tree.begin(model, tokens, mask)
    count, device = len(tokens), tokens.device
    scores = torch.full((count, choose.groups, choose.per_group), _UNUSED, device=device)
    scores[:, :, 0] = 0.0
    row_prompts = torch.arange(count, device=device)  # of each prefix computed: its prompt,
    row_nodes = torch.zeros_like(row_prompts)  # its node in the tree of IDs,
    row_tokens = torch.full_like(row_prompts, model.config.decoder_start_token_id)  # its last token,
    parents: torch.Tensor | None = None  # and its own prefix among those of the level before
    beam_rows = row_prompts[:, None, None].expand(scores.shape)  # each beam's prefix
    for level, (first, size) in enumerate(zip(first_tokens, trie.sizes, strict=True)):
        hidden = t5_tree.step(model, state, row_tokens, row_prompts, parents)
        children = trie.children(level, row_nodes)
        log_p = t5_tree.log_probabilities(model, hidden, first, size).masked_fill_(children < 0, -torch.inf)
        scores, beam_rows, codes = choose(scores, beam_rows, log_p)
        longer, beam_rows = torch.unique(beam_rows * size + codes, return_inverse=True)  # equal prefixes are one row
        longer = torch.cat([longer, longer[-1:].expand(-len(longer) % _PREFIXES)])
        parents, codes = longer // size, longer % size
        row_prompts = row_prompts[parents]
        row_nodes = children.flatten()[longer].long().clamp(min=0)  # -1 where a NaN was chosen, as its score shows
        row_tokens = codes + first
    ids, final = row_nodes[beam_rows].flatten(1), scores.flatten(1)
    used = final > _UNUSED / 2
    final = (final / len(first_tokens)).masked_fill(~used, -torch.inf)
    final, order = final.sort(dim=1, descending=True, stable=True)
    return ids.masked_fill(~used, -1).gather(1, order), final


@dataclass(frozen=True, slots=True)
class Chooser:
    """One level's choice by diverse beam search, recorded where that saves launches.

    Attributes:
        recorded: of scores, rows and log-probabilities of as many rows as there are beams; None: nothing is recorded.
    """

    groups: int
    per_group: int
    penalty: float
    recorded: Recorded | None

    def __call__(
        self, scores: torch.Tensor, beam_rows: torch.Tensor, log_p: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """As `_choose`."""
        if self.recorded is None:
            return _choose(scores, beam_rows, log_p, self.penalty)
        most = scores.numel() + -scores.numel() % _PREFIXES  # prefixes vary, beams do not
        room = log_p.new_zeros(most, log_p.shape[1])
        room[: len(log_p)] = log_p
        new_scores, rows, codes = self.recorded(scores, beam_rows, room)
        return new_scores, rows, codes


def chooser(device: str, section: track.Decoding) -> Chooser:
    """One that has recorded nothing."""
    record, penalty = recorder(device), section.diversity_penalty
    recorded = None if record is None else Recorded(partial(_choose, penalty=penalty), record)
    return Chooser(section.groups, section.beams // section.groups, penalty, recorded)


def _choose(
    scores: torch.Tensor, beam_rows: torch.Tensor, log_p: torch.Tensor, penalty: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """One level's choice, group after group, all prompts at once.

    Args:
        scores: (B, groups, per_group), accumulated.
        beam_rows: int64, same shape, each beam's row in `log_p`.
        log_p: (rows, codes), -inf where no ID goes on.

    Returns:
        New scores, the rows that the chosen beams come from, and the codes they add, all of the same shape.
    """
    count, groups, per_group = scores.shape
    taken = torch.zeros((count, log_p.shape[1]), device=log_p.device)  # beams of earlier groups, by code
    one = torch.ones((count, per_group), device=log_p.device)
    log_p, codes_of = _best_codes(log_p, groups * per_group)
    size = log_p.shape[1]
    outcome: tuple[list[torch.Tensor], ...] = ([], [], [])
    for group in range(groups):
        rows = beam_rows[:, group]
        options = log_p.index_select(0, rows.flatten()).view(count, per_group, size)
        penalties = (penalty * taken)[:, None]
        if codes_of is not None:
            offered = codes_of.index_select(0, rows.flatten()).view(count, per_group, size)
            penalties = penalties.expand(-1, per_group, -1).gather(2, offered)
        options.sub_(penalties).add_(scores[:, group, :, None])
        best, at = options.flatten(1).topk(per_group, dim=1)
        codes = at % size if codes_of is None else offered.flatten(1).gather(1, at)
        taken.scatter_add_(1, codes, one)
        for column, value in zip(outcome, (best, rows.gather(1, at // size), codes), strict=True):
            column.append(value)
    new_scores, rows, codes = (torch.stack(column, dim=1) for column in outcome)
    return new_scores, rows, codes


def _best_codes(log_p: torch.Tensor, beams: int) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Each row's best `beams` codes, int64 (rows, beams), and their log-probabilities; None where a level has few.

    No beam can take another: when a group of g beams chooses, the groups before it have taken at most beams - g
    codes, so that of a row's best codes at least g are not lowered, and these come before any that is left out.
    """
    if log_p.shape[1] <= _PRUNED * beams:
        return log_p, None
    best, codes = log_p.topk(beams, dim=1)
    return best, codes
