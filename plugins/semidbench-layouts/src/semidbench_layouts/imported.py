"""Semantic IDs made elsewhere: a layout that reads what `semidbench import ids` kept."""

from __future__ import annotations

from collections.abc import Mapping

from semidbench import load_imported_ids
from semidbench.api import Context, ItemIds, NewQuantizer, Task, TrainData, Views


class Imported:
    """Layout: the IDs of that name and hash, whatever the seed; for one task each, or shared, as they were imported.

    They are read at once, so that missing ones are reported before any work.
    """

    uses_embedder = False
    uses_quantizer = False

    def __init__(self, ids: str, sha256: str) -> None:
        self._name = ids
        self._ids = load_imported_ids(ids, sha256)

    def assign(
        self, train: TrainData, views: Views, new_quantizer: NewQuantizer, context: Context
    ) -> Mapping[Task, ItemIds]:
        """The imported IDs.

        Raises:
            ValueError: they are for another number of items.
        """
        n_ids = len(self._ids["search"].codes)
        if n_ids != train.n_items:
            raise ValueError(
                f"the imported IDs {self._name!r} are for {n_ids:,} items and the track has {train.n_items:,}. "
                "Import IDs for this track: `semidbench import ids FILE --track TRACK`"
            )
        return self._ids
