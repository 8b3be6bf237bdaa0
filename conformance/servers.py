"""The other ends that a broker under test calls: a receiver of notifications, and a server of @contexts and documents."""

import queue
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from uuid import uuid4

import orjson

from conformance.exchanges import ConformanceFailure

PATIENCE: Final = 10.0
"""Seconds that a broker gets for what it does on its own time."""


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """A request as it arrived. `headers` are looked up whatever their case."""

    method: str
    path: str
    headers: Message = field(repr=False)
    body: bytes
    arrived: float

    @property
    def json(self) -> Any:
        """The body as a JSON value. Raises ConformanceFailure where it is none."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise ConformanceFailure(f"what the broker sent should be JSON: {error}\n{self}") from None


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answers with; `delay` seconds late."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0


class _Server:
    """A threaded HTTP server on a free port of `host`, which answers by the function it is given."""

    def __init__(self, host: str, answer: Callable[[ReceivedRequest], Reply]) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                reply = answer(ReceivedRequest(self.command, self.path, self.headers, body, time.monotonic()))
                if reply.delay:
                    time.sleep(reply.delay)
                with suppress(ConnectionError):  # who asked may have given up waiting
                    self.send_response(reply.status)
                    for name, value in reply.headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(reply.body)))
                    self.end_headers()
                    self.wfile.write(reply.body)

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = do_HEAD = handle_any

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing: the tests say what went wrong."""

        self._server = ThreadingHTTPServer((host, 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://{host}:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


class Receiver:
    """An endpoint of subscriptions: keeps what is sent to it, in order of arrival, and answers 200 or what it is told to."""

    def __init__(self, host: str) -> None:
        self._requests: queue.SimpleQueue[ReceivedRequest] = queue.SimpleQueue()
        self._replies: queue.SimpleQueue[Reply] = queue.SimpleQueue()
        self._always = Reply()
        self._server = _Server(host, self._answer)
        self.url = f"{self._server.url}/notify"

    def answer_next(self, *replies: Reply) -> None:
        """The answers to the next requests, one each; then 200 again (or what `answer_always` said)."""
        for reply in replies:
            self._replies.put(reply)

    def answer_always(self, reply: Reply) -> None:
        """The answer to all requests from now on."""
        self._always = reply

    def next(self, timeout: float = PATIENCE) -> ReceivedRequest:
        """The next request that has arrived or arrives. Raises ConformanceFailure after `timeout` seconds."""
        try:
            return self._requests.get(timeout=timeout)
        except queue.Empty:
            raise ConformanceFailure(
                f"the broker should have sent something to {self.url} within {timeout} s"
            ) from None

    def next_json(self, timeout: float = PATIENCE) -> Any:
        """The body of the next request."""
        return self.next(timeout).json

    def expect_silence(self, seconds: float = 0.7) -> None:
        """Raises ConformanceFailure if anything has arrived or arrives within that time."""
        try:
            unexpected = self._requests.get(timeout=seconds)
        except queue.Empty:
            return
        raise ConformanceFailure(f"the broker should not have sent this:\n{unexpected.body.decode(errors='replace')}")

    def close(self) -> None:
        """Stop listening: from now on connections are refused."""
        self._server.close()

    def _answer(self, request: ReceivedRequest) -> Reply:
        self._requests.put(request)
        try:
            return self._replies.get_nowait()
        except queue.Empty:
            return self._always


class DocumentServer:
    """Serves documents, @contexts above all, each at a URL of its own, and counts how often each was asked for."""

    def __init__(self, host: str) -> None:
        self._documents: dict[str, Reply] = {}
        self._asked: dict[str, int] = {}
        self._server = _Server(host, self._answer)

    def publish(self, document: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> str:
        """Serve a JSON document (bytes: as they are) at a new URL, which is returned."""
        path = f"/{uuid4().hex}.jsonld"
        self._put(path, document, status, headers)
        return self._server.url + path

    def publish_context(self, **terms: Any) -> str:
        """Serve an @context that defines these terms."""
        return self.publish({"@context": terms})

    def replace(self, url: str, document: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """Serve another document at a URL from now on."""
        self._put(url.removeprefix(self._server.url), document, status, headers)

    def withdraw(self, url: str) -> None:
        """Answer 404 at a URL from now on."""
        self._documents.pop(url.removeprefix(self._server.url), None)

    def times_asked(self, url: str) -> int:
        """How often a URL was asked for."""
        return self._asked.get(url.removeprefix(self._server.url), 0)

    def close(self) -> None:
        """Stop listening."""
        self._server.close()

    def _put(self, path: str, document: Any, status: int, headers: Mapping[str, str] | None) -> None:
        body = document if isinstance(document, bytes) else orjson.dumps(document)
        self._documents[path] = Reply(status, body, {"Content-Type": "application/ld+json", **(headers or {})})

    def _answer(self, request: ReceivedRequest) -> Reply:
        self._asked[request.path] = self._asked.get(request.path, 0) + 1
        return self._documents.get(request.path, Reply(404))


def eventually(check: Callable[[], Any], timeout: float = PATIENCE, pause: float = 0.05) -> Any:
    """The result of `check` once it neither raises an AssertionError nor is None or False; the last failure otherwise."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            if (result := check()) not in (None, False):
                return result
            failure: AssertionError = ConformanceFailure(f"this did not come about within {timeout} s")
        except AssertionError as error:
            failure = error
        if time.monotonic() > deadline:
            raise failure
        time.sleep(pause)
