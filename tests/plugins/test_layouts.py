"""The shared layout."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from semidbench_layouts.shared import Shared

from semidbench.api import Context, Floats, Ints, Layout, Quantizer, TrainData


class Signs:
    """Quantizer: the signs of the first two columns."""

    codebook_sizes = (2, 2)
    fitted_on: Floats

    def fit(self, x: Floats, context: Context) -> None:
        self.fitted_on = x

    def encode(self, x: Floats) -> Ints:
        return (x[:, :2] > 0).astype(np.int64)


def test_both_tasks_share_one_object(train: TrainData, context: Callable[..., Context]) -> None:
    x = np.random.default_rng(0).standard_normal((train.n_items, 4)).astype(np.float32)
    made: list[Signs] = []

    def new_quantizer() -> Quantizer:
        made.append(Signs())
        return made[-1]

    layout = Shared()
    ids = layout.assign(train, {"item": x}, new_quantizer, context())
    assert isinstance(layout, Layout)
    assert len(made) == 1
    assert made[0].fitted_on is x
    assert ids["search"] is ids["rec"]
    assert ids["search"].slots == ("item-1", "item-2")
    assert ids["search"].sizes == (2, 2)
    np.testing.assert_array_equal(ids["rec"].codes, x[:, :2] > 0)


@pytest.mark.parametrize("names", [(), ("search", "rec"), ("item", "rec")])
def test_refuses_other_views(train: TrainData, context: Callable[..., Context], names: tuple[str, ...]) -> None:
    views = {name: np.zeros((train.n_items, 2), np.float32) for name in names}
    with pytest.raises(ValueError, match="exactly one view named 'item'"):
        Shared().assign(train, views, Signs, context())
