"""Bodies that somebody takes as they come, and what a reader behind them sees."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from workshape.http1.message import BodySink, Flow, HeaderPairs, Request, Response
from workshape.http1.pieces import UNREAD_BYTES_MAX, Pieces
from workshape.http1.server import HttpServer, serve_tcp

POST = b"POST /taken HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@dataclass
class Sink:
    """Keeps what it is told."""

    request: Request
    flow: Flow
    pieces: list[bytes] = field(default_factory=list)
    trailers: HeaderPairs | None = None
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    def data(self, piece: bytes) -> None:
        self.pieces.append(piece)

    def end(self, trailers: HeaderPairs) -> Response:
        self.trailers = trailers
        return Response(200, (), b"taken")

    def lost(self) -> None:
        self.gone.set()


@dataclass
class Talk:
    """A connection to a server that takes bodies below /taken."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    server: HttpServer
    sinks: list[Sink]

    async def sink(self) -> Sink:
        while not self.sinks:
            await asyncio.sleep(0)
        return self.sinks[-1]

    async def body(self) -> bytes:
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        return await self.reader.readexactly(int(length.split(b":")[1]))


@asynccontextmanager
async def talk() -> AsyncIterator[Talk]:
    sinks: list[Sink] = []

    def take(request: Request, flow: Flow) -> BodySink | None:
        if request.target != "/taken":
            return None
        sinks.append(Sink(request, flow))
        return sinks[-1]

    async def whole(request: Request) -> Response:
        return Response(200, (), b"whole " + request.body)

    server = await serve_tcp(whole, "127.0.0.1", 0, take_body=take)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        async with asyncio.timeout(10):
            yield Talk(reader, writer, server, sinks)
    finally:
        writer.close()
        await server.close()


async def test_a_sink_gets_the_pieces_and_the_trailers_and_gives_the_answer() -> None:
    async with talk() as talking:
        talking.writer.write(POST + b"3\r\nabc\r\n0\r\nA: 1\r\nB: 2\r\n\r\n")

        assert await talking.body() == b"taken"
        [sink] = talking.sinks
        assert b"".join(sink.pieces) == b"abc"
        assert sink.trailers == (("a", "1"), ("b", "2"))
        assert sink.request.header("transfer-encoding") == "chunked"


async def test_what_nobody_takes_is_read_whole_in_its_turn() -> None:
    async with talk() as talking:
        other = POST.replace(b"/taken", b"/other")
        talking.writer.write(other + b"1\r\na\r\n0\r\n\r\n" + POST + b"1\r\nb\r\n0\r\n\r\n" + other + b"0\r\n\r\n")

        answers = [await talking.body() for _ in range(3)]

        assert answers == [b"whole a", b"taken", b"whole "]


async def test_a_client_that_goes_away_in_the_middle_is_noticed() -> None:
    async with talk() as talking:
        talking.writer.write(POST + b"3\r\nab")
        sink = await talking.sink()

        talking.writer.close()
        await sink.gone.wait()

        assert sink.trailers is None


async def test_a_sink_makes_the_client_wait() -> None:
    async with talk() as talking:
        talking.writer.write(POST)
        sink = await talking.sink()
        sink.flow.pause()
        talking.writer.write(b"1\r\na\r\n")
        await asyncio.sleep(0.02)
        before = list(sink.pieces)

        sink.flow.resume()
        talking.writer.write(b"0\r\n\r\n")

        assert (await talking.body(), before, sink.pieces) == (b"taken", [], [b"a"])


class CountingFlow:
    """Whether the sender has to wait."""

    waits = False

    def pause(self) -> None:
        self.waits = True

    def resume(self) -> None:
        self.waits = False


async def test_a_sender_waits_while_too_much_is_unread() -> None:
    flow = CountingFlow()
    pieces = Pieces(flow)

    pieces.push(b"x" * UNREAD_BYTES_MAX)
    waits_at_the_bound = flow.waits
    pieces.push(b"y")
    waits_over_it = flow.waits
    await anext(pieces)

    assert (waits_at_the_bound, waits_over_it, flow.waits) == (False, True, False)


async def test_a_reader_gets_what_came_before_the_failure_then_the_failure() -> None:
    pieces = Pieces()
    pieces.push(b"a")
    pieces.end(ConnectionResetError("broken"))
    pieces.end()

    assert await anext(pieces) == b"a"
    with pytest.raises(ConnectionResetError, match="broken"):
        await anext(pieces)


async def test_nothing_is_kept_for_a_reader_who_left() -> None:
    flow = CountingFlow()
    pieces = Pieces(flow)
    pieces.push(b"x" * (UNREAD_BYTES_MAX + 1))

    pieces.discard()
    pieces.push(b"y" * (UNREAD_BYTES_MAX + 1))
    pieces.end()

    assert (flow.waits, pieces.bytes) == (False, 2 * UNREAD_BYTES_MAX + 2)
    assert [piece async for piece in pieces] == []
