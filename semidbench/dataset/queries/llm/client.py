"""One question to an OpenAI-compatible endpoint, asked until it is answered or hope is lost."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import mktime_tz, parsedate_tz
from typing import TYPE_CHECKING, Any

from semidbench.errors import UserError

if TYPE_CHECKING:
    import openai
    from openai.types.chat import ChatCompletionMessageParam as Message

MAX_TRIES = 8  # of one question; with the waits between them two minutes
MAX_TRIES_UNREACHED = 3  # while the endpoint has not responded to anything: a wrong address, or no network
FIRST_WAIT_S = 1.0  # doubled with every try
MAX_WAIT_S = 60.0
MAX_RETRY_AFTER_S = 300.0  # an endpoint that asks for more is out of quota
TIMEOUT_S = 120.0

Sleep = Callable[[float], Awaitable[None]]


class NoAnswer(Exception):
    """This question gets no answer, others may; the message is the reason, without a full stop."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to ask whom.

    Attributes:
        base_url: of the OpenAI-compatible API, e.g. ending in /v1.
        model: as the endpoint calls it.
        api_key: sent with each request, never shown.
        key_variable: where the key is from, for messages.
        temperature: None: the endpoint's own.
    """

    base_url: str
    model: str
    api_key: str
    key_variable: str
    temperature: float | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model said, why it stopped there, and the tokens the endpoint counted (0 where it does not say)."""

    text: str
    finish: str
    tokens_in: int
    tokens_out: int


@dataclass(slots=True)
class Client:
    """An open connection to an endpoint."""

    endpoint: Endpoint
    api: openai.AsyncOpenAI
    sleep: Sleep
    rng: random.Random
    reached: bool = False

    async def ask(self, messages: Sequence[Message]) -> Reply:
        """The model's reply.

        429, 5xx, 408, 409, timeouts and cut connections are tried again, up to MAX_TRIES times in all: after as long
        as Retry-After says, or else after an exponentially growing time with jitter.

        Raises:
            NoAnswer: all tries failed, or the endpoint refuses this question.
            UserError: the endpoint would refuse every question: a key, an address, a model or a quota is at fault.
        """
        tries = 0
        while True:
            tries += 1
            outcome = await self._try(messages)
            if isinstance(outcome, Reply):
                return outcome
            reason, wait = outcome
            if not self.reached and tries == MAX_TRIES_UNREACHED:
                raise UserError(
                    f"cannot reach {self.endpoint.base_url}: {reason.rstrip('.')}. Check the network and --base-url, "
                    "and run again"
                )
            if tries == MAX_TRIES:
                raise NoAnswer(f"{tries} tries, the last: {reason}")
            if wait is None:
                wait = min(MAX_WAIT_S, FIRST_WAIT_S * 2 ** (tries - 1)) * self.rng.uniform(0.5, 1)
            await self.sleep(wait)

    async def _try(self, messages: Sequence[Message]) -> Reply | tuple[str, float | None]:
        """The reply, or why there is none and how long the endpoint wants to be left alone."""
        import openai

        temperature = openai.omit if self.endpoint.temperature is None else self.endpoint.temperature
        try:
            completion = await self.api.chat.completions.create(
                model=self.endpoint.model, messages=messages, temperature=temperature
            )
        except openai.APITimeoutError:
            return f"no response in {TIMEOUT_S:.0f} s", None
        except openai.APIConnectionError as error:
            return f"{error.__cause__ or error}", None
        except openai.APIStatusError as error:
            self.reached = True
            return self._refusal(error)
        except (openai.APIError, ValueError) as error:  # a body that is no JSON
            self.reached = True
            return f"the response is not a chat completion ({error})", None
        self.reached = True
        return _reply(completion)

    def _refusal(self, error: openai.APIStatusError) -> tuple[str, float | None]:
        status, where = error.status_code, self.endpoint.base_url
        said = f"HTTP {status}: {_short(error.message)}"
        kept = "What was answered is kept; run the same command again"
        if status in (401, 403):  # the message may quote the key
            raise UserError(f"{where} refuses the key in {self.endpoint.key_variable} (HTTP {status}). Mend it. {kept}")
        if status == 404:
            raise UserError(f"{where} has no such address or no model {self.endpoint.model!r} ({said}). {kept}")
        if status == 402 or error.code == "insufficient_quota":
            raise UserError(f"{where} says that the quota is used up ({said}). {kept} when there is more")
        if status not in (408, 409, 429) and status < 500:
            raise NoAnswer(said)
        wait = _retry_after(error.response.headers)
        if wait is not None and wait > MAX_RETRY_AFTER_S:
            raise UserError(f"{where} asks to be left alone for {wait:,.0f} s ({said}). {kept} then")
        return said, wait


@asynccontextmanager
async def connect(endpoint: Endpoint, sleep: Sleep, rng: random.Random) -> AsyncIterator[Client]:
    """A client for as long as the block lasts.

    Args:
        endpoint: where to ask whom.
        sleep: called between tries with seconds.
        rng: of the jitter.
    """
    import openai

    # The client's own retries are off: those of `Client.ask` are the only ones.
    async with openai.AsyncOpenAI(
        api_key=endpoint.api_key, base_url=endpoint.base_url, max_retries=0, timeout=TIMEOUT_S
    ) as api:
        yield Client(endpoint, api, sleep, rng)


def _reply(completion: openai.types.chat.ChatCompletion) -> Reply | tuple[str, None]:
    choices: Any = getattr(completion, "choices", None)  # the client does not check what it was sent
    message = getattr(choices[0], "message", None) if choices else None
    if message is None:
        return "the response is not a chat completion", None
    text, usage = getattr(message, "content", None) or "", completion.usage
    return Reply(
        text=str(text).encode(errors="replace").decode(),  # halves of surrogate pairs could not be sent back
        finish=str(choices[0].finish_reason),
        tokens_in=(usage and usage.prompt_tokens) or 0,
        tokens_out=(usage and usage.completion_tokens) or 0,
    )


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from a number or a date; None where the endpoint does not say."""
    value = headers.get("retry-after", "").strip()
    if value.isdecimal():
        return float(value)
    date = parsedate_tz(value)
    return max(0.0, mktime_tz(date) - time.time()) if date else None


def _short(message: str) -> str:
    line = " ".join(message.split())
    return line if len(line) <= 200 else f"{line[:200]}..."
