"""The step from training data to views."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from semidbench.api import Context, Floats, TrainData, Views
from semidbench.errors import UserError
from semidbench.methods.contracts import check_views
from semidbench.methods.failure import calling

if TYPE_CHECKING:
    from semidbench.methods.named import NamedMethod

_FILE = "views.npz"


def embed(method: NamedMethod, train: TrainData, context: Context) -> dict[str, Floats]:
    """Run an embedder and hold its views against the contract.

    Raises:
        UserError: the plugin failed or broke its contract.
    """
    with calling(method.who):
        views = method.build().embed(train, context)
    return check_views(method.who, views, train.n_items)


def join(views: tuple[Views, ...], scheme: str) -> Views:
    """One embedder's views as they are; of `X+Y`, X's item view for search and Y's for recommendation."""
    if len(views) < 2:
        return views[0] if views else {}
    if any(set(view) != {"item"} for view in views):
        raise UserError(f"scheme {scheme}: X+Y joins embedders with one view `item` each")
    return {"search": views[0]["item"], "rec": views[1]["item"]}


def save_views(views: Views, folder: Path) -> None:
    """Write views as npz."""
    np.savez(folder / _FILE, **views)  # type: ignore[arg-type]


def load_views(folder: Path) -> Views:
    """Read views, read-only, so that no plugin can change what the next one is handed."""
    with np.load(folder / _FILE, allow_pickle=False) as file:
        views = {name: file[name] for name in file.files}
    for view in views.values():
        view.setflags(write=False)
    return views
