"""A queries file written by a language model: what is left to ask, what that may cost, the asking and the files."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from semidbench.api import Catalogue, Ints
from semidbench.dataset.movielens.locate import QUERIES
from semidbench.dataset.queries.llm.answer import Answer, Unusable, UsedQueries, check_answer, read_answer
from semidbench.dataset.queries.llm.ask import Asking, Rejected, Tally, ask_all
from semidbench.dataset.queries.llm.client import Endpoint, connect
from semidbench.dataset.queries.llm.journal import Journal, JournalHeader, JournalLine, open_journal, read_journal
from semidbench.dataset.queries.llm.prompt import Item, items_to_ask, prompt_template, text_sha256
from semidbench.errors import UserError
from semidbench.store.files import write_atomically
from semidbench.tracks import track

JOURNAL, REJECTED, LOCK = "queries.journal.jsonl", "queries.rejected.jsonl", "queries.journal.lock"
REJECTED_VERSION = 1
CHARACTERS_PER_TOKEN = 4  # of English, roughly
TOKENS_PER_QUERY = 16  # of an answer, quotes and comma included, roughly

JsonObject = Mapping[str, Any]  # a line of a JSONL file


@dataclass(frozen=True, slots=True)
class QueryPlan:
    """What is answered and what is left to ask.

    Attributes:
        folder: holds the files.
        header: of the journal.
        items: the catalogue.
        answers: by movieId, from the journal.
        used: the queries of these answers.
        given_up: by movieId, the records of items without an answer that an earlier run gave up.
        to_ask: the items without an answer, those given up before at the end.
        notes: answers of the journal that do not count, with numbers.
    """

    folder: Path
    header: JournalHeader
    items: tuple[Item, ...]
    answers: Mapping[int, Answer]
    used: UsedQueries
    given_up: Mapping[int, JsonObject]
    to_ask: tuple[Item, ...]
    notes: tuple[str, ...]

    def tokens(self, limit: int | None) -> tuple[int, int]:
        """Tokens in and out, estimated, if each of the first `limit` items to ask (None: all) is asked for once."""
        asked = self.to_ask[:limit]
        return (
            sum(len(item.prompt) for item in asked) // CHARACTERS_PER_TOKEN,
            len(asked) * 2 * self.header.queries * TOKENS_PER_QUERY,
        )


@contextmanager
def exclusive_use(folder: Path) -> Iterator[None]:
    """Nobody else asks for this folder's queries as long as the block lasts.

    Raises:
        UserError: somebody does, or the folder cannot be written.
    """
    try:
        with FileLock(folder / LOCK, timeout=0):
            yield
    except Timeout:
        raise UserError(f"another process is asking for the queries of {folder}. Wait for it, or end it") from None
    except PermissionError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}. Make it writable and run again") from error


def plan_queries(
    section: track.MovieLens, catalogue: Catalogue, movie_ids: Ints, folder: Path, model: str, temperature: float | None
) -> QueryPlan:
    """Compare the catalogue with the journal in `folder`.

    A journal's answer counts if it answers the item's present prompt and passes `check_answer`. The other items are
    asked for again.

    Args:
        section: has the number of queries per item.
        catalogue: N items.
        movie_ids: int64 (N,).
        folder: of journal and queries.
        model: its name at the endpoint.
        temperature: None: the endpoint's own.

    Raises:
        UserError: the journal is damaged or of another model or prompt, or there is a queries file already that was
            not written from it.
    """
    count = section.train_queries
    if count != section.test_queries:
        raise UserError(
            f"the prompt asks for one paraphrase per query, but the track has {count} training and "
            f"{section.test_queries} test queries. Give both the same number"
        )
    items = tuple(items_to_ask(catalogue, movie_ids, count))
    header = JournalHeader(model, temperature, count, text_sha256(prompt_template(count)))
    used = UsedQueries()
    answers, notes = _answers(items, read_journal(folder / JOURNAL, header), count, used)
    given_up = {movie: record for movie, record in _rejected(folder / REJECTED).items() if movie not in answers}
    left = [item for item in items if item.movie not in answers]
    to_ask = tuple(sorted(left, key=lambda item: item.movie in given_up))
    queries = folder / QUERIES
    if queries.exists() and (to_ask or queries.read_bytes() != _content(items, answers)):
        raise UserError(
            f"{queries} exists and does not agree with the journal beside it. Move it away, and run again to write it"
        )
    return QueryPlan(folder, header, items, answers, used, given_up, to_ask, tuple(notes))


def ask_for_queries(
    plan: QueryPlan,
    endpoint: Endpoint,
    *,
    concurrency: int,
    limit: int | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Tally:
    """Ask for what is left. Write the queries file when every item has its answer.

    Each answer is in the journal before the next question of its worker. Items that were given up are listed in
    `queries.rejected.jsonl`, with reasons; without any there is no such file. Stopping it at any time loses nothing
    but the questions in flight.

    Args:
        plan: of `plan_queries`, under `exclusive_use`.
        endpoint: that answers.
        concurrency: questions in flight.
        limit: ask for so many items at most.
        progress: called after each item, with how many are done.

    Raises:
        UserError: as `ask_all`; nothing responds at the endpoint's address; or a file cannot be written.
    """
    asked = plan.to_ask[:limit]
    answers = dict(plan.answers)
    tally = Tally()

    async def ask(journal: Journal) -> None:
        def keep(item: Item, answer: Answer) -> None:
            journal.append(item, answer)
            answers[item.movie] = answer

        async with connect(endpoint) as client:
            asking = Asking(client, plan.header.queries, plan.used, keep, lambda: progress(tally.done()), tally)
            await ask_all(asking, asked, concurrency)

    if asked:
        with open_journal(plan.folder / JOURNAL, plan.header) as journal:
            try:
                asyncio.run(ask(journal))
            finally:
                _write_rejected(plan.folder / REJECTED, plan.given_up, answers, tally.rejected)
    if len(answers) == len(plan.items):
        write_atomically(plan.folder / QUERIES, _content(plan.items, answers))
    return tally


def _answers(
    items: Sequence[Item], lines: Sequence[JournalLine], count: int, used: UsedQueries
) -> tuple[dict[int, Answer], list[str]]:
    """The answers that count, by movieId, and notes on the others."""
    by_movie = {item.movie: item for item in items}
    answers: dict[int, Answer] = {}
    changed = 0
    unusable: list[str] = []
    for line in {line.movieId: line for line in lines}.values():  # a later answer replaces an earlier one
        item = by_movie.get(line.movieId)
        if item is None:
            continue
        if line.prompt_sha256 != item.prompt_sha256():
            changed += 1
            continue
        try:
            answer = read_answer({"queries": [*line.train], "paraphrases": [*line.test]}, count)
            check_answer(answer, item.title, used)
        except Unusable as error:
            unusable.append(f"movieId {line.movieId}: {error}")
        else:
            answers[line.movieId] = answer
    notes = []
    if changed:
        notes.append(f"answers in the journal to items whose metadata have changed since, asked for again: {changed:,}")
    if unusable:
        notes.append(f"answers in the journal that cannot be used, asked for again: {len(unusable):,} ({unusable[0]})")
    return answers, notes


def _content(items: Iterable[Item], answers: Mapping[int, Answer]) -> bytes:
    """The queries file: item by item, training queries first."""
    lines = (
        {"movieId": item.movie, "split": split, "text": text}
        for item in items
        for split, texts in (("train", answers[item.movie].train), ("test", answers[item.movie].test))
        for text in texts
    )
    return _jsonl(lines)


def _write_rejected(
    path: Path, before: Mapping[int, JsonObject], answers: Mapping[int, Answer], rejected: Sequence[Rejected]
) -> None:
    """All items that were given up and have no answer yet: those of earlier runs and those of this one."""
    records = {movie: record for movie, record in before.items() if movie not in answers}
    for each in rejected:
        records[each.item.movie] = {
            "movieId": each.item.movie,
            "title": each.item.title,
            "prompt_sha256": each.item.prompt_sha256(),
            "reasons": each.reasons,
            "last_answer": each.last,
        }
    if records:
        write_atomically(path, _jsonl([{"semidbench_rejected_queries": REJECTED_VERSION}, *records.values()]))
    else:
        path.unlink(missing_ok=True)


def _rejected(path: Path) -> dict[int, JsonObject]:
    try:
        header, *records = map(json.loads, path.read_text("utf-8").removesuffix("\n").split("\n"))
        if header != {"semidbench_rejected_queries": REJECTED_VERSION}:
            raise ValueError("it has no header, or one of another version")
        return {record["movieId"]: record for record in records}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"cannot read {path}: {error}. It only reports on earlier runs: delete it and run again"
        ) from error


def _jsonl(records: Iterable[JsonObject]) -> bytes:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()
