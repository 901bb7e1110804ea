"""The generator's tokenizer: trained on the prompts of a generator from scratch, or a pretrained generator's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from semidbench.store.fingerprint import core_code, library_versions, module_code
from semidbench.store.stages import Stage, StageKey, run_stage
from semidbench.text.tokenizer import pretrained_text_tokens, save_text_tokens, trained_text_tokens
from semidbench.tracks.track import ScratchGenerator, Track

if TYPE_CHECKING:
    from semidbench.runs.shared.dataset import SplitDataset
    from semidbench.text.pretrained import Pretrained


def tokenizer_key(track: Track, model: Pretrained | None, dataset: SplitDataset) -> StageKey:
    """What determines the tokenizer; `model` is the pretrained generator, None for one from scratch."""
    inputs = {
        "train": dataset.train_sha256 if model is None else None,  # a pretrained tokenizer saw none of it
        "section": track.generator.model_dump(mode="json"),
        "model": dict(model.files) if model else None,
        "prompts": track.prompts.model_dump(mode="json"),
        "code": [core_code("text.tokenizer"), module_code("runs.shared.tokenizer")],
        "libraries": library_versions(["tokenizers"]),
    }
    return StageKey("tokenizer", inputs)


def train_tokenizer(track: Track, model: Pretrained | None, dataset: SplitDataset, store: Path) -> Stage:
    """The tokenizer's stage, computed or found in the store.

    Raises:
        UserError: the pretrained generator's files are not T5's.
    """

    def make(folder: Path) -> None:
        if isinstance(track.generator, ScratchGenerator):
            queries = dataset.train.queries.texts
            searches = [track.prompts.search.replace("{query}", text) for text in queries]
            recommends = [track.prompts.rec.replace("{history}", "")] * len(queries)  # so its words are whole tokens
            tokens = trained_text_tokens([*searches, *recommends], track.generator.tokenizer_vocabulary)
        else:
            assert model is not None, track.generator.name
            tokens = pretrained_text_tokens(model)
        save_text_tokens(tokens, folder)

    return run_stage(store, tokenizer_key(track, model, dataset), make)
