"""The stages that all cells of a run share: the split dataset and the generator's tokenizer."""

from __future__ import annotations

import json
from pathlib import Path

from semidbench.api import TrainData
from semidbench.dataset import Split
from semidbench.dataset.facts import facts
from semidbench.dataset.files import save_held_out, save_train
from semidbench.dataset.prepare import prepare, source_hashes
from semidbench.dataset.split import split as split_raw
from semidbench.dataset.split_hash import dataset_sha256
from semidbench.store.fingerprint import core_code, library_versions, module_code
from semidbench.store.stages import Stage, run_stage
from semidbench.text.pretrained import Pretrained
from semidbench.text.tokenizer import pretrained_text_tokens, save_text_tokens, trained_text_tokens
from semidbench.tracks.track import ScratchGenerator, Track

_DATASET_CODE = ("dataset.prepare", "dataset.split", "dataset.files", "dataset.split_hash")


_TRAIN, _HELD_OUT, _FACTS = "train", "held-out", "facts.json"


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
        "code": [core_code(*_DATASET_CODE), module_code("runs.shared_stages")],
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
        "code": [core_code("text.tokenizer"), module_code("runs.shared_stages")],
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
