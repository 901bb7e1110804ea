"""One question to an OpenAI-compatible endpoint. Retries, waits and time-outs are the openai client's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from semidbench.errors import UserError

if TYPE_CHECKING:
    import openai
    from openai.types.chat import ChatCompletionMessageParam as Message

# The openai client tries a question again after 408, 409, 429, 5xx, a time-out or a cut connection. It waits as long as
# Retry-After requires, up to two minutes, else .5, 1, 2, 4 and then 8 seconds, less a random quarter at most.
MAX_RETRIES = 12  # about a minute: most rate limits are per minute
TIMEOUT_S = 120.0


class NoAnswer(Exception):
    """This question gets no answer; others may. The message is the reason, without a full stop."""


class NoCompletion(NoAnswer):
    """The response is not a chat completion. The same question may get one."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An OpenAI-compatible API and a model behind it.

    Attributes:
        base_url: of the API, e.g. ending in /v1.
        model: its name at the endpoint.
        api_key: sent with each request, never shown.
        key_variable: the environment variable that holds the key, for messages.
        temperature: None: the endpoint's own.
    """

    base_url: str
    model: str
    api_key: str
    key_variable: str
    temperature: float | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """The model's text, why it ended there, and the tokens that the endpoint counted (0 where it gives none)."""

    text: str
    finish: str
    tokens_in: int
    tokens_out: int


@dataclass(frozen=True, slots=True)
class Client:
    """An open connection to an endpoint."""

    endpoint: Endpoint
    api: openai.AsyncOpenAI

    async def ask(self, messages: Sequence[Message]) -> Reply:
        """The model's reply.

        Raises:
            NoAnswer: all tries failed, or the endpoint refuses this question.
            NoCompletion: the response is not a chat completion.
            UserError: the endpoint would refuse every question: the key, the address, the model or the quota is wrong.
        """
        import openai

        temperature = openai.omit if self.endpoint.temperature is None else self.endpoint.temperature
        try:
            completion = await self.api.chat.completions.create(
                model=self.endpoint.model, messages=messages, temperature=temperature
            )
        except openai.APIConnectionError as error:
            raise NoAnswer(_cause(error)) from error
        except openai.APIStatusError as error:
            raise self._refusal(error) from error
        except (openai.APIError, ValueError) as error:  # a body that is not JSON
            raise NoCompletion(f"the response is not a chat completion ({_short(str(error))})") from error
        return _reply(completion)

    def _refusal(self, error: openai.APIStatusError) -> UserError | NoAnswer:
        status, url = error.status_code, self.endpoint.base_url
        answer = f"HTTP {status}: {_short(error.message)}"
        if wait := error.response.headers.get("retry-after"):
            answer += f", Retry-After: {_short(wait)}"
        kept = "The answers so far are kept. Run the same command again"
        if status in (401, 403):  # the message may quote the key
            key = self.endpoint.key_variable
            return UserError(f"{url} refuses the key in {key} (HTTP {status}). Correct the key. {kept}")
        if status == 404:
            model = self.endpoint.model
            return UserError(f"{url} is not the address of an API, or has no model {model!r} ({answer}). {kept}")
        if status == 402 or error.code == "insufficient_quota":
            return UserError(f"the quota at {url} is used up ({answer}). {kept} when there is more")
        return NoAnswer(answer)


@asynccontextmanager
async def connect(endpoint: Endpoint) -> AsyncIterator[Client]:
    """A client for as long as the block lasts.

    Raises:
        UserError: nothing responds at the endpoint's address.
    """
    import openai

    async with openai.AsyncOpenAI(
        api_key=endpoint.api_key, base_url=endpoint.base_url, max_retries=MAX_RETRIES, timeout=TIMEOUT_S
    ) as api:
        await _check_address(api, endpoint.base_url)
        yield Client(endpoint, api)


async def _check_address(api: openai.AsyncOpenAI, base_url: str) -> None:
    """Any response is enough. With the retries of a question, a wrong address would be reported after a minute."""
    import openai

    try:
        await api.with_options(max_retries=0).models.with_raw_response.list()
    except openai.APIConnectionError as error:
        reason = _cause(error).rstrip(".")
        raise UserError(
            f"cannot reach {base_url}: {reason}. Check the network and --base-url, and run again"
        ) from error
    except openai.APIStatusError:
        pass  # many servers have no list of models


def _reply(completion: openai.types.chat.ChatCompletion) -> Reply:
    choices: Any = getattr(completion, "choices", None)  # the client does not check what it received
    message = getattr(choices[0], "message", None) if choices else None
    if message is None:
        error = getattr(completion, "error", None) or "no choices"  # as OpenRouter reports errors of those behind it
        raise NoCompletion(f"the response is not a chat completion ({_short(str(error))})")
    text, usage = getattr(message, "content", None) or "", completion.usage
    return Reply(
        text=str(text).encode(errors="replace").decode(),  # halves of surrogate pairs could not be sent back
        finish=str(choices[0].finish_reason),
        tokens_in=(usage and usage.prompt_tokens) or 0,
        tokens_out=(usage and usage.completion_tokens) or 0,
    )


def _cause(error: openai.APIConnectionError) -> str:
    import openai

    if isinstance(error, openai.APITimeoutError):
        return f"no response in {TIMEOUT_S:.0f} s"
    return _short(str(error.__cause__ or error))


def _short(message: str) -> str:
    line = " ".join(message.split())
    return line if len(line) <= 200 else f"{line[:200]}..."
