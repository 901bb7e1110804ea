"""One cell, track x scheme x seed: its stages, each cached under all that determines it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semidbench.api import TASKS, Floats, Task
from semidbench.ids.distinct import distinct_ids
from semidbench.ids.embedder import load_views, save_views
from semidbench.ids.layout import load_ids, save_ids
from semidbench.ids.vocabulary import id_vocabulary
from semidbench.isolation.work import Assignment, Embedding
from semidbench.methods.contracts import check_item_ids, check_views
from semidbench.methods.failure import calling
from semidbench.methods.resolved import ResolvedMethod, ResolvedScheme
from semidbench.runs.session import Bench
from semidbench.store.fingerprint import core_code, library_versions, module_code
from semidbench.store.stages import Spent, Stage
from semidbench.tracks.track import ScratchGenerator

_TOKENS = ("generator.model", "generator.examples", "text.tokenizer", "ids.vocabulary")
_TRAINING, _DECODING = ("generator.training", *_TOKENS), ("generator.beam_search", *_TOKENS)
_LISTS, _LOSSES = "beams.npz", "losses.json"


@dataclass(frozen=True, slots=True)
class SchemeStages:
    """The finished stages of a scheme's cell, in order; `embeddings` holds those that its embedders build on, too."""

    embeddings: tuple[Stage, ...]
    ids: Stage
    generator: Stage
    beams: Stage

    @property
    def by_name(self) -> dict[str, tuple[Stage, ...]]:
        return {
            "embedder": self.embeddings,
            "layout": (self.ids,),
            "generator": (self.generator,),
            "decoder": (self.beams,),
        }


def run_scheme(bench: Bench, scheme: ResolvedScheme, seed: int, stage_began: Callable[[str], None]) -> SchemeStages:
    """Run a cell's stages, or find them in the store.

    Args:
        stage_began: called with each stage's name.

    Raises:
        UserError: a plugin failed or broke its contract; finished stages are kept.
    """
    stage_began("embed")
    below = _stages_below(bench, scheme.embedders, seed)
    embeddings = tuple(embedding_stage(bench, method, seed) for method in scheme.embedders)
    stage_began("assign IDs")
    ids = ids_stage(bench, scheme, embeddings, seed)
    stage_began("train")
    generator = _generator_stage(bench, ids, seed)
    stage_began("decode")
    return SchemeStages((*below, *embeddings), ids, generator, _beams_stage(bench, ids, generator))


def embedding_stage(bench: Bench, method: ResolvedMethod, seed: int) -> Stage:
    """An embedder's views for a seed; those it builds on come first."""
    below = {other.name: embedding_stage(bench, other, seed) for other in method.builds_on}
    inputs = {
        **bench.plugin_key(seed),
        "method": method.as_key(),
        "builds_on": {name: stage.key for name, stage in below.items()},
        "code": [core_code("ids.embedder"), _own_code()],
    }

    def make(folder: Path) -> Spent:
        work = Embedding(method, {name: stage.folder for name, stage in below.items()})
        with bench.call(bench, work, seed) as called:
            with calling(method.who):  # what its process wrote and checked is checked here
                views = check_views(method.who, load_views(called.output), bench.train.n_items)
            save_views(views, folder)
            return called.spent()

    return bench.stage(bench.store, "embedding", inputs, make)


def _stages_below(bench: Bench, methods: Iterable[ResolvedMethod], seed: int) -> tuple[Stage, ...]:
    """The stages of the embedders that these build on, deepest first."""
    return tuple(
        stage
        for method in methods
        for other in method.builds_on
        for stage in (*_stages_below(bench, [other], seed), embedding_stage(bench, other, seed))
    )


def ids_stage(bench: Bench, scheme: ResolvedScheme, embeddings: tuple[Stage, ...], seed: int) -> Stage:
    """A scheme's IDs for a seed, from its embedders' stages in order."""
    inputs = {
        **bench.plugin_key(seed),
        "embeddings": [stage.key for stage in embeddings],
        "quantizer": scheme.quantizer.as_key() if scheme.quantizer else None,
        "layout": scheme.layout.as_key(),
        "code": [core_code("ids.layout"), _own_code()],
    }

    def make(folder: Path) -> Spent:
        stages = tuple(stage.folder for stage in embeddings)
        work = Assignment(scheme.layout, scheme.quantizer, scheme.name, stages)
        with bench.call(bench, work, seed) as called:
            with calling(scheme.layout.who):
                ids = check_item_ids(scheme.layout.who, load_ids(called.output), bench.train.n_items)
            save_ids(ids, folder)
            return called.spent()

    return bench.stage(bench.store, "ids", inputs, make)


def _generator_stage(bench: Bench, ids_stage: Stage, seed: int) -> Stage:
    track = bench.track
    inputs = {
        "ids": ids_stage.key,
        "tokenizer": bench.tokenizer.key,
        "generator": track.generator.model_dump(mode="json"),
        "prompts": track.prompts.model_dump(mode="json"),
        "training": track.training.model_dump(mode="json"),
        "seed": seed,
        "code": [
            core_code(
                "generator.model", "generator.training", "generator.examples", "text.tokenizer", "ids.vocabulary"
            ),
            _own_code(),
        ],
        **bench.machine_key(),
        **_together_key(bench),
    }

    def make(folder: Path) -> None:
        from semidbench.generator.examples import training_examples
        from semidbench.generator.model import add_tokens, load_generator, new_generator, save_generator
        from semidbench.generator.training import train
        from semidbench.runs.query_tokens import training_query_tokens

        trained = train
        if bench.gpus > 1:
            from semidbench.generator.data_parallel.launch import train_together

            trained = partial(train_together, processes=bench.gpus)
        ids, text = load_ids(ids_stage.folder), bench.text_tokens()
        vocabulary = id_vocabulary(ids, text.size)
        examples = training_examples(
            training_query_tokens(bench),
            bench.train.queries.items,
            bench.train.interactions,
            vocabulary.tokens(ids["search"]),
            vocabulary.tokens(ids["rec"]),
            text.tokenizer,
            track.prompts,
            track.training.prefixes_per_user,
        )
        if isinstance(track.generator, ScratchGenerator):
            model = new_generator(track.generator, text.size, seed)
        else:
            assert bench.generator_model is not None, track.generator.name
            model = load_generator(bench.generator_model.folder)
        add_tokens(model, vocabulary.n_id_tokens, seed)
        losses = trained(
            model,
            examples,
            track.training,
            seed=seed,
            device=bench.device,
            progress=bench.progress,
            checkpoint=_checkpoint(bench, folder.name),
        )
        save_generator(model.cpu(), folder)
        (folder / _LOSSES).write_text(json.dumps({"format": 1, "mean_loss_by_epoch": losses}) + "\n", "utf-8")

    stage = bench.stage(bench.store, "generator", inputs, make)
    _checkpoint(bench, f"generator-{stage.key}").unlink(missing_ok=True)
    return stage


def _together_key(bench: Bench) -> dict[str, Any]:
    """Several graphics cards round otherwise than one, draw other dropout, and run code of their own."""
    if bench.gpus == 1:
        return {}
    return {
        "gpus": bench.gpus,
        "together": core_code("generator.data_parallel.share"),
        **library_versions(["accelerate"]),
    }


def _checkpoint(bench: Bench, training: str) -> Path:
    return bench.store / "checkpoints" / f"{training}.safetensors"


def _beams_stage(bench: Bench, ids_stage: Stage, generator: Stage) -> Stage:
    inputs = {
        "generator": generator.key,
        "decoding": bench.track.decoding.model_dump(mode="json"),
        "code": [
            core_code(
                "generator.beam_search", "generator.model", "generator.examples", "text.tokenizer", "ids.vocabulary"
            ),
            _own_code(),
        ],
        **bench.machine_key(),
    }

    def make(folder: Path) -> None:
        from semidbench.generator.beam_search import decode
        from semidbench.generator.examples import rec_prompts
        from semidbench.generator.model import load_generator
        from semidbench.generator.trie import build_trie
        from semidbench.runs.query_tokens import held_out_query_tokens

        ids, text = load_ids(ids_stage.folder), bench.text_tokens()
        vocabulary = id_vocabulary(ids, text.size)
        model = load_generator(generator.folder)
        held_out, histories = bench.held_out(), bench.train.interactions.histories()
        rec_tokens = vocabulary.tokens(ids["rec"])
        prompts = {
            "search": held_out_query_tokens(bench),
            "rec": rec_prompts(
                [histories[user] for user in held_out.users], rec_tokens, text.tokenizer, bench.track.prompts
            ),
        }
        found: dict[str, np.ndarray[Any, Any]] = {}
        for task in TASKS:
            trie = build_trie(distinct_ids(ids[task].codes), ids[task].sizes)
            lists = decode(
                model,
                prompts[task],
                trie,
                vocabulary.first_tokens(ids[task]),
                bench.track.decoding,
                device=bench.device,
                progress=bench.progress,
            )
            found |= {f"{task}_ids": lists.ids.astype(np.int32), f"{task}_scores": lists.scores}
        np.savez(folder / _LISTS, allow_pickle=False, **found)  # compressing saves a fifth, for half a minute

    return bench.stage(bench.store, "beams", inputs, make)


def load_beams(stage: Stage) -> dict[Task, tuple[NDArray[np.int32], Floats]]:
    """Per task, ID rows int32 (Q, beams), -1 where unused, and scores float32 (Q, beams), best first."""
    with np.load(stage.folder / _LISTS, allow_pickle=False) as file:
        return {task: (file[f"{task}_ids"], file[f"{task}_scores"]) for task in TASKS}


def _own_code() -> str:
    """Of this module and the bench: what is handed to whom is written there."""
    return module_code(
        "runs.scheme_stages", "runs.session", "runs.shared_stages", "runs.query_tokens", "isolation.work"
    )
