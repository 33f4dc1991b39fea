"""HTTP requests and responses as values."""

from collections.abc import AsyncIterable, Callable
from typing import Any, Protocol
from urllib.parse import unquote

import msgspec

HeaderPairs = tuple[tuple[str, str], ...]


class Connection(Protocol):
    """A listener's connection, as far as who asks whose it is needs that. A socket is one."""

    def getsockname(self) -> Any:
        """Return its address here."""

    def getpeername(self) -> Any:
        """Return its address there. Raises OSError: it was reset."""


class Request(msgspec.Struct, frozen=True):
    """One request, its body whole. Header names are lower case; values and repetitions are as sent."""

    method: str
    target: str
    headers: HeaderPairs = ()
    body: bytes = b""
    peer: str = ""
    """Address of the client, without its port; empty on a Unix socket."""
    connection: "Connection | None" = None
    """What a listener's TCP connection is to the system: who looks may ask whose it is, and not read or write."""

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.target}>"

    @property
    def raw_path(self) -> str:
        """The target up to its question mark, still percent-encoded."""
        return self.target.partition("?")[0]

    @property
    def path(self) -> str:
        """The path, percent-decoded."""
        return unquote(self.raw_path)

    @property
    def query(self) -> str:
        """The target after its question mark, still percent-encoded; may be empty."""
        return self.target.partition("?")[2]

    def header(self, name: str, default: str = "") -> str:
        """Return the first header of that (lower-case) name."""
        for key, value in self.headers:
            if key == name:
                return value
        return default


class Response(msgspec.Struct, frozen=True):
    """One response. The server adds `content-length` (or, for a stream, chunked coding), `date` and `connection`."""

    status: int
    headers: HeaderPairs = ()
    body: bytes | AsyncIterable[bytes] = b""

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.headers}>"


class LateResponse:
    """A response that a handler promises: it returns this at once, and gives the response whenever it has it.

    For long polls: unlike a coroutine it costs no task, and `give` writes before it returns.
    """

    __slots__ = ("_deliver", "_response")

    def __init__(self) -> None:
        self._response: Response | None = None
        self._deliver: Callable[[Response], bool] | None = None

    def give(self, response: Response) -> bool:
        """Answer the request; False when its client has gone away meanwhile. Call it once."""
        assert self._response is None, "answered twice"
        self._response = response
        return self._deliver is None or self._deliver(response)

    def when_given(self, deliver: Callable[[Response], bool]) -> None:
        """Be called with the response, at once if it is there; for the server. `deliver` tells whether it could."""
        self._deliver = deliver
        if self._response is not None:
            deliver(self._response)


class Flow(Protocol):
    """Who sends a body: it can be made to wait."""

    def pause(self) -> None:
        """Read no more from it."""

    def resume(self) -> None:
        """Read on."""


class BodySink(Protocol):
    """Takes a request's body piece by piece. Plain calls: they run inside the reading and must not block."""

    def data(self, piece: bytes) -> None:
        """Take what came."""

    def end(self, trailers: HeaderPairs) -> Response:
        """Answer the request: its body is whole."""

    def lost(self) -> None:
        """The client has gone before that."""
