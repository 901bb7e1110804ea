"""A trained generator to ranked IDs: the beam lists of every held-out query and history."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from semidbench.api import TASKS, Floats, Task
from semidbench.ids.distinct import distinct_ids
from semidbench.ids.layout import load_ids
from semidbench.ids.vocabulary import IdVocabulary, id_vocabulary
from semidbench.runs.shared.inputs import machine_key
from semidbench.runs.shared.query_tokens import held_out_query_tokens
from semidbench.runs.shared.session import Session
from semidbench.runs.stages.train import generator_key
from semidbench.store.fingerprint import core_code, module_code
from semidbench.store.stages import Stage, StageKey, run_stage
from semidbench.text.tokenizer import load_text_tokens

if TYPE_CHECKING:
    from semidbench.api import ItemIds
    from semidbench.generator.examples import TokenRows
    from semidbench.methods.resolved import ResolvedScheme
    from semidbench.text.stored_encoder import Progress

_LISTS = "beams.npz"
CODE = (
    *("generator.beam_search", "generator.trie", "generator.model", "generator.examples"),
    *("text.tokenizer", "ids.vocabulary", "ids.layout", "ids.distinct"),
)
OWN_CODE = ("runs.shared.query_tokens", "runs.stages.decode")


def beams_key(session: Session, scheme: ResolvedScheme, seed: int) -> StageKey:
    """What determines the beam lists."""
    inputs = {
        "generator": generator_key(session, scheme, seed).hash,
        "train": session.dataset.train_sha256,  # histories
        "held_out": session.dataset.held_out_sha256,
        "decoding": session.track.decoding.model_dump(mode="json"),
        "code": [core_code(*CODE), module_code(*OWN_CODE)],
        **machine_key(session),
    }
    return StageKey("beams", inputs)


def decode(
    session: Session, scheme: ResolvedScheme, ids_stage: Stage, generator: Stage, seed: int, progress: Progress
) -> Stage:
    """The stage of the beam lists of both tasks."""

    def make(folder: Path) -> None:
        from semidbench.generator.beam_search import decode as search
        from semidbench.generator.model import load_generator
        from semidbench.generator.trie import build_trie

        ids, model = load_ids(ids_stage.folder), load_generator(generator.folder)
        vocabulary = id_vocabulary(ids, load_text_tokens(session.tokenizer.folder).size)
        prompts, arrays = _prompts(session, ids, vocabulary), dict[str, np.ndarray[Any, Any]]()
        for task in TASKS:
            lists = search(
                model,
                prompts[task],
                build_trie(distinct_ids(ids[task].codes), ids[task].sizes),
                vocabulary.first_tokens(ids[task]),
                session.track.decoding,
                device=session.device,
                progress=progress,
            )
            arrays |= {f"{task}_ids": lists.ids.astype(np.int32), f"{task}_scores": lists.scores}
        np.savez(folder / _LISTS, allow_pickle=False, **arrays)  # compressing saves a fifth, for half a minute

    return run_stage(session.store, beams_key(session, scheme, seed), make)


def load_beams(stage: Stage) -> dict[Task, tuple[NDArray[np.int32], Floats]]:
    """Per task, ID rows int32 (Q, beams), -1 where unused, and scores float32 (Q, beams), best first."""
    with np.load(stage.folder / _LISTS, allow_pickle=False) as file:
        return {task: (file[f"{task}_ids"], file[f"{task}_scores"]) for task in TASKS}


def _prompts(session: Session, ids: dict[Task, ItemIds], vocabulary: IdVocabulary) -> dict[Task, TokenRows]:
    from semidbench.generator.examples import rec_prompts

    histories = session.dataset.train.interactions.histories()
    asked = [histories[user] for user in session.dataset.held_out().users]
    tokenizer = load_text_tokens(session.tokenizer.folder).tokenizer
    return {
        "search": held_out_query_tokens(session),
        "rec": rec_prompts(asked, vocabulary.tokens(ids["rec"]), tokenizer, session.track.prompts),
    }
