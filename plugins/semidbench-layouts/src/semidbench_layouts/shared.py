"""One semantic ID per item, the same tokens for search and recommendation."""

from __future__ import annotations

from collections.abc import Mapping

from semidbench.api import Context, ItemIds, NewQuantizer, Task, TrainData, Views


class Shared:
    """Layout: one quantizer over the view `item`; level l is the slot `item-l`, counted from 1."""

    def assign(
        self, train: TrainData, views: Views, new_quantizer: NewQuantizer, context: Context
    ) -> Mapping[Task, ItemIds]:
        """The same ItemIds object for both tasks.

        Raises:
            ValueError: the views are not exactly one named `item`.
        """
        if set(views) != {"item"}:
            raise ValueError(
                f"layout `shared` needs exactly one view named 'item' and was given {sorted(views)}. "
                "Use one embedder that makes one view, or a layout for two"
            )
        quantizer = new_quantizer()
        quantizer.fit(views["item"], context)
        codes = quantizer.encode(views["item"])
        sizes = tuple(quantizer.codebook_sizes)
        slots = tuple(f"item-{level}" for level in range(1, len(sizes) + 1))
        ids = ItemIds(codes=codes, slots=slots, sizes=sizes)
        return {"search": ids, "rec": ids}
