"""What all cells of a run share: the split dataset, the text encoder and the tokenizer."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from semidbench.api import TrainData
from semidbench.dataset import HeldOut, Split
from semidbench.dataset.content import dataset_sha256
from semidbench.dataset.files import load_held_out, load_train, save_held_out, save_train
from semidbench.dataset.prepare import facts, prepare, source_hashes
from semidbench.dataset.split import split as split_raw
from semidbench.encoder import load_encoder
from semidbench.encodings import StoredEncoder
from semidbench.fingerprint import core_code, library_versions, module_code
from semidbench.lsa import training_texts
from semidbench.plugin_call import PluginCall
from semidbench.plugin_limits import Limits
from semidbench.plugin_process import in_own_process
from semidbench.pretrained import Pretrained, find_pretrained
from semidbench.store import RunStage, Stage, find_stage, run_stage
from semidbench.text_tokens import (
    TextTokens,
    load_text_tokens,
    pretrained_text_tokens,
    save_text_tokens,
    trained_text_tokens,
)
from semidbench.track import Pinned, ScratchGenerator, Track

Progress = Callable[[str, int, int], None]
_DATASET_CODE = ("dataset.prepare", "dataset.split", "dataset.files", "dataset.content")
_TRAIN, _HELD_OUT, _FACTS = "train", "held-out", "facts.json"


@dataclass(frozen=True, slots=True)
class Bench:
    """A track on a machine, ready for cells.

    Attributes:
        dataset: the stage that holds training and held-out data, in folders of their own.
        train: the training data. Held-out data is read when a cell is evaluated, not before.
        encoder: the track's text encoder, `encoder_key` its identity.
        encoder_model: the pretrained text encoder, None where there is none.
        generator_model: what a pretrained generator starts from, None for one from scratch.
        tokenizer: the stage that holds the generator's text tokens.
        dataset_sha256: hash of the split's content.
        facts: numbers about the split.
        notes: what was odd about the data, counted.
        limits: of a plugin's stage.
        stage: computes a cell's stage, or finds it in the store.
        call: has a plugin do its part of a stage.
        gpus: how many graphics cards train a generator.
    """

    track: Track
    split: Split
    store: Path
    device: str
    progress: Progress
    dataset: Stage
    train: TrainData
    encoder: StoredEncoder
    encoder_key: str
    encoder_model: Pretrained | None
    generator_model: Pretrained | None
    tokenizer: Stage
    dataset_sha256: str
    facts: dict[str, Any]
    notes: tuple[str, ...]
    limits: Limits
    stage: RunStage = run_stage
    call: PluginCall = in_own_process
    gpus: int = 1

    @property
    def identity(self) -> dict[str, str]:
        """Keys of all that cells build on, models' files included: the same in every process of a run."""
        return {"data": self.dataset.key, "text encoder": self.encoder_key, "generator's tokenizer": self.tokenizer.key}

    def looking(self) -> Bench:
        """The same, but a stage that is not in the store raises `Unfinished`."""
        return replace(self, stage=find_stage)

    def telling(self, progress: Progress) -> Bench:
        """The same, with another to be told of long work."""
        return replace(self, progress=progress, encoder=replace(self.encoder, progress=progress))

    def held_out(self) -> HeldOut:
        """The evaluation cases."""
        return load_held_out(self.dataset.folder / _HELD_OUT)

    @property
    def train_folder(self) -> Path:
        """Holds the training data, and nothing else."""
        return self.dataset.folder / _TRAIN

    def text_tokens(self) -> TextTokens:
        """The generator's tokenizer and the size of its text vocabulary."""
        return load_text_tokens(self.tokenizer.folder)

    def plugin_key(self, seed: int) -> dict[str, Any]:
        """What determines any plugin's output beside the plugin and its inputs."""
        return {
            "dataset": self.dataset.key,
            "encoder": self.encoder_key,
            "seed": seed,
            "codebook_sizes": self.track.ids.codebook_sizes,
            **self.machine_key(),
        }

    def machine_key(self) -> dict[str, Any]:
        """What determines bits beside the inputs."""
        return {"threads": self.track.threads, "device": self.device, "libraries": library_versions()}


def open_bench(track: Track, split: Split, data: Path | None, store: Path, device: str, progress: Progress) -> Bench:
    """Prepare a track's data, or find it in the store.

    Raises:
        UserError: the data is missing or wrong; nothing is kept of a failed attempt.
    """
    source_hashes(track, data)  # what is missing, files or models, is said before any work
    encoder_model, generator_model = (
        find_pretrained(section) if isinstance(section, Pinned) else None
        for section in (track.text_encoder, track.generator)
    )
    dataset = dataset_stage(track, split, data, store)
    train = load_train(dataset.folder / _TRAIN)
    told = json.loads((dataset.folder / _FACTS).read_text("utf-8"))
    encoder = load_encoder(
        track.text_encoder, encoder_model, training_texts(train), store / "encodings", track.threads, device, progress
    )
    return Bench(
        track=track,
        split=split,
        store=store,
        device=device,
        progress=progress,
        dataset=dataset,
        train=train,
        encoder=encoder,
        encoder_key=encoder.fingerprint,
        encoder_model=encoder_model,
        generator_model=generator_model,
        tokenizer=_tokenizer_stage(track, generator_model, dataset, train, store),
        dataset_sha256=told["sha256"],
        facts=told["facts"],
        notes=tuple(told["notes"]),
        limits=Limits(60 * track.plan.stage_minutes, None),
    )


def dataset_facts(
    track: Track, split: Split, data: Path | None, store: Path
) -> tuple[Stage, dict[str, int | float], tuple[str, ...]]:
    """The dataset stage, numbers about the split, and what was odd about the data.

    Raises:
        UserError: as `dataset_stage`.
    """
    stage = dataset_stage(track, split, data, store)
    told = json.loads((stage.folder / _FACTS).read_text("utf-8"))
    return stage, told["facts"], tuple(told["notes"])


def scratch_folder() -> tempfile.TemporaryDirectory[str]:
    """An empty folder for a plugin, gone after the stage."""
    return tempfile.TemporaryDirectory(prefix="semidbench-")


def dataset_stage(track: Track, split: Split, data: Path | None, store: Path) -> Stage:
    """A track's dataset, prepared and split, or found in the store.

    Raises:
        UserError: the data is missing or wrong; nothing is kept of a failed attempt.
    """
    section = track.dataset
    inputs = {
        "section": section.model_dump(mode="json"),
        "load": track.ids.codebook_sizes,
        "primary": track.evaluation.primary,
        "split": split,
        "source": source_hashes(track, data),
        "code": [core_code(*_DATASET_CODE), module_code("bench")],
        "libraries": library_versions(["numpy", "scikit-learn", "pyarrow"]),
    }

    def make(folder: Path) -> None:
        prepared = prepare(track, data)
        train, held_out = split_raw(prepared.raw, split)
        save_train(train, folder / _TRAIN)
        save_held_out(held_out, folder / _HELD_OUT)
        numbers = facts(train, held_out, k=track.evaluation.primary, codebook_sizes=track.ids.codebook_sizes)
        told = {"notes": prepared.notes, "facts": numbers, "sha256": dataset_sha256(train, held_out)}
        (folder / _FACTS).write_text(json.dumps(told, indent=1) + "\n", "utf-8")

    return run_stage(store, "dataset", inputs, make)


def _tokenizer_stage(track: Track, model: Pretrained | None, dataset: Stage, train: TrainData, store: Path) -> Stage:
    generator, prompts = track.generator, track.prompts
    inputs = {
        "dataset": dataset.key if model is None else None,  # a pretrained tokenizer saw none of it
        "section": generator.model_dump(mode="json"),
        "model": dict(model.files) if model else None,
        "prompts": prompts.model_dump(mode="json"),
        "code": [core_code("text_tokens"), module_code("bench")],
        "libraries": library_versions(["tokenizers"]),
    }

    def make(folder: Path) -> None:
        if isinstance(generator, ScratchGenerator):
            searches = [prompts.search.replace("{query}", text) for text in train.queries.texts]
            recommends = [prompts.rec.replace("{history}", "")] * len(searches)  # so that its words are whole tokens
            tokens = trained_text_tokens([*searches, *recommends], generator.tokenizer_vocabulary)
        else:
            assert model is not None, generator.name
            tokens = pretrained_text_tokens(model)
        save_text_tokens(tokens, folder)

    return run_stage(store, "tokenizer", inputs, make)
