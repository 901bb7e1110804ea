"""Diverse beam search over the IDs that exist.

Equals transformers 4.53.3's group beam search with a prefix constraint (Vijayakumar et al., 2016):
groups choose one after the other; a group's scores for a code are lowered by the penalty times the
number of earlier groups' beams that chose that code at this level; the lowered scores accumulate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from transformers import T5ForConditionalGeneration

from semidbench import t5_tree, track
from semidbench.api import Floats, Ints
from semidbench.examples import TokenRows
from semidbench.trie import Trie

_UNUSED = -1e9  # the score of a group's beams but the first, before the first level
_MAX_STATES = 2**14  # beams x prompts in a batch: what fits a core's cache decodes twice as fast as four times that


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
    sizes: tuple[int, ...],
    section: track.Decoding,
    *,
    device: str,
    progress: Callable[[str, int, int], None],
) -> BeamLists:
    """Search every prompt, in batches of similar length.

    Args:
        first_tokens: the token of code 0 of each level.
        sizes: codes of each level.
    """
    model.to(device).eval()
    trie = trie.to(device)
    ids = np.empty((len(prompts), section.beams), dtype=np.int64)
    scores = np.empty((len(prompts), section.beams), dtype=np.float32)
    order = np.argsort(prompts.lengths, kind="stable")
    batch = max(1, _MAX_STATES // (section.beams * max(1, max(sizes) // 64)))
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        tokens, mask = (torch.from_numpy(array).to(device) for array in prompts.padded(rows))
        with torch.inference_mode(), torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda"):
            found, found_scores = search(model, tokens, mask, trie, first_tokens, sizes, section)
        ids[rows], scores[rows] = found.cpu().numpy(), found_scores.cpu().numpy()
        progress("decode", start + len(rows), len(order))
    return BeamLists(ids, scores)


def search(
    model: T5ForConditionalGeneration,
    tokens: torch.Tensor,
    mask: torch.Tensor,
    trie: Trie,
    first_tokens: tuple[int, ...],
    sizes: tuple[int, ...],
    section: track.Decoding,
) -> tuple[torch.Tensor, torch.Tensor]:
    """One batch: int64 tokens and mask (B, T) to IDs int64 and scores float32, both (B, beams)."""
    state = t5_tree.begin(model, tokens, mask)
    count, device = len(tokens), tokens.device
    per_group = section.beams // section.groups
    scores = torch.full((count, section.groups, per_group), _UNUSED, device=device)
    scores[:, :, 0] = 0.0
    beam_rows = torch.zeros(scores.shape, dtype=torch.int64, device=device)  # each beam's computed prefix
    row_nodes = torch.zeros((count, 1), dtype=torch.int64, device=device)  # its node in the tree
    row_tokens = torch.full((count, 1), model.config.decoder_start_token_id, device=device)
    parents: torch.Tensor | None = None
    for level, (first, size) in enumerate(zip(first_tokens, sizes, strict=True)):
        hidden = t5_tree.step(model, state, row_tokens, parents)
        log_p = t5_tree.log_probabilities(model, hidden, first, size)
        children = trie.children(level, row_nodes, size)
        log_p = log_p.masked_fill(children < 0, -torch.inf)
        scores, beam_rows, codes = _choose(scores, beam_rows, log_p, section.diversity_penalty)
        beam_rows, parents, row_codes = _merge_equal_prefixes(beam_rows, codes, size)
        row_nodes = children.gather(1, parents[..., None].expand(-1, -1, size)).gather(2, row_codes[..., None])
        row_nodes = row_nodes.squeeze(2).clamp(min=0)
        row_tokens = row_codes + first
    ids = row_nodes.gather(1, beam_rows.flatten(1))
    final = scores.flatten(1)
    used = final > _UNUSED / 2
    final = (final / len(sizes)).masked_fill(~used, -torch.inf)
    final, order = final.sort(dim=1, descending=True, stable=True)
    return ids.masked_fill(~used, -1).gather(1, order), final


def _choose(
    scores: torch.Tensor, beam_rows: torch.Tensor, log_p: torch.Tensor, penalty: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """One level's choice, group after group, all prompts at once.

    Args:
        scores: (B, groups, per_group), accumulated.
        beam_rows: int64, same shape, each beam's row in `log_p`.
        log_p: (B, rows, codes), -inf where no ID goes on.

    Returns:
        New scores, the rows that the chosen beams come from, and the codes they add.
    """
    count, groups, per_group = scores.shape
    size = log_p.shape[2]
    chosen = torch.zeros((count, size), dtype=log_p.dtype, device=log_p.device)  # beams by code, so far
    outcome: tuple[list[torch.Tensor], ...] = ([], [], [])
    for group in range(groups):
        rows = beam_rows[:, group]
        options = log_p.gather(1, rows[..., None].expand(-1, -1, size)) - penalty * chosen[:, None]
        best, at = (options + scores[:, group, :, None]).flatten(1).topk(per_group, dim=1)
        codes = at % size
        chosen.scatter_add_(1, codes, torch.isfinite(best).to(chosen.dtype))
        for column, value in zip(outcome, (best, rows.gather(1, at // size), codes), strict=True):
            column.append(value)
    new_scores, rows, codes = (torch.stack(column, dim=1) for column in outcome)
    return new_scores, rows, codes


def _merge_equal_prefixes(
    rows: torch.Tensor, codes: torch.Tensor, size: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Number the distinct (row, code) pairs of each prompt.

    Returns:
        Each beam's number, like `rows`; and for each number its parent row and its code, int64
        (B, most distinct pairs), filled with 0 behind a prompt's last.
    """
    keys = (rows * size + codes).flatten(1)
    ordered, order = keys.sort(dim=1)
    new = torch.ones_like(ordered, dtype=torch.bool)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    number = new.cumsum(1) - 1
    distinct = torch.zeros((len(keys), int(number.max()) + 1), dtype=torch.int64, device=keys.device)
    distinct.scatter_(1, number, ordered)
    beam_numbers = torch.empty_like(number).scatter_(1, order, number)
    return beam_numbers.view(rows.shape), distinct // size, distinct % size
