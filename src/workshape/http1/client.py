"""An HTTP/1.1 client for asyncio: one server, kept connections, requests and headers exactly as they are given.

Source: https://www.rfc-editor.org/rfc/rfc9112 (messages; section 9.3.1 for when a request may be sent again)
"""

import asyncio
import ssl
import time
import weakref
from collections import deque
from contextlib import suppress
from typing import cast

import httptools

from workshape.http1.message import HeaderPairs, Request, Response
from workshape.http1.pieces import Pieces

MIB = 1024 * 1024
CONNECTIONS_MAX = 200  # to the server; further requests wait for one
CONNECT_S_MAX = 5.0
IDLE_S_MAX = 4.0  # below what servers keep: the common ones close after 5 s and more
HELD_BYTES_MAX = 64 * MIB  # a longer body is handed on piece by piece as it comes
_STREAMED_TYPE = "application/vnd.amazon.eventstream"  # never ends by itself


class HttpClient:
    """Sends requests to one server."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._idle: deque[_Connection] = deque()
        self._free = asyncio.Semaphore(CONNECTIONS_MAX)
        self._connections: set[_Connection] = set()
        self._is_retired = False

    def __repr__(self) -> str:
        return f"<HttpClient {self._host}:{self._port} connections={len(self._connections)} idle={len(self._idle)}>"

    async def send(self, request: Request, answer_s_max: float) -> Response:
        """Send a request (its headers as they are, but for `content-length`) and return the answer.

        A kept connection that turns out to be closed before anything came back is replaced. The time counts from the
        call on: waiting for a connection is part of it.

        Raises:
            OSError: no connection, or it broke; TimeoutError is one.
            httptools.HttpParserError: what came back is not HTTP.
        """
        async with asyncio.timeout(answer_s_max):
            while True:
                connection, is_kept = await self._take()
                try:
                    return await connection.exchange(request)
                except ConnectionResetError:
                    connection.release(keep=False)
                    # Ends: every turn uses up a kept connection, and a new one's failure is the caller's.
                    if not is_kept or connection.has_received:
                        raise
                except BaseException:
                    connection.release(keep=False)
                    raise

    def retire(self) -> None:
        """Keep no connection any more: those in use end with their exchanges, the others now."""
        self._is_retired = True
        for connection in list(self._idle):
            connection.abort()

    async def close(self) -> None:
        """Close every connection, also those in use."""
        for connection in list(self._connections):
            connection.abort()

    def released(self, connection: "_Connection", *, keep: bool) -> None:
        """Take a connection back; for the connection itself, once an exchange."""
        self._free.release()
        if keep and not self._is_retired:
            self._idle.append(connection)
        else:
            connection.abort()

    def lost(self, connection: "_Connection") -> None:
        """Forget a connection; for the connection itself."""
        self._connections.discard(connection)
        with suppress(ValueError):
            self._idle.remove(connection)

    async def _take(self) -> tuple["_Connection", bool]:
        """Take the most recently used idle connection, or make one; tells whether it was used before."""
        await self._free.acquire()
        try:
            while self._idle:
                connection = self._idle.pop()
                if time.monotonic() - connection.used_at < IDLE_S_MAX and not connection.is_closing:
                    return connection, True
                connection.abort()
            return await self._connect(), False
        except BaseException:
            self._free.release()
            raise

    async def _connect(self) -> "_Connection":
        async with asyncio.timeout(CONNECT_S_MAX):
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: _Connection(self),
                self._host,
                self._port,
                ssl=self._tls,
                server_hostname=self._host if self._tls is not None else None,
            )
        if not connection.is_closing:
            self._connections.add(connection)
        return connection


class _Connection(asyncio.Protocol):
    """One connection, one exchange at a time."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client
        self._transport: asyncio.Transport
        self.used_at = 0.0
        self.has_received = False
        self._in_use = False
        self._is_head = False
        self._parser: httptools.HttpResponseParser
        self._answer: asyncio.Future[Response] | None = None
        self._status = 0
        self._headers: list[tuple[str, str]] = []
        self._has_length = False
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._stream: weakref.ref[_StreamedBody] | None = None

    @property
    def is_closing(self) -> bool:
        """Whether it is of no more use."""
        return self._transport.is_closing()

    def abort(self) -> None:
        """Close it at once."""
        self._transport.abort()

    def pause(self) -> None:
        """Let the server wait."""
        if not self.is_closing:
            self._transport.pause_reading()

    def resume(self) -> None:
        """Let it go on."""
        if not self.is_closing:
            self._transport.resume_reading()

    async def exchange(self, request: Request) -> Response:
        """Send a request and wait for the answer, or for its beginning when it is to be read as a stream."""
        self._in_use, self._is_head, self.has_received = True, request.method == "HEAD", False
        self._parser = httptools.HttpResponseParser(self)
        self._begin_message()
        if self.is_closing:
            raise ConnectionResetError("the connection was closed")
        answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._answer = answer
        self._transport.write(_request_head(request) + request.body)
        try:
            return await answer
        finally:
            # It holds the answer; whoever drops a streamed one is noticed by its end. But when this runs, another
            # exchange may have begun already: a connection is free as soon as its answer is there.
            if self._answer is answer:
                self._answer = None

    def release(self, *, keep: bool) -> None:
        """End the exchange; a second time does nothing."""
        if self._in_use:
            self._in_use = False
            self.used_at = time.monotonic()
            self._client.released(self, keep=keep and not self.is_closing)

    # asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if not self._in_use:  # a server that speaks unasked
            self.abort()
            return
        self.has_received = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self._client.lost(self)
        if self._in_use and self._status >= 200 and not self._has_length and exc is None:
            self._finish(keep=False)  # such a body ends with the connection
        else:
            self._fail(exc if isinstance(exc, OSError) else ConnectionResetError("the connection was closed"))

    # httptools' callbacks

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._status:
            return  # a trailer, which nobody has asked for (RFC 9110 section 6.5.1)
        lower = name.decode("latin-1").lower()
        self._headers.append((lower, value.decode("latin-1")))
        self._has_length = self._has_length or lower in ("content-length", "transfer-encoding")

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()
        if self._is_head and self._status >= 200:
            self._finish(keep=self._parser.should_keep_alive())
        elif ("content-type", _STREAMED_TYPE) in self._headers:
            self._begin_stream()

    def on_body(self, body: bytes) -> None:
        if not self._in_use:
            return
        if self._stream is not None:
            if (stream := self._stream()) is not None:
                stream.pieces.push(body)
            return
        self._body.append(body)
        self._body_bytes += len(body)
        if self._body_bytes > HELD_BYTES_MAX:
            self._begin_stream()

    def on_message_complete(self) -> None:
        if self._status < 200:  # 100 and 103: the answer is yet to come
            self._begin_message()
        elif self._in_use:
            self._finish(keep=self._parser.should_keep_alive())

    # ours

    def _begin_message(self) -> None:
        self._status, self._headers, self._has_length = 0, [], False
        self._body, self._body_bytes, self._stream = [], 0, None

    def _finish(self, *, keep: bool) -> None:
        if self._stream is not None:
            if (stream := self._stream()) is not None:
                stream.pieces.end(None)
            keep = False  # its reading may be paused
        else:
            self._give(Response(self._status, tuple(self._headers), b"".join(self._body)))
        self.release(keep=keep)

    def _fail(self, failure: Exception) -> None:
        if not self._in_use:
            return
        if self._stream is not None:
            if (stream := self._stream()) is not None:
                stream.pieces.end(failure)
        elif self._answer is not None and not self._answer.done():
            self._answer.set_exception(failure)
        self.release(keep=False)

    def _begin_stream(self) -> None:
        stream = _StreamedBody(self)
        self._stream = weakref.ref(stream)
        for piece in self._body:
            stream.pieces.push(piece)
        self._body = []
        headers: HeaderPairs = tuple(pair for pair in self._headers if pair[0] != "content-length")
        self._give(Response(self._status, headers, stream))

    def _give(self, answer: Response) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(answer)


class _StreamedBody:
    """A body that is read while it comes. Whoever drops it half read ends its connection."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self.pieces = Pieces(connection)

    def __del__(self) -> None:
        self._connection.release(keep=False)

    def __aiter__(self) -> "_StreamedBody":
        return self

    async def __anext__(self) -> bytes:
        return await anext(self.pieces)


def _request_head(request: Request) -> bytes:
    lines = [f"{request.method} {request.target} HTTP/1.1\r\n"]
    lines += [f"{name}: {value}\r\n" for name, value in request.headers if name != "content-length"]
    if request.body or request.method in ("POST", "PUT", "PATCH"):
        lines.append(f"content-length: {len(request.body)}\r\n")
    return ("".join(lines) + "\r\n").encode("latin-1")
