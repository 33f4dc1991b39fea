"""An HTTP server on this machine that somebody else wrote: it notes what it is sent, and answers as it is told."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
Headers = dict[str, str]


@dataclass(frozen=True)
class Received:
    """One request, as it came."""

    at: float
    """Monotonic time."""
    method: str
    target: str
    headers: list[tuple[str, str]]
    """Their names as they were written."""
    body: bytes

    def header(self, name: str) -> str | None:
        """The value of a header that is there at most once."""
        found = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(found) <= 1, found
        return found[0] if found else None


@dataclass(frozen=True)
class Reply:
    """What is answered, and after how long."""

    status: int = 200
    headers: Headers = field(default_factory=dict)
    body: bytes = b""
    after_s: float = 0.0


class Webhook:
    """Made by `webhook`. Answers what `replies` has next for the path, else 200."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.replies: dict[str, list[Reply]] = {}
        self.answer: Callable[[Received], Reply | None] = lambda _: None
        """Asked when `replies` has nothing."""
        self._lock = threading.Lock()
        self.closing = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                outer._serve(self, Received(time.monotonic(), self.command, self.path, self.headers.items(), body))

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server calls it so
                """Be silent."""

        for method in METHODS:
            setattr(Handler, f"do_{method}", Handler._serve)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def at(self, path: str) -> list[Received]:
        """What was sent to a path, whatever the query string."""
        with self._lock:
            return [one for one in self.received if one.target.partition("?")[0] == path]

    def give_tokens(self, path: str, tokens: Iterator[str], expires_in: float | Literal["never"] = 3_600) -> None:
        """Answer with the next access token at a path."""
        previous = self.answer

        def answer(request: Received) -> Reply | None:
            if request.target.partition("?")[0] != path:
                return previous(request)
            more = {} if expires_in == "never" else {"expires_in": expires_in}
            body = json.dumps({"access_token": next(tokens), "token_type": "Bearer", **more})
            return Reply(200, {"Content-Type": "application/json"}, body.encode())

        self.answer = answer

    def _serve(self, handler: BaseHTTPRequestHandler, request: Received) -> None:
        with self._lock:
            self.received.append(request)
            scripted = self.replies.get(request.target.partition("?")[0])
            reply = (scripted.pop(0) if scripted else self.answer(request)) or Reply()
        self.closing.wait(reply.after_s)
        try:
            handler.send_response(reply.status)
            for name, value in reply.headers.items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", str(len(reply.body)))
            handler.end_headers()
            handler.wfile.write(reply.body)
        except OSError:
            return  # whoever asked did not wait


@contextmanager
def webhook() -> Iterator[Webhook]:
    """Serve until the context ends."""
    made = Webhook()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.closing.set()
        made.server.shutdown()
        made.server.server_close()
        thread.join()
