"""A language model on the loopback: speaks /v1/chat/completions, and misbehaves where a test wants it to."""

from __future__ import annotations

import json
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Question:
    """A request: the messages, what number of request it is (from 0), and how often its prompt was asked before."""

    messages: list[dict[str, str]]
    number: int
    before: int
    key: str

    @property
    def prompt(self) -> str:
        return self.messages[0]["content"]


@dataclass(frozen=True)
class Response:
    """What is sent: `body` is cut after `cut` bytes, and the connection with it."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None


Model = Callable[[Question], Response]


def completion(content: str, finish: str = "stop") -> Response:
    """A chat completion."""
    message = {"role": "assistant", "content": content}
    body: dict[str, Any] = {
        "id": "stub",
        "object": "chat.completion",
        "created": 0,
        "model": "stub",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 30, "total_tokens": 130},
    }
    return Response(json.dumps(body).encode())


def fails(status: int, message: str = "no", code: str | None = None, **headers: str) -> Response:
    """An error; headers with _ for -."""
    body = json.dumps({"error": {"message": message, "code": code}}).encode()
    return Response(body, status, {name.replace("_", "-"): value for name, value in headers.items()})


def answer(prompt: str, count: int) -> dict[str, list[str]]:
    """A usable answer, the same for the same prompt and of no other prompt: its words tell the movie's place only."""
    place = zlib.crc32(prompt.encode())
    return {
        "queries": [f"wanted: story {place} told in {number} ways" for number in range(count)],
        "paraphrases": [f"looking for tale {place} with {number} turns" for number in range(count)],
    }


def well_behaved(count: int) -> Model:
    """Always a usable answer."""
    return lambda question: completion(json.dumps(answer(question.prompt, count)))


@dataclass
class Stub:
    """A running server: its address, all questions in the order of arrival, and how often each prompt came."""

    base_url: str
    questions: list[Question] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)


@contextmanager
def serving(model: Model) -> Iterator[Stub]:
    """A server on a free port of the loopback for as long as the block lasts."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else each answer waits 40 ms for an acknowledgement

        def do_GET(self) -> None:  # many servers have no list of models
            self._send(fails(404, "no such path"))

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path != "/v1/chat/completions":
                self._send(fails(404, "no such path"))
                return
            with lock:
                prompt = asked["messages"][0]["content"]
                key = self.headers["Authorization"].removeprefix("Bearer ")
                question = Question(asked["messages"], len(stub.questions), stub.asked[prompt], key)
                stub.asked[prompt] += 1
                stub.questions.append(question)
            self._send(model(question))

        def _send(self, response: Response) -> None:
            self.send_response(response.status)
            for name, value in {"Content-Type": "application/json", **response.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(response.body)))
            self.end_headers()
            self.wfile.write(response.body[: response.cut])
            self.close_connection = response.cut is not None

        def log_message(self, format: str, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        stub = Stub(f"http://127.0.0.1:{server.server_address[1]}/v1")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield stub
        finally:
            server.shutdown()
            thread.join()
