"""A plugin's part of a stage as plain values, and doing it.

What a plugin is handed is put together here; the keys of its stages cover this module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from semidbench.api import Context, Floats, Ranker, Task, TextEncoder, TrainData
from semidbench.dataset.files import load_train
from semidbench.ids.embedder import embed, join, load_views, save_views
from semidbench.ids.layout import assign_ids, save_ids
from semidbench.methods.contracts import check_scores
from semidbench.methods.failure import calling
from semidbench.methods.named import NamedMethod
from semidbench.methods.registry import KINDS
from semidbench.text.encoder import EncoderSpec, open_encoder
from semidbench.text.lsa import training_texts

if TYPE_CHECKING:
    from semidbench.text.stored_encoder import Progress, StoredEncoder

OUTPUT, SCRATCH = "output", "scratch"  # folders of a stage: its results, and its plugin's scratch folder


@dataclass(frozen=True, slots=True)
class Embedding:
    """An embedder's part.

    Attributes:
        below: folders of the finished stages of the embedders that it builds on, by name.
    """

    embedder: NamedMethod
    below: Mapping[str, Path]

    @property
    def who(self) -> str:
        return self.embedder.who


@dataclass(frozen=True, slots=True)
class Assignment:
    """A layout's part, with its quantizer.

    Attributes:
        scheme: its name, for messages.
        embeddings: folders of the finished stages of its embedders, in order.
    """

    layout: NamedMethod
    quantizer: NamedMethod | None
    scheme: str
    embeddings: tuple[Path, ...]

    @property
    def who(self) -> str:
        return self.layout.who + (f" with {self.quantizer.who}" if self.quantizer else "")


@dataclass(frozen=True, slots=True)
class Ranking:
    """A ranker's part: it is fitted, and then asked."""

    ranker: NamedMethod

    @property
    def who(self) -> str:
        return self.ranker.who


PluginWork = Embedding | Assignment | Ranking


@dataclass(frozen=True, slots=True)
class PluginInputs:
    """What every plugin is handed beside the stages before its own.

    Attributes:
        train_folder: holds the training data and nothing else.
        encoder: the track's text encoder.
        codebook_sizes: codes per level that the track asks for.
    """

    train_folder: Path
    encoder: EncoderSpec
    seed: int
    device: str
    threads: int
    codebook_sizes: tuple[int, ...]

    def context(
        self, encoder: TextEncoder, progress: Progress, scratch: Path, views: Mapping[str, Any] | None = None
    ) -> Context:
        """A fresh context, with its own random generator."""
        return Context(
            seed=self.seed,
            rng=np.random.default_rng(self.seed),
            device=self.device,
            threads=self.threads,
            codebook_sizes=self.codebook_sizes,
            text_encoder=encoder,
            views=views or {},
            progress=progress,
            scratch=scratch,
        )


def open_inputs(inputs: PluginInputs, progress: Progress) -> tuple[TrainData, StoredEncoder]:
    """The training data and the text encoder."""
    train = load_train(inputs.train_folder)
    return train, open_encoder(inputs.encoder, training_texts(train), progress)


def perform(
    work: PluginWork, inputs: PluginInputs, train: TrainData, encoder: TextEncoder, progress: Progress, folder: Path
) -> Ranker | None:
    """Run a plugin's part, hold what it makes against the contract, and write it to folder/OUTPUT.

    Args:
        train: what `inputs.train_folder` holds, `encoder` what `inputs.encoder` describes.

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
            save_views(embed(embedder, train, inputs.context(encoder, progress, scratch, views)), output)
        case Assignment(layout, quantizer, scheme, embeddings):
            joined = join(tuple(load_views(stage) for stage in embeddings), scheme)
            context = inputs.context(encoder, progress, scratch)
            save_ids(assign_ids(layout, quantizer, train, joined, context), output)
        case Ranking(method):
            with calling(method.who):
                ranker: Ranker = method.build()
                ranker.fit(train, inputs.context(encoder, progress, scratch))
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


def as_json(work: PluginWork, inputs: PluginInputs) -> dict[str, Any]:
    """Both as JSON values; `from_json` reads them."""
    match work:
        case Embedding(embedder, below):
            stages = {name: str(stage.absolute()) for name, stage in below.items()}
            part: dict[str, Any] = {"embedder": asdict(embedder), "below": stages}
        case Assignment(layout, quantizer, scheme, embeddings):
            part = {
                "layout": asdict(layout),
                "quantizer": asdict(quantizer) if quantizer else None,
                "scheme": scheme,
                "embeddings": [str(stage.absolute()) for stage in embeddings],
            }
        case Ranking(ranker):
            part = {"ranker": asdict(ranker)}
    given = {
        "train_folder": str(inputs.train_folder.absolute()),
        "encoder": inputs.encoder.as_json(),
        "seed": inputs.seed,
        "device": inputs.device,
        "threads": inputs.threads,
        "codebook_sizes": inputs.codebook_sizes,
    }
    return {"work": part, "inputs": given}


def from_json(values: Mapping[str, Any]) -> tuple[PluginWork, PluginInputs]:
    """What `as_json` gave."""
    given = values["inputs"]
    inputs = PluginInputs(
        train_folder=Path(given["train_folder"]),
        encoder=EncoderSpec.from_json(given["encoder"]),
        seed=given["seed"],
        device=given["device"],
        threads=given["threads"],
        codebook_sizes=tuple(given["codebook_sizes"]),
    )
    return _work(values["work"]), inputs


def _work(part: Mapping[str, Any]) -> PluginWork:
    methods = {kind: NamedMethod(**part[kind]) for kind in KINDS if part.get(kind)}
    if "embedder" in methods:
        return Embedding(methods["embedder"], {name: Path(stage) for name, stage in part["below"].items()})
    if "layout" in methods:
        stages = tuple(map(Path, part["embeddings"]))
        return Assignment(methods["layout"], methods.get("quantizer"), part["scheme"], stages)
    return Ranking(methods["ranker"])
