"""The stages that plugins do, as values: what each needs can be handed to another process as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from semidbench.api import Context, Floats, Ranker, Task, TextEncoder, TrainData
from semidbench.ids.embedder import embed, join, load_views, save_views
from semidbench.ids.layout import assign_ids, save_ids
from semidbench.methods.contracts import check_scores
from semidbench.methods.failure import calling
from semidbench.methods.resolved import NamedMethod

if TYPE_CHECKING:
    from semidbench.methods.resolved import ResolvedMethod

OUTPUT, SCRATCH = "output", "scratch"  # folders of a stage: what it leaves, and what its plugin may litter


@dataclass(frozen=True, slots=True)
class Embedding:
    """An embedder's stage.

    Attributes:
        below: the finished stages of the embedders that it builds on, by name.
    """

    embedder: ResolvedMethod | NamedMethod
    below: Mapping[str, Path]

    @property
    def who(self) -> str:
        return self.embedder.who


@dataclass(frozen=True, slots=True)
class Assignment:
    """A layout's stage, with its quantizer.

    Attributes:
        scheme: its name, for messages.
        embeddings: the finished stages of its embedders, in order.
    """

    layout: ResolvedMethod | NamedMethod
    quantizer: ResolvedMethod | NamedMethod | None
    scheme: str
    embeddings: tuple[Path, ...]

    @property
    def who(self) -> str:
        return self.layout.who + (f" with {self.quantizer.who}" if self.quantizer else "")


@dataclass(frozen=True, slots=True)
class Ranking:
    """A ranker's stage: it is fitted, and then asked."""

    ranker: ResolvedMethod | NamedMethod

    @property
    def who(self) -> str:
        return self.ranker.who


PluginWork = Embedding | Assignment | Ranking


@dataclass(frozen=True, slots=True)
class Handed:
    """What every plugin is handed, but for the stages before it."""

    train: TrainData
    text_encoder: TextEncoder
    seed: int
    device: str
    threads: int
    codebook_sizes: tuple[int, ...]
    progress: Callable[[str, int, int], None]

    def context(self, scratch: Path, views: Mapping[str, Any] | None = None) -> Context:
        """A fresh context, with its own random generator."""
        return Context(
            seed=self.seed,
            rng=np.random.default_rng(self.seed),
            device=self.device,
            threads=self.threads,
            codebook_sizes=self.codebook_sizes,
            text_encoder=self.text_encoder,
            views=views or {},
            progress=self.progress,
            scratch=scratch,
        )


def perform(work: PluginWork, handed: Handed, folder: Path) -> Ranker | None:
    """Run a plugin's stage, hold what it makes against the contract, and write it to folder/OUTPUT.

    Returns:
        The fitted ranker of a `Ranking`; nothing else returns or writes anything else.

    Raises:
        UserError: the plugin failed or broke its contract.
    """
    output, scratch = folder / OUTPUT, folder / SCRATCH
    output.mkdir()
    scratch.mkdir()
    match work:
        case Embedding(embedder, below):
            views = {name: load_views(stage) for name, stage in below.items()}
            save_views(embed(embedder, handed.train, handed.context(scratch, views)), output)
        case Assignment(layout, quantizer, scheme, embeddings):
            joined = join(tuple(load_views(stage) for stage in embeddings), scheme)
            save_ids(assign_ids(layout, quantizer, handed.train, joined, handed.context(scratch)), output)
        case Ranking(method):
            with calling(method.who):
                ranker: Ranker = method.build()
                ranker.fit(handed.train, handed.context(scratch))
            return ranker
    return None


def answer(who: str, ranker: Ranker, task: Task, questions: Sequence[Any], n_items: int) -> Floats:
    """A ranker's scores for queries or histories.

    Raises:
        UserError: it failed or broke its contract.
    """
    with calling(who):
        scores = ranker.search(questions) if task == "search" else ranker.recommend(questions)
    return check_scores(who, scores, len(questions), n_items)
