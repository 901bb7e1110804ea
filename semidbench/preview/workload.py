"""How much work a cell of a track is: examples, prompts and their tokens, counted or estimated."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from semidbench.methods.resolved import Outcome, ResolvedMethod, ResolvedScheme
from semidbench.preview.generator_data import GeneratorData, expected_sizes
from semidbench.runs.reporter import Reporter
from semidbench.runs.shared.session import Session, open_session
from semidbench.tracks.track import Track, World

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
    """Estimated from the track's `[plan.expected]`.

    Raises:
        UserError: the track has none.
    """
    expected = expected_sizes(track)
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


def counted_workload(session: Session, data: GeneratorData) -> Workload:
    """Counted in a track's data."""
    train = session.dataset.train
    return Workload(
        counted=True,
        items=train.n_items,
        users=train.interactions.n_users,
        queries=len(train.queries),
        examples=len(data.examples),
        example_tokens=int(data.examples.prompts.lengths.sum()),
        label_tokens=len(data.examples) * len(session.track.ids.codebook_sizes),
        prompts=len(data.prompts),
        prompt_tokens=int(data.prompts.lengths.sum()),
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


def encoder_tunings(rows: Sequence[Outcome]) -> int:
    """How often a seed fine-tunes the text encoder: embedders and rankers that state so, each once.

    A method with other options is another one. Embedders that others build on count as well. Rows whose methods are
    not installed or fail do not count.
    """
    tuning = {
        (method.who, json.dumps(method.options, sort_keys=True))
        for row in rows
        for method in _embedders_or_ranker(row)
        if method.fine_tunes_text_encoder
    }
    return len(tuning)


def _embedders_or_ranker(outcome: Outcome) -> list[ResolvedMethod]:
    """A row's embedders, with those that they build on, or its ranker; none of a row that cannot run."""
    match outcome:
        case ResolvedScheme():
            return [method for embedder in outcome.embedders for method in embedder.with_below()]
        case ResolvedMethod():
            return [outcome]
    return []
