"""Many items asked for at the same time; each answer is checked and kept when it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from semidbench.dataset.queries.llm.answer import Answer, Unusable, UsedQueries, check_answer, parse_answer
from semidbench.dataset.queries.llm.client import Client, NoAnswer, NoCompletion, Reply
from semidbench.dataset.queries.llm.prompt import Item, correction_request
from semidbench.errors import UserError

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionMessageParam as Message

MAX_ANSWERS = 3  # of an item, before it is given up
MAX_FAILED_IN_A_ROW = 8  # questions without an answer: the endpoint is down, or the request itself is wrong


@dataclass(frozen=True, slots=True)
class Rejected:
    """An item that was given up: why, one reason per answer, and the last answer ('' if none came)."""

    item: Item
    reasons: tuple[str, ...]
    last: str


@dataclass(slots=True)
class Tally:
    """What happened so far: answers kept, items given up, requests answered, and tokens as the endpoint counts."""

    kept: int = 0
    rejected: list[Rejected] = field(default_factory=list)
    replies: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    failed_in_a_row: int = 0

    def done(self) -> int:
        """Items that need no further question."""
        return self.kept + len(self.rejected)


@dataclass(frozen=True, slots=True)
class Asking:
    """What all questions have in common.

    Attributes:
        client: of the endpoint.
        count: queries per item, and paraphrases per item.
        used: the queries of all items answered so far; grows.
        keep: called with each answer that can be used.
        done: called after each item, with or without an answer.
        tally: kept up to date.
    """

    client: Client
    count: int
    used: UsedQueries
    keep: Callable[[Item, Answer], None]
    done: Callable[[], None]
    tally: Tally


async def ask_all(asking: Asking, items: Sequence[Item], concurrency: int) -> None:
    """Ask for all items, `concurrency` at a time, in order.

    Raises:
        UserError: the endpoint would refuse every question, or answers none; questions in flight are dropped.
    """
    waiting = iter(items)
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(_work(asking, waiting))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None


async def _work(asking: Asking, waiting: Iterator[Item]) -> None:
    for item in waiting:  # shared: each item goes to the first worker that is free
        outcome = await _ask_item(asking, item)
        if isinstance(outcome, Rejected):
            asking.tally.rejected.append(outcome)
        else:
            asking.keep(item, outcome)
            asking.tally.kept += 1
        asking.done()


async def _ask_item(asking: Asking, item: Item) -> Answer | Rejected:
    """Its answer, asked for again with the reason as long as it cannot be used, up to MAX_ANSWERS times in all."""
    question: Message = {"role": "user", "content": item.prompt}
    messages = [question]
    reasons: list[str] = []
    last = ""
    while len(reasons) < MAX_ANSWERS:
        try:
            reply = await _reply(asking, messages)
        except NoCompletion as error:
            reasons.append(str(error))
            continue
        except NoAnswer as error:
            return Rejected(item, (*reasons, str(error)), last)
        try:
            answer = parse_answer(reply.text, asking.count)
            check_answer(answer, item.title, asking.used)
        except Unusable as error:
            ended = "" if reply.finish == "stop" else f" (the endpoint ended it with {reply.finish!r})"
            reasons.append(f"{error}{ended}")
            last = reply.text
            messages = [question]
            if last.strip():
                messages += [
                    {"role": "assistant", "content": last},
                    {"role": "user", "content": correction_request(str(error))},
                ]
        else:
            return answer
    return Rejected(item, tuple(reasons), last)


async def _reply(asking: Asking, messages: Sequence[Message]) -> Reply:
    """The client's reply, counted. After too many questions in a row without one: a UserError."""
    tally = asking.tally
    try:
        reply = await asking.client.ask(messages)
    except NoAnswer as error:
        tally.failed_in_a_row += 1
        if tally.failed_in_a_row >= MAX_FAILED_IN_A_ROW:
            raise UserError(
                f"{asking.client.endpoint.base_url} gave no answer to {tally.failed_in_a_row} questions in a row "
                f"({error}). The answers so far are kept. Run the same command again"
            ) from error
        raise
    tally.failed_in_a_row = 0
    tally.replies += 1
    tally.tokens_in += reply.tokens_in
    tally.tokens_out += reply.tokens_out
    return reply
