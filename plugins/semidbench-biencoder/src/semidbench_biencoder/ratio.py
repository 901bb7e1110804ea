"""The weights of the two losses of the multi-task bi-encoder, from how a scheme writes them."""

from __future__ import annotations

import re
from typing import NamedTuple

_NUMBER = r"(\d+(?:\.\d+)?)"
_RATIO = re.compile(f"{_NUMBER}:{_NUMBER}", re.ASCII)


class Weights(NamedTuple):
    """What each loss is multiplied by before they are added; 0 leaves its pairs alone."""

    search: float
    rec: float


SEARCH_ONLY = Weights(search=1.0, rec=0.0)


def parse_ratio(text: str) -> Weights:
    """Weights from "search:rec", divided by the larger: 1:1 is the paper's plain sum, 1:0 the search loss alone.

    Raises:
        ValueError: not two numbers, or both are 0.
    """
    match = _RATIO.fullmatch(text)
    search, rec = map(float, match.groups()) if match else (0.0, 0.0)
    larger = max(search, rec)
    if not 0 < larger < float("inf"):
        raise ValueError(
            f"ratio must be search:rec, two numbers of which none is negative and not both are 0, not {text!r}. "
            "Write 1:1 for the plain sum of the two losses or 1:2 to weigh recommendation twice"
        )
    return Weights(search / larger, rec / larger)
