"""The stage that all others build on: a track's dataset, prepared and split.

Later stages do not hang on this one's key but on the hash of the side that they read. Other test queries or held-out
cases, and recipes that give the same training data, train nothing anew.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semidbench.api import TrainData
from semidbench.dataset import HeldOut, Split
from semidbench.dataset.facts import facts
from semidbench.dataset.files import load_held_out, load_train, save_held_out, save_train
from semidbench.dataset.prepare import prepare, source_hashes
from semidbench.dataset.split import split as split_data
from semidbench.dataset.split_hash import dataset_sha256, held_out_sha256, train_sha256
from semidbench.store.fingerprint import core_code, library_versions, module_code
from semidbench.store.stages import Stage, StageKey, run_stage
from semidbench.tracks.track import Track

_TRAIN, _HELD_OUT, _FACTS = "train", "held-out", "facts.json"
_CODE = ("prepare", "split", "files", "facts", "split_hash")


@dataclass(frozen=True, slots=True)
class SplitDataset:
    """A track's data, ready for cells.

    Attributes:
        stage: has training and held-out data, in folders of their own.
        train: the training data. Held-out data is read when a cell is decoded or evaluated, not before.
        sha256: hash of the split's content, `train_sha256` and `held_out_sha256` of its sides.
        facts: numbers about the split.
        notes: what was unusual in the data, a sentence each.
    """

    stage: Stage
    train: TrainData
    sha256: str
    train_sha256: str
    held_out_sha256: str
    facts: dict[str, Any]
    notes: tuple[str, ...]

    @property
    def train_folder(self) -> Path:
        """Holds the training data, and nothing else."""
        return self.stage.folder / _TRAIN

    def held_out(self) -> HeldOut:
        """The evaluation cases."""
        return load_held_out(self.stage.folder / _HELD_OUT)


def dataset_key(track: Track, split: Split, data: Path | None) -> StageKey:
    """What determines a track's dataset.

    Raises:
        UserError: the data is missing.
    """
    inputs = {
        "section": track.dataset.model_dump(mode="json"),
        "load": track.ids.codebook_sizes,  # of the facts, as is the primary cut-off
        "primary": track.evaluation.primary,
        "split": split,
        "source": source_hashes(track, data),
        "code": [core_code(*(f"dataset.{module}" for module in _CODE)), module_code("runs.shared.dataset")],
        "libraries": library_versions(["numpy", "scikit-learn", "pyarrow"]),
    }
    return StageKey("dataset", inputs)


def prepare_dataset(track: Track, split: Split, data: Path | None, store: Path) -> SplitDataset:
    """A track's dataset, prepared and split, or found in the store.

    Raises:
        UserError: the data is missing or wrong; nothing is kept of a failed attempt.
    """

    def make(folder: Path) -> None:
        prepared = prepare(track, data)
        train, held_out = split_data(prepared.raw, split)
        save_train(train, folder / _TRAIN)
        save_held_out(held_out, folder / _HELD_OUT)
        about = {
            "notes": prepared.notes,
            "facts": facts(train, held_out, k=track.evaluation.primary, codebook_sizes=track.ids.codebook_sizes),
            "sha256": dataset_sha256(train, held_out),
            "train_sha256": train_sha256(load_train(folder / _TRAIN)),  # as later stages read it
            "held_out_sha256": held_out_sha256(load_held_out(folder / _HELD_OUT)),
        }
        (folder / _FACTS).write_text(json.dumps(about, indent=1) + "\n", "utf-8")

    stage = run_stage(store, dataset_key(track, split, data), make)
    about = json.loads((stage.folder / _FACTS).read_text("utf-8"))
    return SplitDataset(stage, load_train(stage.folder / _TRAIN), **{**about, "notes": tuple(about["notes"])})
