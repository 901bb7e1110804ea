"""Two semantic IDs per item, one for each task, with tokens of their own (the paper's section 3.2, "Separate")."""

from __future__ import annotations

from collections.abc import Mapping

from semidbench.api import TASKS, Context, Floats, ItemIds, NewQuantizer, Task, TrainData, Views


class Separate:
    """Layout: one quantizer per view; level l of a task is the slot `TASK-l`, counted from 1.

    The views are named after the tasks: `X+Y` hands over X's view as `search` and Y's as `rec`, whatever X and Y are.
    """

    def assign(
        self, train: TrainData, views: Views, new_quantizer: NewQuantizer, context: Context
    ) -> Mapping[Task, ItemIds]:
        """IDs for each task from its own view.

        Raises:
            ValueError: the views are not exactly `search` and `rec`.
        """
        if set(views) != set(TASKS):
            raise ValueError(
                f"layout `separate` needs the views 'search' and 'rec' and was given {sorted(views)}. "
                "Join two embedders as X+Y: X's view is for search, Y's for recommendation"
            )
        return {task: _quantized(task, views[task], new_quantizer, context) for task in TASKS}


def _quantized(task: Task, view: Floats, new_quantizer: NewQuantizer, context: Context) -> ItemIds:
    quantizer = new_quantizer()
    quantizer.fit(view, context)
    codes = quantizer.encode(view)
    sizes = tuple(quantizer.codebook_sizes)
    return ItemIds(codes=codes, slots=tuple(f"{task}-{level}" for level in range(1, len(sizes) + 1)), sizes=sizes)
