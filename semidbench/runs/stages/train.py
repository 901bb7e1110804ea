"""Semantic IDs to a trained generator: both tasks' examples, learnt jointly."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semidbench.api import TASKS, Ints, Task
from semidbench.ids.layout import load_ids
from semidbench.ids.vocabulary import id_vocabulary
from semidbench.runs.shared.inputs import machine_key
from semidbench.runs.shared.query_tokens import training_query_tokens
from semidbench.runs.shared.session import Session
from semidbench.runs.stages.assign_ids import ids_key
from semidbench.store.fingerprint import core_code, library_versions, module_code
from semidbench.store.stages import Stage, StageKey, run_stage
from semidbench.text.tokenizer import load_text_tokens
from semidbench.tracks.track import ScratchGenerator

if TYPE_CHECKING:
    from transformers import T5ForConditionalGeneration

    from semidbench.generator.examples import Examples
    from semidbench.methods.resolved import ResolvedScheme
    from semidbench.text.stored_encoder import Progress
    from semidbench.text.tokenizer import TextTokens

_LOSSES = "losses.json"
CODE = (
    *("generator.training", "generator.model", "generator.examples"),
    *("text.tokenizer", "ids.vocabulary", "ids.layout"),
)
OWN_CODE = ("runs.shared.query_tokens", "runs.stages.train")


def generator_key(session: Session, scheme: ResolvedScheme, seed: int) -> StageKey:
    """What determines a trained generator."""
    track = session.track
    inputs = {
        "ids": ids_key(session, scheme, seed).hash,
        "train": session.dataset.train_sha256,
        "tokenizer": session.tokenizer.key,
        "generator": track.generator.model_dump(mode="json"),
        "prompts": track.prompts.model_dump(mode="json"),
        "training": track.training.model_dump(mode="json"),
        "seed": seed,
        "code": [core_code(*CODE), module_code(*OWN_CODE)],
        **machine_key(session),
        **_together_key(session),
    }
    return StageKey("generator", inputs)


def train_generator(session: Session, scheme: ResolvedScheme, ids: Stage, seed: int, progress: Progress) -> Stage:
    """The stage of the generator that learns a scheme's IDs."""
    key = generator_key(session, scheme, seed)
    checkpoint = session.store / "checkpoints" / f"generator-{key.hash}.safetensors"

    def make(folder: Path) -> None:
        from semidbench.generator.model import add_tokens, save_generator

        text, item_ids = load_text_tokens(session.tokenizer.folder), load_ids(ids.folder)
        vocabulary = id_vocabulary(item_ids, text.size)
        examples = _examples(session, text, {task: vocabulary.tokens(item_ids[task]) for task in TASKS})
        model = _untrained(session, text.size, seed)
        add_tokens(model, vocabulary.n_id_tokens, seed)
        losses = _training(session.gpus)(
            model,
            examples,
            session.track.training,
            seed=seed,
            device=session.device,
            progress=progress,
            checkpoint=checkpoint,
        )
        save_generator(model.cpu(), folder)
        (folder / _LOSSES).write_text(json.dumps({"format": 1, "mean_loss_by_epoch": losses}) + "\n", "utf-8")

    stage = run_stage(session.store, key, make)
    checkpoint.unlink(missing_ok=True)
    return stage


def _examples(session: Session, text: TextTokens, id_tokens: Mapping[Task, Ints]) -> Examples:
    from semidbench.generator.examples import training_examples

    train = session.dataset.train
    return training_examples(
        training_query_tokens(session),
        train.queries.items,
        train.interactions,
        id_tokens["search"],
        id_tokens["rec"],
        text.tokenizer,
        session.track.prompts,
        session.track.training.prefixes_per_user,
    )


def _untrained(session: Session, text_tokens: int, seed: int) -> T5ForConditionalGeneration:
    from semidbench.generator.model import load_generator, new_generator

    section = session.track.generator
    if isinstance(section, ScratchGenerator):
        return new_generator(section, text_tokens, seed)
    return load_generator(session.models["generator"].folder)


def _training(gpus: int) -> Callable[..., list[float]]:
    if gpus == 1:
        from semidbench.generator.training import train

        return train
    from semidbench.generator.data_parallel.launch import train_together

    return partial(train_together, processes=gpus)


def _together_key(session: Session) -> dict[str, Any]:
    """Several graphics cards round otherwise than one, draw other dropout, and run code of their own."""
    if session.gpus == 1:
        return {}
    together = core_code("generator.data_parallel.share")
    return {"gpus": session.gpus, "together": together, **library_versions(["accelerate"])}
