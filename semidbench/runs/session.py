"""What all cells of a run share: the split dataset, the text encoder and the tokenizer."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from semidbench.api import TrainData
from semidbench.dataset import HeldOut, Split
from semidbench.dataset.files import load_held_out, load_train
from semidbench.dataset.prepare import source_hashes
from semidbench.isolation.call import PluginCall
from semidbench.isolation.limits import Limits
from semidbench.isolation.own_process import in_own_process
from semidbench.runs.shared_stages import _FACTS, _HELD_OUT, _TRAIN, _tokenizer_stage, dataset_stage
from semidbench.store.fingerprint import library_versions
from semidbench.store.stages import RunStage, Stage, find_stage, run_stage
from semidbench.text.encoder import load_encoder
from semidbench.text.lsa import training_texts
from semidbench.text.pretrained import Pretrained, find_pretrained
from semidbench.text.stored_encoder import StoredEncoder
from semidbench.text.tokenizer import (
    TextTokens,
    load_text_tokens,
)
from semidbench.tracks.track import Pinned, Track

Progress = Callable[[str, int, int], None]


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
