"""A file server on loopback that can be told to misbehave."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FileServer(ThreadingHTTPServer):
    """Serves one file under every path, by Range if asked to.

    Attributes:
        content: the file.
        cut_at: the connection is cut after so many bytes of an answer; None: never.
        ranges: whether a Range is heeded.
        status: answered instead of the file, unless it is 200.
        asked: the Range header of each request, in order.
    """

    content: bytes = b""
    cut_at: int | None = None
    ranges: bool = True
    status: int = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/ml-25m.zip"


class _Handler(BaseHTTPRequestHandler):
    server: FileServer

    def do_GET(self) -> None:
        server, asked = self.server, self.headers["Range"]
        server.asked.append(asked)
        if server.status != 200:
            self.send_error(server.status)
            return
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and server.ranges else 0
        if start and start >= len(server.content):
            self.send_error(416)
            return
        body = server.content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: server.cut_at])

    def log_message(self, format: str, *args: object) -> None:
        """Keep stderr for the program under test."""


@contextmanager
def file_server(content: bytes) -> Iterator[FileServer]:
    """A server in a thread, closed afterwards."""
    server = FileServer()
    server.content = content
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
