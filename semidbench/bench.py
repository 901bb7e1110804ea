"""What all cells of a run share: the split dataset, the text encoder and the tokenizer."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from semidbench.api import Context, TextEncoder, TrainData, Views
from semidbench.dataset import HeldOut, Split
from semidbench.dataset.content import dataset_sha256
from semidbench.dataset.files import load_held_out, load_train, save_held_out, save_train
from semidbench.dataset.prepare import facts, prepare
from semidbench.dataset.sources import DATA_MUST_HOLD, source_fingerprint
from semidbench.dataset.split import split as split_raw
from semidbench.encoder import load_encoder
from semidbench.errors import UserError
from semidbench.fingerprint import core_code, library_versions, module_code
from semidbench.store import Stage, run_stage
from semidbench.track import Track, World
from semidbench.vocabulary import train_tokenizer

Progress = Callable[[str, int, int], None]
_TRAIN, _HELD_OUT, _FACTS, _TOKENIZER = "train", "held-out", "facts.json", "tokenizer.json"


@dataclass(frozen=True, slots=True)
class Bench:
    """A track on a machine, ready for cells.

    Attributes:
        dataset: the stage that holds training and held-out data, in folders of their own.
        train: the training data. Held-out data is read when a cell is evaluated, not before.
        encoder: the track's text encoder, `encoder_key` its identity.
        tokenizer: the stage that holds the generator's tokenizer.
        dataset_sha256: hash of the split's content.
        facts: numbers about the split.
        notes: what was odd about the data, counted.
    """

    track: Track
    split: Split
    store: Path
    device: str
    progress: Progress
    dataset: Stage
    train: TrainData
    encoder: TextEncoder
    encoder_key: dict[str, Any]
    tokenizer: Stage
    dataset_sha256: str
    facts: dict[str, Any]
    notes: tuple[str, ...]

    def held_out(self) -> HeldOut:
        """The evaluation cases."""
        return load_held_out(self.dataset.folder / _HELD_OUT)

    def tokenizer_file(self) -> Path:
        """The tokenizer as the tokenizers library writes it."""
        return self.tokenizer.folder / _TOKENIZER

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

    def context(self, seed: int, scratch: Path, views: Mapping[str, Views] | None = None) -> Context:
        """What a plugin is handed in a cell of that seed."""
        return Context(
            seed=seed,
            rng=np.random.default_rng(seed),
            device=self.device,
            threads=self.track.threads,
            codebook_sizes=self.track.ids.codebook_sizes,
            text_encoder=self.encoder,
            views=views or {},
            progress=self.progress,
            scratch=scratch,
        )


def open_bench(track: Track, split: Split, data: Path | None, store: Path, device: str, progress: Progress) -> Bench:
    """Prepare a track's data, or find it in the store.

    Raises:
        UserError: the data is missing or wrong; nothing is kept of a failed attempt.
    """
    dataset = _dataset_stage(track, split, data, store)
    train = load_train(dataset.folder / _TRAIN)
    told = json.loads((dataset.folder / _FACTS).read_text("utf-8"))
    texts = [*train.catalogue.texts, *train.queries.texts]
    section = track.text_encoder
    encoder = load_encoder(section, texts, store / "encodings", track.threads, device, progress)
    return Bench(
        track=track,
        split=split,
        store=store,
        device=device,
        progress=progress,
        dataset=dataset,
        train=train,
        encoder=encoder,
        encoder_key={"section": section.model_dump(mode="json"), "code": core_code("encoder")},
        tokenizer=_tokenizer_stage(track, dataset, train, store),
        dataset_sha256=told["sha256"],
        facts=told["facts"],
        notes=tuple(told["notes"]),
    )


def scratch_folder() -> tempfile.TemporaryDirectory[str]:
    """An empty folder for a plugin, gone after the stage."""
    return tempfile.TemporaryDirectory(prefix="semidbench-")


def _dataset_stage(track: Track, split: Split, data: Path | None, store: Path) -> Stage:
    section = track.dataset
    inputs = {
        "section": section.model_dump(mode="json"),
        "load": track.ids.codebook_sizes,
        "primary": track.evaluation.primary,
        "split": split,
        "source": _sources(track, data),
        "code": [core_code("dataset.prepare", "dataset.split", "dataset.files"), module_code("bench")],
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


def _sources(track: Track, data: Path | None) -> dict[str, str]:
    """Hashes of the files that the recipe reads."""
    if isinstance(track.dataset, World):
        if data is not None:
            raise UserError(f"track {track.name} reads no files: its data is built in. Leave --data {data} out")
        return {}
    if data is None:
        raise UserError(f"track {track.name} needs data files. {DATA_MUST_HOLD}")
    return source_fingerprint(data)


def _tokenizer_stage(track: Track, dataset: Stage, train: TrainData, store: Path) -> Stage:
    size = track.generator.tokenizer_vocabulary
    prompts = track.prompts
    inputs = {
        "dataset": dataset.key,
        "vocabulary": size,
        "prompts": prompts.model_dump(mode="json"),
        "code": [core_code("vocabulary"), module_code("bench")],
        "libraries": library_versions(["tokenizers"]),
    }

    def make(folder: Path) -> None:
        searches = [prompts.search.replace("{query}", text) for text in train.queries.texts]
        recommends = [prompts.rec.replace("{history}", "")] * len(searches)  # so that its words are whole tokens
        tokenizer = train_tokenizer([*searches, *recommends], size)
        tokenizer.save(str(folder / _TOKENIZER))

    return run_stage(store, "tokenizer", inputs, make)
