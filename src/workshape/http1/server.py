"""An HTTP/1.1 server for asyncio: one handler, whole requests, keep-alive, bounded in every direction.

Source: https://www.rfc-editor.org/rfc/rfc9112 (messages), https://www.rfc-editor.org/rfc/rfc9110 (semantics)
"""

import asyncio
import logging
import socket
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import cast

import httptools

from workshape.http1.exchange import Exchange, failed
from workshape.http1.head import response_head
from workshape.http1.header_lines import declares_body, decoded, names_two_hosts
from workshape.http1.message import BodySink, Flow, HeaderPairs, LateResponse, Request, Response

Handler = Callable[[Request], Awaitable[Response] | Response | LateResponse]
"""A coroutine function as a rule; a plain function that has its answer at once spares the task."""
TakeBody = Callable[[Request, Flow], BodySink | None]
"""Asked of each request in chunked coding, once its headers are read: who takes its body as it comes?

None: nobody; the body is read whole, and the handler gets the request.
"""

KIB = 1024
MIB = 1024 * KIB
PIPELINED_REQUESTS_MAX = 64  # a client further ahead than this waits: reading pauses until answers leave

_log = logging.getLogger(__name__)
_METHODS = {each.encode(): each for each in ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may ask of a listener, and what all may together."""

    body_bytes_max: int = 64 * MIB
    header_bytes_max: int = 64 * KIB
    """All header lines and the target together."""
    connections_max: int | None = None  # further ones are closed unread
    held_bytes_max: int | None = None
    """Of bodies on all connections that have not come to their end, or wait for their turn."""


class HttpServer:
    """A listening socket and its connections. Made by `serve_tcp`, or by `serve_socket` of one that listens."""

    def __init__(
        self,
        handler: Handler,
        limits: Limits,
        take_body: TakeBody | None = None,
        admits: Callable[[socket.socket], bool] | None = None,
    ) -> None:
        self.handler = handler
        self.limits = limits
        self.take_body = take_body
        self.admits = admits
        self.connections: set[_Connection] = set()
        self.held_bytes = 0  # see `Limits.held_bytes_max`
        self._listener: asyncio.Server | None = None

    def __repr__(self) -> str:
        return f"<HttpServer port={self.port} connections={len(self.connections)}>"

    @property
    def port(self) -> int:
        """The TCP port listened on."""
        assert self._listener is not None, "not started"
        return int(self._listener.sockets[0].getsockname()[1])

    def started(self, listener: asyncio.Server) -> None:
        """Take ownership of the listening sockets."""
        self._listener = listener

    def may_connect(self, connected: socket.socket) -> bool:
        """Tell whether a new connection is to be served. It is not when nobody can tell whose it is."""
        try:
            admitted = self.admits is None or self.admits(connected)
        except OSError:
            return False
        return admitted and len(self.connections) < (self.limits.connections_max or inf)

    async def adopt(self, connected: socket.socket) -> None:
        """Serve a connection that came about elsewhere; it is ours from now on."""
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(lambda: _Connection(self), connected)

    async def close(self, grace_s: float = 0.0) -> None:
        """Stop listening, cancel what is not answered within `grace_s`, close every connection."""
        if self._listener is not None:
            self._listener.close()
        if grace_s and (answering := [connection.answering for connection in self.connections if connection.answering]):
            await asyncio.wait(answering, timeout=grace_s)
            await asyncio.sleep(0)  # what they wrote last is on its way only now
        tasks = [task for connection in self.connections if (task := connection.abort()) is not None]
        await asyncio.gather(*tasks, return_exceptions=True)


async def serve_socket(
    handler: Handler,
    listening: socket.socket,
    limits: Limits | None = None,
    take_body: TakeBody | None = None,
    *,
    admits: Callable[[socket.socket], bool] | None = None,
) -> HttpServer:
    """Serve a TCP socket that listens already; it is ours from now on.

    `admits` is shown each new connection; one that it does not admit is closed unread.
    """
    server = HttpServer(handler, limits or Limits(), take_body, admits)
    loop = asyncio.get_running_loop()
    server.started(await loop.create_server(lambda: _Connection(server), sock=listening, backlog=1024))
    return server


async def serve_tcp(
    handler: Handler, host: str, port: int, limits: Limits | None = None, take_body: TakeBody | None = None
) -> HttpServer:
    """Listen on a TCP port; 0 picks a free one, see `HttpServer.port`.

    Raises:
        OSError: the address is in use or not ours.
    """
    server = HttpServer(handler, limits or Limits(), take_body)
    loop = asyncio.get_running_loop()
    server.started(await loop.create_server(lambda: _Connection(server), host, port, backlog=1024))
    return server


class _Connection(asyncio.Protocol):
    """One client connection: requests are answered in the order they came (RFC 9112 section 9.3.2).

    A client that closes its sending side is taken to be gone: what is being answered is cancelled.
    """

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._peer = ""
        self._connected: socket.socket | None = None
        self._target = b""
        self._is_reading = False
        """In the middle of a request."""
        self._lines: list[bytes] = []
        """Names and values of its headers and trailers, by turns."""
        self._unheard_bytes = 0  # since a request began, or its headers ended, or more of its body was there
        self._headers: HeaderPairs = ()
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._held_bytes = 0
        self._sink: BodySink | None = None
        self._sink_paused = False
        self._continue_owed = False
        self._refused = False
        self._waiting: deque[Exchange] = deque()
        self._waiting_bytes = 0
        self._current: Exchange | None = None
        self._task: asyncio.Task[None] | None = None
        self._reading_paused = self._writing_paused = False
        self._writable: asyncio.Future[None] | None = None

    # asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peername = transport.get_extra_info("peername")
        connected = transport.get_extra_info("socket")
        if connected.family != socket.AF_UNIX:
            # No name: it was reset already, by somebody who need not hear an answer, and what was sent can be read.
            if not peername or not self._server.may_connect(connected):
                self._refused = True
                self._transport.abort()
                return
            self._peer, self._connected = str(peername[0]), connected
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Written is sent: without this uvloop sends once it has called everybody else, who may have much to do.
        self._transport.set_write_buffer_limits(0)
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(self)
        self._hold(-self._held_bytes)
        self._waiting.clear()
        self._current = None
        if self._task is not None:
            self._task.cancel()
        if self._sink is not None:
            self._sink.lost()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        try:
            self._unheard_bytes += len(data)
            self._parser.feed_data(data)
            if self._is_reading:
                self._check_header_bytes(self._unheard_bytes)
        except _Refused as refusal:
            self._refuse(refusal.status, refusal.reason)
        except httptools.HttpParserUpgrade as offer:
            # To switch protocols is the client's offer, not its condition (RFC 9110 section 7.8): we stay with ours.
            self._parser = httptools.HttpRequestParser(self)
            if len(data) > offer.args[0]:
                self.data_received(data[offer.args[0] :])
        except httptools.HttpParserCallbackError as error:
            if not isinstance(error.__context__, _Refused):
                raise
            self._refuse(error.__context__.status, error.__context__.reason)
        except httptools.HttpParserError as error:
            self._refuse(400, f"not HTTP/1.1: {error}")

    def pause_writing(self) -> None:
        self._writing_paused = True

    def resume_writing(self) -> None:
        self._writing_paused = False
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._advance()

    # httptools' callbacks

    def on_message_begin(self) -> None:
        self._is_reading = True
        self._unheard_bytes = 0
        self._target = b""
        self._lines = []
        self._body = []
        self._body_bytes = 0

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._lines += name, value

    def on_headers_complete(self) -> None:
        self._check_header_bytes(len(self._target) + sum(map(len, self._lines)))
        self._unheard_bytes = 0
        self._headers = decoded(self._lines)
        fields, bytes_max = dict(self._headers), self._server.limits.body_bytes_max
        if len(fields) < len(self._headers) and names_two_hosts(self._headers):
            raise _Refused(400, "there is more than one Host")
        if int(fields.get("content-length", 0)) > bytes_max:
            raise _Refused(413, f"the body is over {bytes_max} bytes")
        if "expect" in fields and self._parser.get_http_version() != "1.0":
            self._continue_owed = fields["expect"].lower() == "100-continue"
        if self._server.take_body is not None and "transfer-encoding" in fields:
            self._sink = self._server.take_body(self._request(), self)
        if self._continue_owed:
            self._advance()

    def on_body(self, body: bytes) -> None:
        self._continue_owed = False
        self._unheard_bytes = 0
        if self._sink is not None:
            self._sink.data(body)
            return
        self._body_bytes += len(body)
        if self._body_bytes > self._server.limits.body_bytes_max:
            raise _Refused(413, f"the body is over {self._server.limits.body_bytes_max} bytes")
        self._hold(len(body))
        if self._server.held_bytes > (self._server.limits.held_bytes_max or inf):
            raise _Refused(503, f"all bodies together are over {self._server.limits.held_bytes_max} bytes")
        self._body.append(body)

    def on_message_complete(self) -> None:
        self._continue_owed = self._is_reading = False
        if self._parser.should_upgrade() and declares_body(self._headers):
            raise _Refused(501, "this listener does not switch protocols")  # the parser would not read the body
        request, answer = self._request(), None
        if self._sink is not None:
            sink, self._sink = self._sink, None
            answer = sink.end(decoded(self._lines[2 * len(self._headers) :]))
            self.resume()
        keep_alive = self._parser.should_keep_alive()
        # Only a client that closes after this request can be too old for chunks: 1.0 does, unless it asks otherwise.
        chunks_allowed = keep_alive or self._parser.get_http_version() != "1.0"
        exchange = Exchange(request, keep_alive, chunks_allowed, answer)
        if not self._waiting and self._may_answer():
            self._hold(-self._held_bytes)
            self._answer(exchange)  # the rule; to wait is for who sends ahead
            return
        self._waiting.append(exchange)
        self._waiting_bytes += self._body_bytes
        self._advance()
        if len(self._waiting) >= PIPELINED_REQUESTS_MAX or self._waiting_bytes > self._server.limits.body_bytes_max:
            self._pause_reading()

    # the flow of a body that somebody takes

    def pause(self) -> None:
        """Read no more until `resume`."""
        self._sink_paused = True
        self._pause_reading()

    def resume(self) -> None:
        """Read on, unless the client is too far ahead."""
        if self._sink_paused:
            self._sink_paused = False
            if len(self._waiting) < PIPELINED_REQUESTS_MAX:
                self._resume_reading()

    # ours

    @property
    def answering(self) -> asyncio.Task[None] | None:
        """What is being answered."""
        return self._task

    def abort(self) -> asyncio.Task[None] | None:
        """Close the connection at once; return the task to wait for, if something was being answered."""
        self._transport.abort()
        if self._task is not None:
            self._task.cancel()
        return self._task

    def _advance(self) -> None:
        """Answer what waits, one after the other, as far as answers and the client's reading allow."""
        while self._may_answer():
            if not self._waiting:
                if self._continue_owed:
                    self._continue_owed = False
                    self._transport.write(_CONTINUE)
                return
            exchange = self._waiting.popleft()
            self._waiting_bytes -= len(exchange.request.body)
            self._hold(-min(len(exchange.request.body), self._held_bytes))
            if self._reading_paused and not self._sink_paused and len(self._waiting) <= PIPELINED_REQUESTS_MAX // 2:
                self._resume_reading()
            self._answer(exchange)

    def _may_answer(self) -> bool:
        return self._current is None and not self._writing_paused and not self._transport.is_closing()

    def _answer(self, exchange: Exchange) -> None:
        self._current = exchange
        if exchange.answer is not None:
            self._finish(exchange, exchange.answer)
            return
        try:
            answer = self._server.handler(exchange.request)
        except Exception:  # noqa: BLE001 - the supervised boundary of a request: whatever is wrong, the client hears
            answer = failed(exchange.request)
        if isinstance(answer, LateResponse):
            answer.when_given(partial(self._given, exchange))
        elif isinstance(answer, Response) and isinstance(answer.body, bytes):
            self._finish(exchange, answer)
        else:
            self._task = asyncio.get_running_loop().create_task(self._answer_later(exchange, answer))

    def _given(self, exchange: Exchange, response: Response) -> bool:
        if self._current is not exchange or self._transport.is_closing():
            return False
        assert isinstance(response.body, bytes), "a late response is whole"
        self._finish(exchange, response)
        if self._waiting:  # in a turn of its own: whoever gives a response is in the middle of something
            asyncio.get_running_loop().call_soon(self._advance)
        return True

    async def _answer_later(self, exchange: Exchange, answer: Awaitable[Response] | Response) -> None:
        try:
            try:
                response = answer if isinstance(answer, Response) else await answer
            except Exception:  # noqa: BLE001 - as above
                response = failed(exchange.request)
            if isinstance(response.body, bytes):
                self._finish(exchange, response)
            else:
                await self._stream(exchange, response, response.body)
        finally:
            self._task = None
        self._advance()

    def _finish(self, exchange: Exchange, response: Response) -> None:
        body = cast(bytes, response.body)
        try:
            head = response_head(response.status, response.headers, len(body), keep_alive=exchange.keep_alive)
        except ValueError:
            self._finish(exchange, failed(exchange.request))
            return
        if not self._transport.is_closing():
            self._transport.write(head if exchange.request.method == "HEAD" else head + body)
            if not exchange.keep_alive:
                self._transport.close()
        self._current = None

    async def _stream(self, exchange: Exchange, response: Response, body: AsyncIterable[bytes]) -> None:
        chunked = exchange.chunks_allowed
        length = None if chunked else -1
        try:
            head = response_head(response.status, response.headers, length, keep_alive=exchange.keep_alive)
        except ValueError:
            self._finish(exchange, failed(exchange.request))
            if isinstance(body, AsyncGenerator):
                await body.aclose()
            return
        self._transport.write(head)
        try:
            if exchange.request.method != "HEAD":
                await self._write_chunks(body, chunked)
        except Exception:  # noqa: BLE001 - as above; half a body must not look whole: it gets no last chunk
            _log.exception("stream_failed", extra={"path": exchange.request.raw_path})
            self._transport.abort()
        finally:
            if isinstance(body, AsyncGenerator):
                await body.aclose()  # a client that went away leaves it half read
        if not exchange.keep_alive:
            self._transport.close()
        self._current = None

    async def _write_chunks(self, body: AsyncIterable[bytes], chunked: bool) -> None:
        async for chunk in body:
            if chunk:
                self._transport.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunked else chunk)
            if self._writing_paused:
                self._writable = asyncio.get_running_loop().create_future()
                await self._writable
        if chunked:
            self._transport.write(b"0\r\n\r\n")

    def _hold(self, count: int) -> None:
        self._held_bytes += count
        self._server.held_bytes += count

    def _check_header_bytes(self, count: int) -> None:
        if count > self._server.limits.header_bytes_max:
            raise _Refused(431, f"the headers are over {self._server.limits.header_bytes_max} bytes")

    def _refuse(self, status: int, reason: str) -> None:
        """Answer what could not be read as a request, after what was read before it; then the connection ends."""
        self._refused = True
        refusal = Response(status, (("content-type", "text/plain"),), f"{reason}\n".encode())
        self._waiting.append(Exchange(Request("", ""), keep_alive=False, answer=refusal))
        self._advance()

    def _pause_reading(self) -> None:
        if not self._reading_paused and not self._transport.is_closing():
            self._reading_paused = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._reading_paused and not self._transport.is_closing():
            self._reading_paused = False
            self._transport.resume_reading()

    def _request(self) -> Request:
        return Request(
            _METHODS.get(method := self._parser.get_method()) or method.decode("ascii"),
            self._target.decode("latin-1"),
            self._headers,  # without the trailers, which nobody has asked for (RFC 9110 section 6.5.1)
            self._body[0] if len(self._body) == 1 else b"".join(self._body),
            self._peer,
            self._connected,
        )


class _Refused(Exception):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason
