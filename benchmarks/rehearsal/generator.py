"""The data's and the generator's stages: prepared, tokenised, trained, decoded."""

from __future__ import annotations

from contextlib import suppress

import numpy as np

from benchmarks.rehearsal.parts import Part, counts
from benchmarks.rehearsal.place import Enough, Place, StepClock, now, silent
from semidbench.api import TASKS, Ints, ItemIds
from semidbench.generator.beam_search import decode
from semidbench.generator.examples import Examples, TokenRows, rec_prompts, training_examples
from semidbench.generator.model import add_tokens, load_generator
from semidbench.generator.training import train
from semidbench.generator.trie import build_trie
from semidbench.ids.distinct import distinct_ids
from semidbench.ids.vocabulary import IdVocabulary, id_vocabulary
from semidbench.machine.device import held_threads
from semidbench.runs.shared.query_tokens import held_out_query_tokens, training_query_tokens
from semidbench.runs.shared.session import Session
from semidbench.text.tokenizer import load_text_tokens


def prepare_data(place: Place) -> list[Part]:
    """Everything from the files to a session: read, joined, split, hashed, the models' files hashed."""
    began = now("cpu")
    place.session()
    return [Part("data prepared, models found", 1, "times", now("cpu") - began, 1)]


def tokenise(place: Place) -> list[Part]:
    """All queries of both sides, and what each generator is given of them with its own IDs."""
    session, times = place.session(), counts(place.track)
    began = now("cpu")
    training_query_tokens(session)
    held_out_query_tokens(session)
    parts = [Part("queries tokenised", 1, "times", now("cpu") - began, 1)]
    ids, vocabulary = _ids(place, session)
    began = now("cpu")
    _examples(session, vocabulary.tokens(ids))
    parts.append(Part("training examples laid out", 1, "cells", now("cpu") - began, times.cells))
    began = now("cpu")
    _prompts(session, vocabulary.tokens(ids))
    return [*parts, Part("test prompts laid out", 1, "cells", now("cpu") - began, times.cells)]


def train_steps(place: Place) -> list[Part]:
    """Steps at the track's batch, on its mix of examples."""
    session, amounts = place.session(), place.amounts
    ids, vocabulary = _ids(place, session)
    examples, section = _examples(session, vocabulary.tokens(ids)), session.track.training
    model = load_generator(session.models["generator"].folder)
    add_tokens(model, vocabulary.n_id_tokens, seed=0)
    clock = StepClock(amounts.steps, amounts.device)
    with suppress(Enough), held_threads(amounts.threads):
        train(model, examples, section, seed=0, device=amounts.device, progress=clock)
    whole = counts(session.track).cells * section.epochs * -(-len(examples) // section.batch)
    return [Part(f"generator trained in batches of {section.batch}", clock.timed, "steps", clock.seconds, whole)]


def decode_prompts(place: Place) -> list[Part]:
    """Prompts of both tasks, drawn at random, by a generator that was not trained: its beams share few prefixes."""
    session, amounts = place.session(), place.amounts
    ids, vocabulary = _ids(place, session)
    model = load_generator(session.models["generator"].folder)
    add_tokens(model, vocabulary.n_id_tokens, seed=0)
    prompts = _prompts(session, vocabulary.tokens(ids))
    rng = np.random.default_rng(0)
    trie = build_trie(distinct_ids(ids.codes), ids.sizes)

    def work(count: int) -> float:
        rows = np.sort(rng.choice(len(prompts), min(count, len(prompts)), replace=False))
        some = _rows(prompts, rows)
        began = now(amounts.device)
        section = session.track.decoding
        decode(model, some, trie, vocabulary.first_tokens(ids), section, device=amounts.device, progress=silent)
        return now(amounts.device) - began

    with held_threads(amounts.threads):
        work(amounts.prompts)  # not timed: libraries prepare
        seconds = work(amounts.prompts)
    done, whole = min(amounts.prompts, len(prompts)), counts(session.track).cells * len(prompts)
    return [Part("test prompts decoded", done, "prompts", seconds, whole)]


def _ids(place: Place, session: Session) -> tuple[ItemIds, IdVocabulary]:
    """Made IDs, one for both tasks, and their tokens."""
    sizes = session.track.ids.codebook_sizes
    ids = ItemIds(place.codes(), tuple(f"level-{level}" for level in range(len(sizes))), sizes)
    return ids, id_vocabulary(dict.fromkeys(TASKS, ids), load_text_tokens(session.tokenizer.folder).size)


def _examples(session: Session, tokens: Ints) -> Examples:
    learnt = session.dataset.train
    return training_examples(
        training_query_tokens(session),
        learnt.queries.items,
        learnt.interactions,
        tokens,
        tokens,
        load_text_tokens(session.tokenizer.folder).tokenizer,
        session.track.prompts,
        session.track.training.prefixes_per_user,
    )


def _prompts(session: Session, tokens: Ints) -> TokenRows:
    """Of both tasks, search first."""
    histories = session.dataset.train.interactions.histories()
    asked = [histories[user] for user in session.dataset.held_out().users]
    tokenizer = load_text_tokens(session.tokenizer.folder).tokenizer
    search, rec = held_out_query_tokens(session), rec_prompts(asked, tokens, tokenizer, session.track.prompts)
    offsets = np.concatenate([search.offsets, rec.offsets[1:] + search.offsets[-1]])
    return TokenRows(np.concatenate([search.flat, rec.flat]), offsets)


def _rows(prompts: TokenRows, rows: Ints) -> TokenRows:
    """Some of them."""
    parts = [prompts.flat[prompts.offsets[row] : prompts.offsets[row + 1]] for row in rows]
    return TokenRows(np.concatenate(parts), np.cumsum([0, *map(len, parts)]))
