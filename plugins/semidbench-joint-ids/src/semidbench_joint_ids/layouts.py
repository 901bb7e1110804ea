"""Two layouts whose search and recommendation IDs begin with the same codes and end with codes of their own."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from semidbench.api import TASKS, Context, Floats, ItemIds, NewQuantizer, Task, TrainData, Views
from semidbench_joint_ids.fitting import JointCodes, fit_codes
from semidbench_joint_ids.model import Shape
from semidbench_joint_ids.options import Options, hidden_widths

_MAX_LEVELS = 8  # of an ID, in version 1 of the API


class PrefixShare:
    """Layout: one shared code, then one code of the task's own (the paper's section 3.2, "Prefix-share").

    One encoder reads both views joined, two decoders rebuild one each. The shared codebook quantizes the whole latent;
    what it leaves over is split in halves, and each half has a codebook of its own. The paper does not say how its
    three codebooks divide the latent: this split is GenSAR's. The first codebook size of the track is the shared one's,
    the second that of both others.
    """

    uses_quantizer = False

    def __init__(
        self,
        *,
        hidden: str = "512-256-128-64",
        dim: int = 32,
        epochs: int = 100,
        batch: int = 1024,
        lr: float = 0.001,
        commitment: float = 0.25,
        kmeans_init: bool = True,
        threshold_ema_dead_code: int = 1,
    ) -> None:
        """Set the options: see `semidbench_joint_ids.options.Options`; `hidden` is joined by `-`.

        Raises:
            ValueError: an option is out of range.
        """
        self.options = Options(
            hidden_widths(hidden), dim, epochs, batch, lr, commitment, kmeans_init, threshold_ema_dead_code
        )

    def assign(
        self, train: TrainData, views: Views, new_quantizer: NewQuantizer, context: Context
    ) -> Mapping[Task, ItemIds]:
        """Slots `shared, search` and `shared, rec`.

        Raises:
            ValueError: the views are not `search` and `rec`, or the track asks for other than two codebooks.
        """
        sizes = context.codebook_sizes
        if len(sizes) != 2:
            raise ValueError(
                f"layout `prefix-share` needs two codebook sizes, the shared code's and the tasks', not {list(sizes)}"
            )
        shape = Shape(one_encoder=True, shared=1, specific=1, shared_size=sizes[0], specific_size=sizes[1])
        codes = fit_codes(_two_views("prefix-share", views), shape, self.options, context)
        return _item_ids(codes, shape, {"search": ("shared", "search"), "rec": ("shared", "rec")})


class GenSar:
    """Layout: shared codes, then codes of the semantic or the collaborative view (GenSAR, arXiv 2504.05730).

    One encoder and one decoder per view. Both latents joined go through the shared residual codebooks; the halves of
    what is left go through residual codebooks of their own. The first view of `X+Y` is the semantic one and makes the
    search ID. All codebooks have the size that the track asks for.
    """

    uses_quantizer = False

    def __init__(
        self,
        *,
        shared: int = 2,
        specific: int = 2,
        hidden: str = "512-256-128-64",
        dim: int = 32,
        epochs: int = 100,
        batch: int = 1024,
        lr: float = 0.001,
        commitment: float = 0.25,
        kmeans_init: bool = True,
        threshold_ema_dead_code: int = 1,
    ) -> None:
        """Set the options: see `semidbench_joint_ids.options.Options`; `hidden` is joined by `-`.

        Args:
            shared: levels that both IDs begin with.
            specific: levels of each ID's own.

        Raises:
            ValueError: an option is out of range.
        """
        if min(shared, specific) < 1 or shared + specific > _MAX_LEVELS:
            raise ValueError(
                f"shared ({shared}) and specific ({specific}) must be positive, {_MAX_LEVELS} together at most"
            )
        self.levels = shared, specific
        self.options = Options(
            hidden_widths(hidden), dim, epochs, batch, lr, commitment, kmeans_init, threshold_ema_dead_code
        )

    def assign(
        self, train: TrainData, views: Views, new_quantizer: NewQuantizer, context: Context
    ) -> Mapping[Task, ItemIds]:
        """Slots `shared-1, ..., text-1, ...` and `shared-1, ..., cf-1, ...`, counted from 1.

        Raises:
            ValueError: the views are not `search` and `rec`, or the track's codebooks differ in size.
        """
        size, *others = context.codebook_sizes
        if any(other != size for other in others):
            raise ValueError(
                f"layout `gensar` needs codebooks of one size, not {list(context.codebook_sizes)}. Change the track's"
            )
        shared, specific = self.levels
        shape = Shape(one_encoder=False, shared=shared, specific=specific, shared_size=size, specific_size=size)
        codes = fit_codes(_two_views("gensar", views), shape, self.options, context)
        prefix = _numbered("shared", shared)
        slots: dict[Task, tuple[str, ...]] = {
            "search": (*prefix, *_numbered("text", specific)),
            "rec": (*prefix, *_numbered("cf", specific)),
        }
        return _item_ids(codes, shape, slots)


def _two_views(layout: str, views: Views) -> tuple[Floats, Floats]:
    if set(views) != set(TASKS):
        raise ValueError(
            f"layout `{layout}` needs the views 'search' and 'rec' and was given {sorted(views)}. "
            "Join two embedders as X+Y: X's view is for search, Y's for recommendation"
        )
    return views["search"], views["rec"]


def _numbered(name: str, levels: int) -> tuple[str, ...]:
    return tuple(f"{name}-{level}" for level in range(1, levels + 1))


def _item_ids(codes: JointCodes, shape: Shape, slots: Mapping[Task, tuple[str, ...]]) -> dict[Task, ItemIds]:
    sizes = (*[shape.shared_size] * shape.shared, *[shape.specific_size] * shape.specific)
    return {
        task: ItemIds(np.concatenate([codes.shared, own], axis=1), slots[task], sizes)
        for task, own in zip(TASKS, codes.specific, strict=True)
    }
