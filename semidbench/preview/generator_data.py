"""What a probe trains and decodes: a track's own prompts with IDs of no meaning, or random ones of expected lengths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from semidbench.api import Ints
from semidbench.errors import UserError
from semidbench.generator.examples import Examples, TokenRows, rec_prompts, training_examples
from semidbench.runs.shared.query_tokens import held_out_query_tokens, training_query_tokens
from semidbench.runs.shared.session import Session
from semidbench.text.tokenizer import load_text_tokens
from semidbench.tracks.track import Expected, ScratchGenerator, Track

if TYPE_CHECKING:
    from transformers import T5ForConditionalGeneration

_RANDOM_ROWS = 4096  # at most


@dataclass(frozen=True, slots=True)
class GeneratorData:
    """A cell's examples and prompts, with IDs drawn at random; IDs have as many tokens as the track has codebooks.

    Attributes:
        examples: of an epoch.
        prompts: of the test, both tasks.
        codes: int64 (N, L), the items' IDs.
        first_tokens: the token of code 0 of each level.
    """

    examples: Examples
    prompts: TokenRows
    codes: Ints
    first_tokens: tuple[int, ...]


def track_data(session: Session) -> GeneratorData:
    """All of a track's training examples and test prompts."""
    track, train, held_out = session.track, session.dataset.train, session.dataset.held_out()
    text = load_text_tokens(session.tokenizer.folder)
    codes, first = _random_ids(train.n_items, text.size, track.ids.codebook_sizes)
    tokens = codes + first
    examples = training_examples(
        training_query_tokens(session),
        train.queries.items,
        train.interactions,
        tokens,
        tokens,
        text.tokenizer,
        track.prompts,
        track.training.prefixes_per_user,
    )
    histories = train.interactions.histories()
    searches = held_out_query_tokens(session)
    recommendations = rec_prompts([histories[user] for user in held_out.users], tokens, text.tokenizer, track.prompts)
    prompts = TokenRows(
        np.concatenate([searches.flat, recommendations.flat]),
        np.concatenate([searches.offsets, recommendations.offsets[1:] + searches.offsets[-1]]),
    )
    return GeneratorData(examples, prompts, codes, tuple(map(int, first)))


def random_data(
    track: Track, text_tokens: int, *, items: int, examples: int, example_length: int, prompts: int, prompt_length: int
) -> GeneratorData:
    """Random tokens, where the track's data is not at hand; not more rows than a probe takes.

    Args:
        example_length: tokens of the prompt of each example; `prompt_length`: of each test prompt.
    """
    codes, first = _random_ids(items, text_tokens, track.ids.codebook_sizes)
    rng = np.random.default_rng(0)
    count = min(examples, _RANDOM_ROWS)
    labels = (codes + first)[rng.integers(0, items, count)]
    trained = _random_rows(count, example_length, text_tokens, rng)
    asked = _random_rows(min(prompts, _RANDOM_ROWS), prompt_length, text_tokens, rng)
    return GeneratorData(Examples(trained, labels), asked, codes, tuple(map(int, first)))


def untrained_generator(track: Track, session: Session | None) -> tuple[T5ForConditionalGeneration, int]:
    """The generator before its training, ID tokens and all, and how many text tokens it has."""
    from semidbench.generator.model import add_tokens, load_generator, new_generator

    section = expected_generator(track)
    if session and (pretrained := session.models.get("generator")):
        model = load_generator(pretrained.folder)
    else:
        text_tokens = load_text_tokens(session.tokenizer.folder).size if session else section.tokenizer_vocabulary
        model = new_generator(section, text_tokens, seed=0)
    text_tokens = int(model.config.vocab_size)
    add_tokens(model, sum(track.ids.codebook_sizes), seed=0)
    return model, text_tokens


def expected_generator(track: Track) -> ScratchGenerator:
    """A generator of the size that the track's has."""
    return track.generator if isinstance(track.generator, ScratchGenerator) else expected_sizes(track).generator


def expected_sizes(track: Track) -> Expected:
    """The track's `[plan.expected]`.

    Raises:
        UserError: it has none.
    """
    if track.plan.expected is None:
        raise UserError(
            f"track {track.name} says nothing of the sizes to expect, so that its data must be counted. "
            "Give its folder with --data"
        )
    return track.plan.expected


def drawn(rows: TokenRows, which: Ints) -> TokenRows:
    """Some rows, in the order of their numbers in `which`."""
    lengths = rows.lengths_of(which)
    parts = [rows.flat[start : start + length] for start, length in zip(rows.offsets[which], lengths, strict=True)]
    return TokenRows(np.concatenate(parts), np.concatenate([[0], np.cumsum(lengths)]))


def _random_ids(items: int, text_tokens: int, sizes: tuple[int, ...]) -> tuple[Ints, Ints]:
    """Codes int64 (N, L), and each level's first token int64 (L,)."""
    codes = np.random.default_rng(0).integers(0, sizes, (items, len(sizes)))
    return codes, text_tokens + np.cumsum([0, *sizes[:-1]])


def _random_rows(count: int, length: int, vocabulary: int, rng: np.random.Generator) -> TokenRows:
    flat = rng.integers(2, vocabulary, count * length).astype(np.int32)
    return TokenRows(flat, np.arange(count + 1, dtype=np.int64) * length)
