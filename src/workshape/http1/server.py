"""An HTTP/1.1 server for asyncio: one handler, whole requests, keep-alive, bounded in every direction.

Source: https://www.rfc-editor.org/rfc/rfc9112 (messages), https://www.rfc-editor.org/rfc/rfc9110 (semantics)
"""

import asyncio
import logging
import socket
from collections import deque
from collections.abc import AsyncIterable, Awaitable, Callable
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import cast

import httptools

from workshape.http1.message import Request, Response

Handler = Callable[[Request], Awaitable[Response]]

KIB = 1024
MIB = 1024 * KIB
PIPELINED_REQUESTS_MAX = 64  # a client further ahead than this waits: reading pauses until answers leave

_log = logging.getLogger(__name__)
_REASONS = {status.value: status.phrase for status in HTTPStatus}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may ask of a listener."""

    body_bytes_max: int = 64 * MIB
    header_bytes_max: int = 64 * KIB
    """All header lines and the target together."""


class HttpServer:
    """A listening socket and its connections. Made by `serve_tcp` or `serve_unix`."""

    def __init__(self, handler: Handler, limits: Limits) -> None:
        self.handler = handler
        self.limits = limits
        self.connections: set[_Connection] = set()
        self._listener: asyncio.Server | None = None

    def __repr__(self) -> str:
        return f"<HttpServer {self.address} connections={len(self.connections)}>"

    @property
    def port(self) -> int:
        """The TCP port listened on."""
        return int(self._sockname()[1])

    @property
    def address(self) -> str:
        """`host:port`, or the path of the Unix socket."""
        name = self._sockname()
        return name if isinstance(name, str) else f"{name[0]}:{name[1]}"

    def _sockname(self) -> tuple[str, int] | str:
        assert self._listener is not None, "not started"
        return cast("tuple[str, int] | str", self._listener.sockets[0].getsockname())

    def started(self, listener: asyncio.Server) -> None:
        """Take ownership of the listening sockets."""
        self._listener = listener

    async def close(self) -> None:
        """Stop listening, cancel what is being answered, close every connection."""
        if self._listener is not None:
            self._listener.close()
        tasks = [task for connection in self.connections if (task := connection.abort()) is not None]
        await asyncio.gather(*tasks, return_exceptions=True)


async def serve_tcp(handler: Handler, host: str, port: int, limits: Limits | None = None) -> HttpServer:
    """Listen on a TCP port; 0 picks a free one, see `HttpServer.port`.

    Raises:
        OSError: the address is in use or not ours.
    """
    server = HttpServer(handler, limits or Limits())
    loop = asyncio.get_running_loop()
    server.started(await loop.create_server(lambda: _Connection(server), host, port, backlog=1024))
    return server


async def serve_unix(handler: Handler, path: str, limits: Limits | None = None) -> HttpServer:
    """Listen on a Unix socket. The path must be free; removing it afterwards is the caller's.

    Raises:
        OSError: the path is taken, too long (about 100 bytes), or its folder is missing.
    """
    server = HttpServer(handler, limits or Limits())
    loop = asyncio.get_running_loop()
    server.started(await loop.create_unix_server(lambda: _Connection(server), path, backlog=1024))
    return server


class _Connection(asyncio.Protocol):
    """One client connection: requests are answered in the order they came (RFC 9112 section 9.3.2)."""

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._peer = ""
        self._target = b""
        self._headers: list[tuple[str, str]] = []
        self._header_bytes = 0
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._refused = False
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._answering: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    # asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._server.connections.add(self)
        peername = transport.get_extra_info("peername")
        if isinstance(peername, tuple):
            self._peer = str(peername[0])
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(self)
        self._writable.set()
        if self._answering is not None:
            self._answering.cancel()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(501, "this listener does not switch protocols")
        except httptools.HttpParserCallbackError as error:
            if not isinstance(error.__context__, _Refused):
                raise
            self._refuse(error.__context__.status, error.__context__.reason)
        except httptools.HttpParserError as error:
            self._refuse(400, f"not HTTP/1.1: {error}")

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # httptools' callbacks

    def on_message_begin(self) -> None:
        self._target = b""
        self._headers = []
        self._header_bytes = 0
        self._body = []
        self._body_bytes = 0

    def on_url(self, url: bytes) -> None:
        self._target += url
        self._count_header_bytes(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_header_bytes(len(name) + len(value))
        self._headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        for name, value in self._headers:
            if name == "content-length" and int(value) > self._server.limits.body_bytes_max:
                raise _Refused(413, f"the body is over {self._server.limits.body_bytes_max} bytes")
            if name == "expect" and value.lower() == "100-continue":
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > self._server.limits.body_bytes_max:
            raise _Refused(413, f"the body is over {self._server.limits.body_bytes_max} bytes")
        self._body.append(body)

    def on_message_complete(self) -> None:
        request = Request(
            self._parser.get_method().decode("ascii"),
            self._target.decode("latin-1"),
            tuple(self._headers),
            self._body[0] if len(self._body) == 1 else b"".join(self._body),
            self._peer,
        )
        self._waiting.append((request, self._parser.should_keep_alive()))
        if len(self._waiting) >= PIPELINED_REQUESTS_MAX:
            self._transport.pause_reading()
        if self._answering is None:
            self._answering = asyncio.get_running_loop().create_task(self._answer_all())

    # ours

    def abort(self) -> asyncio.Task[None] | None:
        """Close the connection at once; return the task to wait for, if something was being answered."""
        self._transport.abort()
        if self._answering is not None:
            self._answering.cancel()
        return self._answering

    def _count_header_bytes(self, count: int) -> None:
        self._header_bytes += count
        if self._header_bytes > self._server.limits.header_bytes_max:
            raise _Refused(431, f"the headers are over {self._server.limits.header_bytes_max} bytes")

    def _refuse(self, status: int, reason: str) -> None:
        """Answer what could not be read as a request; what was read before it is abandoned with it."""
        self._refused = True
        body = f"{reason}\n".encode()
        self._transport.write(_head(status, (("content-type", "text/plain"),), len(body), keep_alive=False) + body)
        self._transport.close()

    async def _answer_all(self) -> None:
        try:
            while self._waiting and not self._transport.is_closing():
                request, keep_alive = self._waiting.popleft()
                if len(self._waiting) == PIPELINED_REQUESTS_MAX // 2:
                    self._transport.resume_reading()
                await self._write(request, await self._handle(request), keep_alive)
        finally:
            self._answering = None

    async def _handle(self, request: Request) -> Response:
        try:
            return await self._server.handler(request)
        except Exception:  # noqa: BLE001 - the supervised boundary of a request: whatever is wrong, the client hears
            _log.exception("request_failed", extra={"method": request.method, "path": request.raw_path})
            return Response(500, (("content-type", "text/plain"),), b"internal failure; the log has the details\n")

    async def _write(self, request: Request, response: Response, keep_alive: bool) -> None:
        if isinstance(response.body, bytes):
            head = _head(response.status, response.headers, len(response.body), keep_alive)
            self._transport.write(head if request.method == "HEAD" else head + response.body)
        else:
            self._transport.write(_head(response.status, response.headers, None, keep_alive))
            await self._write_chunks(response.body)
        if not keep_alive:
            self._transport.close()
        await self._writable.wait()

    async def _write_chunks(self, body: AsyncIterable[bytes]) -> None:
        async for chunk in body:
            if chunk:
                self._transport.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
                await self._writable.wait()
        self._transport.write(b"0\r\n\r\n")


class _Refused(Exception):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def _head(status: int, headers: tuple[tuple[str, str], ...], length: int | None, keep_alive: bool) -> bytes:
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, '')}"]
    names = set()
    for name, value in headers:
        names.add(name.lower())
        lines.append(f"{name}: {value}")
    if "date" not in names:
        lines.append(f"date: {formatdate(usegmt=True)}")
    if length is None:
        lines.append("transfer-encoding: chunked")
    elif status >= 200 and status != 204 and "content-length" not in names:
        lines.append(f"content-length: {length}")
    if not keep_alive:
        lines.append("connection: close")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
