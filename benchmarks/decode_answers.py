"""Whether two searches of decode.py give the same answers: semidbench and the peer, the card and the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.decode_task import Task
from benchmarks.peer import Peer

if TYPE_CHECKING:
    from benchmarks.decode import Ours

TOLERANCE = 1e-4
COMPARED_LISTS = 96  # prompts


def equal_answers(task: Task, peer: Peer, ours: Ours) -> int:
    """Of the peer's prompts, how many have the same sequences and scores here: float32 on the CPU."""
    count = task.shape.prompts[0]
    theirs = peer.ask(what="answers", prompts=count, batch=4)
    sequences, scores = ours.search(0, count, "cpu")
    pairs = zip(sequences.tolist(), scores.tolist(), theirs["sequences"], theirs["scores"], strict=True)
    return sum(same_answers(*pair) for pair in pairs)


def equal_lists(task: Task, ours: Ours) -> tuple[int, int]:
    """Prompts whose list on the device has the CPU's float32 IDs in the same order, and how many were decoded."""
    count = min(COMPARED_LISTS, len(task.prompts))
    on_device, on_cpu = (ours.search(0, count, device)[0] for device in (ours.device, "cpu"))
    return int((on_device == on_cpu).all(axis=(1, 2)).sum()), count


def same_answers(
    ours: list[list[int]], our_scores: list[float], theirs: list[list[int]], their_scores: list[float]
) -> bool:
    """Scores equal to 1e-4 in order, and the same sequences, where those of equal score may change places."""
    if not np.allclose(our_scores, their_scores, atol=TOLERANCE, rtol=0):
        return False
    left = list(zip(map(tuple, theirs), their_scores, strict=True))
    for sequence, score in zip(map(tuple, ours), our_scores, strict=True):
        match = next((pair for pair in left if pair[0] == sequence and abs(pair[1] - score) < TOLERANCE), None)
        if match is None:
            return False
        left.remove(match)
    return True
