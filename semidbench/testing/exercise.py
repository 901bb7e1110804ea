"""How a method of each kind is put to work, what it must give back, and whether its rows stand for themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semidbench.api import TASKS, Context, Floats, Ints, Quantizer, TrainData, Views
from semidbench.methods.contracts import CheckedQuantizer, check_item_ids, check_scores, check_views
from semidbench.methods.registry import MethodKind
from semidbench.testing.data import NearestRows

WHO = "it"  # for errors, which are taken apart again
Outputs = dict[str, NDArray[Any]]

_ASKED = 64  # queries and histories that a ranker is asked about, whatever the size of the world
_BATCH = 7
_ALONE = 16  # rows that are also asked about one by one
# Matrix products round differently for batches of other sizes: a vector half-way between two codes may change its
# code, and a score its last digits.
_MAY_DIFFER = 0.01  # of the codes
_TOLERANCE = 1e-4  # of a score, and of the largest one


@dataclass(frozen=True, slots=True)
class Material:
    """What a method is put to work on. `views` are a layout's, `queries` and `histories` a ranker's."""

    train: TrainData
    x: Floats
    views: Views
    queries: list[str]
    histories: list[Ints]
    context: Context


@dataclass(frozen=True, slots=True)
class Exercise:
    """What a kind's methods do.

    Attributes:
        methods: the names that the API asks for.
        work: all of a run's calls of one instance; raises UserError where what comes back breaks the contract.
        rows: what was seen where rows of a batch depend on each other; None for a kind that makes no such promise.
    """

    methods: tuple[str, ...]
    work: Callable[[Any, Material], Outputs]
    rows: Callable[[Any, Material, Outputs], str | None] | None = None


def material(train: TrainData, views: Views, context: Context) -> Material:
    """Everything to work on; the histories are copies."""
    histories = [np.array(history) for history in train.interactions.histories()[:_ASKED]]
    spread = np.linspace(0, len(train.queries) - 1, _ASKED).astype(int)
    return Material(train, views["search"], views, [train.queries.texts[row] for row in spread], histories, context)


def _embed(embedder: Any, given: Material) -> Outputs:
    views = check_views(WHO, embedder.embed(given.train, given.context), given.train.n_items)
    return {f"view {name!r}": view for name, view in views.items()}


def _quantize(quantizer: Any, given: Material) -> Outputs:
    checked = CheckedQuantizer(WHO, quantizer)
    checked.fit(given.x, given.context)
    return {"codes": checked.encode(given.x), "codebook_sizes": np.array(checked.codebook_sizes)}


def _assign(layout: Any, given: Material) -> Outputs:
    """With one view `item`, or, if the layout refuses that, with `search` and `rec`."""

    def new_quantizer() -> Quantizer:
        if not getattr(layout, "uses_quantizer", True):
            raise RuntimeError("this layout says that it uses no quantizer")
        return CheckedQuantizer("the quantizer it was given", NearestRows())

    offers: list[Views] = [{"item": given.x}, given.views] if getattr(layout, "uses_embedder", True) else [{}]
    refusals: list[ValueError] = []
    for views in offers:
        try:
            ids = layout.assign(given.train, views, new_quantizer, given.context)
        except ValueError as error:
            refusals.append(error)
            if len(refusals) == len(offers):
                raise ValueError("; ".join(map(str, refusals))) from error
        else:
            break
    checked = check_item_ids(WHO, ids, given.train.n_items)
    parts = ("codes", "sizes", "slots")
    return {f"{task} {part}": np.array(getattr(checked[task], part)) for task in TASKS for part in parts}


def _rank(ranker: Any, given: Material) -> Outputs:
    ranker.fit(given.train, given.context)
    items = given.train.n_items
    return {
        "search scores": check_scores(WHO, ranker.search(given.queries), len(given.queries), items),
        "rec scores": check_scores(WHO, ranker.recommend(given.histories), len(given.histories), items),
    }


def _code_rows(quantizer: Any, given: Material, outputs: Outputs) -> str | None:
    return _row_by_row("encode", quantizer.encode, given.x, outputs["codes"], _different_codes)


def _score_rows(ranker: Any, given: Material, outputs: Outputs) -> str | None:
    searched = _row_by_row(
        "search", ranker.search, np.array(given.queries, object), outputs["search scores"], _different_scores
    )
    histories = np.empty(len(given.histories), object)
    histories[:] = given.histories
    return searched or _row_by_row("recommend", ranker.recommend, histories, outputs["rec scores"], _different_scores)


def _row_by_row(
    call: str,
    ask: Callable[[Any], Any],
    rows: NDArray[Any],
    whole: NDArray[Any],
    different: Callable[[NDArray[Any], NDArray[Any]], int],
) -> str | None:
    """Ask again with the rows in another order, a few at a time, and singly."""
    order = np.random.default_rng(1).permutation(len(rows))
    batches = [np.arange(start, min(start + _BATCH, len(rows))) for start in range(0, len(rows), _BATCH)]
    singles = [np.array([row]) for row in order[:_ALONE]]
    for how, parts in (("in another order", [order]), (f"{_BATCH} at a time", batches), ("one at a time", singles)):
        try:
            again = np.concatenate([ask(_given(rows[part])) for part in parts])
        except Exception as error:
            return f"{call} of the rows {how} raised {type(error).__name__}: {error}"
        chosen = whole[np.concatenate(parts)]
        if again.shape != chosen.shape:
            return f"{call} of the rows {how} gave shape {again.shape}, not {chosen.shape}"
        if count := different(again, chosen):
            return f"{call} of the rows {how} gave {count} of {len(chosen)} rows otherwise than all at once"
    return None


def _given(rows: NDArray[Any]) -> Any:
    return list(rows) if rows.dtype == object else rows


def _different_codes(again: NDArray[Any], whole: NDArray[Any]) -> int:
    count = int((again != whole).any(axis=1).sum())
    return count if count > _MAY_DIFFER * len(whole) else 0


def _different_scores(again: NDArray[Any], whole: NDArray[Any]) -> int:
    largest = float(np.abs(whole[np.isfinite(whole)]).max(initial=0))
    close = np.isclose(again, whole, rtol=_TOLERANCE, atol=_TOLERANCE * largest)
    return int((~close).any(axis=1).sum())


EXERCISES: Mapping[MethodKind, Exercise] = {
    "embedder": Exercise(("embed",), _embed),
    "quantizer": Exercise(("fit", "encode"), _quantize, _code_rows),
    "layout": Exercise(("assign",), _assign),
    "ranker": Exercise(("fit", "search", "recommend"), _rank, _score_rows),
}


def missing_methods(kind: MethodKind, instance: Any) -> Sequence[str]:
    """Methods of the API that an instance has not."""
    return [name for name in EXERCISES[kind].methods if not callable(getattr(instance, name, None))]
