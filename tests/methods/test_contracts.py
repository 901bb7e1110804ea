"""Whatever a plugin returns wrongly is refused with the method's name and what was seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from semidbench.api import ItemIds
from semidbench.errors import UserError
from semidbench.methods.contracts import CheckedQuantizer, check_item_ids, check_scores, check_views

CODES = np.zeros((4, 2), dtype=np.int64)
GOOD = ItemIds(CODES, ("a", "b"), (3, 3))


class Fixed:
    """A quantizer that returns what it is told to."""

    def __init__(self, codes: Any, sizes: Any = (3, 3)) -> None:
        self.codes, self.codebook_sizes = codes, sizes

    def fit(self, x: Any, context: Any) -> None: ...
    def encode(self, x: Any) -> Any:
        return self.codes


@pytest.mark.parametrize(
    ("codes", "sizes", "message"),
    [
        (CODES[:3], (3, 3), "codes of shape (4, 2), got (3, 2)"),
        (CODES[:, :1], (3, 3), "codes of shape (4, 2), got (4, 1)"),
        (CODES.astype(np.int32), (3, 3), "dtype int64, got int32"),
        (CODES.astype(float), (3, 3), "dtype int64, got float64"),
        (CODES.tolist(), (3, 3), "numpy array, got list"),
        (CODES + 3, (3, 4), "codes in 0..2 at level 0, got 3 in row 0"),
        (CODES - 1, (3, 3), "got -1 in row 0"),
        (CODES, (), "codebook_sizes as a tuple of 1 to 8 positive ints, got ()"),
        (CODES, (3,) * 9, "codebook_sizes as a tuple of 1 to 8 positive ints, got (3, 3"),
        (CODES, [3, 3], "codebook_sizes as a tuple of 1 to 8 positive ints, got list"),
        (CODES, None, "codebook_sizes as a tuple of 1 to 8 positive ints, got NoneType"),
        (CODES, (True, True), "codebook_sizes as a tuple of 1 to 8 positive ints, got (True, True)"),
        (CODES, (3, 10**12), "codebook_sizes of at most 65,536 codes a level, for 4 items, got (3, 1000000000000)"),
    ],
)
def test_quantizer(codes: Any, sizes: Any, message: str) -> None:
    quantizer, x = (
        CheckedQuantizer("quantizer 'bad' of bad-plugin 1", Fixed(codes, sizes)),
        np.zeros((4, 5), np.float32),
    )
    quantizer.fit(x, None)  # type: ignore[arg-type]
    with pytest.raises(UserError) as raised:
        quantizer.encode(x)
    assert message in str(raised.value)
    assert "quantizer 'bad' of bad-plugin 1" in str(raised.value)


def test_every_item_of_a_large_catalogue_may_have_a_code_of_its_own() -> None:
    own = ItemIds(np.arange(70_000)[:, None], ("item",), (70_000,))
    assert check_item_ids("layout 'atomic'", {"search": own, "rec": own}, 70_000)["rec"].sizes == (70_000,)


VIEW = np.ones((4, 3), np.float32)
NAN = np.where(np.arange(4)[:, None] == 2, np.nan, VIEW).astype(np.float32)


@pytest.mark.parametrize(
    ("views", "message"),
    [
        (VIEW, "got ndarray"),
        ({"thing": VIEW}, "views named 'item', or 'search' and 'rec'"),
        ({"item": VIEW[:3]}, "shape (4, any), got (3, 3)"),
        ({"item": VIEW.astype(np.float64)}, "dtype float32, got float64"),
        ({"item": VIEW[:, :0]}, "got (4, 0)"),
        ({"item": NAN}, "NaN or infinity in 1 rows, first in row 2"),
    ],
)
def test_embedder(views: Any, message: str) -> None:
    with pytest.raises(UserError) as raised:
        check_views("embedder 'bad'", views, 4)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (GOOD, "IDs for 'search' and 'rec', got ItemIds"),
        ({"search": GOOD}, "got ['search']"),
        ({"search": GOOD, "rec": CODES}, "ItemIds for 'rec', got ndarray"),
        ({"search": GOOD, "rec": ItemIds(CODES, ("a",), (3, 3))}, "one size each"),
        ({"search": GOOD, "rec": ItemIds(CODES, ("a", ""), (3, 3))}, "slot names of 1 to 1000 characters"),
        ({"search": GOOD, "rec": ItemIds(CODES, ("a", "b\n"), (3, 3))}, "all printable, got ('a', 'b\\n')"),
        (
            {"search": GOOD, "rec": ItemIds(CODES, ("a", "b"), (3, 3.0))},
            "sizes as a tuple of 1 to 8 positive ints, got (3, 3.0)",
        ),
        ({"search": GOOD, "rec": ItemIds(CODES, ("a", "b"), (3, 65_537))}, "sizes of at most 65,536 codes a level"),
        ({"search": GOOD, "rec": ItemIds(CODES, ["a", "b"], (3, 3))}, "as tuples, got list and tuple"),
        ({"search": GOOD, "rec": ItemIds(CODES, ("a", "c"), (4, 3))}, "one size for slot 'a' everywhere"),
        ({"search": GOOD, "rec": ItemIds(CODES + 5, ("a", "b"), (3, 3))}, "codes in 0..2"),
        ({"search": GOOD, "rec": ItemIds(CODES[:2], ("a", "b"), (3, 3))}, "shape (4, 2)"),
    ],
)
def test_layout(ids: Any, message: str) -> None:
    with pytest.raises(UserError) as raised:
        check_item_ids("layout 'bad'", ids, 4)
    assert message in str(raised.value)


def test_ranker() -> None:
    with pytest.raises(UserError, match="scores without NaN, got NaN in 1 rows"):
        check_scores("ranker 'bad'", NAN, 4, 3)
    with pytest.raises(UserError, match="shape"):
        check_scores("ranker 'bad'", VIEW, 4, 2)


def test_what_is_right_passes() -> None:
    assert check_views("e", {"item": VIEW}, 4)["item"] is VIEW
    assert check_item_ids("l", {"search": GOOD, "rec": GOOD}, 4)["rec"] is GOOD
    assert check_scores("r", VIEW, 4, 3) is VIEW
    np.testing.assert_array_equal(CheckedQuantizer("q", Fixed(CODES)).encode(VIEW), CODES)
