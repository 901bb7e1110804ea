"""How much work a cell of a track is: examples, prompts and their tokens, counted or reckoned."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from semidbench.api import Ints
from semidbench.errors import UserError
from semidbench.generator.examples import rec_prompts, training_examples
from semidbench.methods.scheme import parse_method, parse_scheme
from semidbench.runs.reporter import Reporter
from semidbench.runs.shared.query_tokens import held_out_query_tokens, training_query_tokens
from semidbench.runs.shared.session import Session, open_session
from semidbench.text.tokenizer import load_text_tokens
from semidbench.tracks.track import Expected, ScratchGenerator, Track, World

_REC_WORDS = 4  # tokens of a recommendation prompt beside its IDs: a word or two, a colon, the end


@dataclass(frozen=True, slots=True)
class Workload:
    """A cell's work. IDs have as many tokens as the track has codebooks; some layouts use more.

    Attributes:
        counted: from the data; else from the sizes that the track expects.
        queries: training queries.
        examples: training examples of both tasks, an epoch.
        example_tokens: tokens of all their prompts.
        label_tokens: tokens of all their IDs.
        prompts: test prompts of both tasks.
        prompt_tokens: tokens of all of them.
        encoder_dimension: width of a text's encoding.
    """

    counted: bool
    items: int
    users: int
    queries: int
    examples: int
    example_tokens: int
    label_tokens: int
    prompts: int
    prompt_tokens: int
    encoder_dimension: int


def expected_workload(track: Track) -> Workload:
    """Reckoned from the track's `[plan.expected]`.

    Raises:
        UserError: the track has none.
    """
    expected = _expected(track)
    levels, history = len(track.ids.codebook_sizes), track.prompts.history
    training = expected.interactions_per_user - 1  # the last is the test's
    prefixes = range(1, training)
    if track.training.prefixes_per_user:
        prefixes = prefixes[-track.training.prefixes_per_user :]
    searches = expected.items * expected.train_queries
    examples = searches + expected.users * len(prefixes)
    rec_tokens = expected.users * sum(_REC_WORDS + levels * min(prefix, history) for prefix in prefixes)
    tests = expected.items * expected.test_queries
    return Workload(
        counted=False,
        items=expected.items,
        users=expected.users,
        queries=searches,
        examples=examples,
        example_tokens=searches * expected.query_tokens + rec_tokens,
        label_tokens=examples * levels,
        prompts=tests + expected.users,
        prompt_tokens=tests * expected.query_tokens + expected.users * (_REC_WORDS + levels * min(training, history)),
        encoder_dimension=expected.encoder_dimension,
    )


def expected_generator(track: Track) -> ScratchGenerator:
    """A generator of the size that the track's has."""
    return track.generator if isinstance(track.generator, ScratchGenerator) else _expected(track).generator


def counted_workload(session: Session) -> Workload:
    """Counted in a track's data, with IDs of no meaning: only their length matters."""
    track, train, held_out = session.track, session.dataset.train, session.dataset.held_out()
    levels, tokenizer = len(track.ids.codebook_sizes), load_text_tokens(session.tokenizer.folder).tokenizer
    ids = np.zeros((train.n_items, levels), np.int64)
    examples = training_examples(
        training_query_tokens(session),
        train.queries.items,
        train.interactions,
        ids,
        ids,
        tokenizer,
        track.prompts,
        track.training.prefixes_per_user,
    )
    histories = train.interactions.histories()
    tests: list[Ints] = [
        held_out_query_tokens(session).lengths,
        rec_prompts([histories[user] for user in held_out.users], ids, tokenizer, track.prompts).lengths,
    ]
    return Workload(
        counted=True,
        items=train.n_items,
        users=train.interactions.n_users,
        queries=len(train.queries),
        examples=len(examples),
        example_tokens=int(examples.prompts.lengths.sum()),
        label_tokens=len(examples) * levels,
        prompts=sum(map(len, tests)),
        prompt_tokens=int(sum(map(np.sum, tests))),
        encoder_dimension=session.encoder.dimension,
    )


def open_for_counting(track: Track, data: Path | None, store: Path, device: str, reporter: Reporter) -> Session | None:
    """The track's data where they are built in or given, else None."""
    if data is None and not isinstance(track.dataset, World):
        return None
    reporter.stage("prepare the data")
    return open_session(track, "test", data, store, device)


def steps(work: Workload, track: Track) -> int:
    """Training steps of a cell."""
    return track.training.epochs * math.ceil(work.examples / track.training.batch)


def whole_model_tunings(track: Track) -> int:
    """How often a seed fine-tunes a sentence model as a whole: methods that are told `tune=full`, each once.

    Told by the track or in a row's brackets. Embedders that another builds on count where they are a row's, too.
    """
    embedders = {method for row in track.plan.rows for method in parse_scheme(row).embedders}
    rankers = {parse_method(ranker, ranker) for ranker in track.plan.references}
    return sum(
        {**given.get(method.name, {}), **dict(method.options)}.get("tune") == "full"
        for methods, given in ((embedders, track.methods.embedders), (rankers, track.methods.rankers))
        for method in methods
    )


def _expected(track: Track) -> Expected:
    if track.plan.expected is None:
        raise UserError(
            f"track {track.name} says nothing of the sizes to expect, so that its data must be counted. "
            "Give its folder with --data"
        )
    return track.plan.expected
