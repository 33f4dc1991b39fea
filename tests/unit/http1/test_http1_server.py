"""The HTTP/1.1 server, spoken to in bytes."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import pytest
import uvloop

from tests.fakes.http_talk import echo, response, talking_to
from workshape.http1.message import LateResponse, Request, Response
from workshape.http1.server import serve_socket

Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def test_a_connection_is_kept_for_the_next_request() -> None:
    async with talking_to(echo) as (reader, writer, server):
        writer.write(b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\n")
        first = await response(reader)
        writer.write(b"GET /2 HTTP/1.1\r\nHost: x\r\n\r\n")
        second = await response(reader)

        assert first[0] == second[0] == 200
        assert (first[2], second[2]) == (b"GET /1 ", b"GET /2 ")
        assert "connection" not in first[1]
        assert len(server.connections) == 1


async def test_a_client_that_asks_for_it_is_answered_and_left() -> None:
    async with talking_to(echo) as (reader, writer, _):
        writer.write(b"GET /1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

        status, headers, _ = await response(reader)

        assert (status, headers["connection"]) == (200, "close")
        assert await reader.read() == b""


async def test_pipelined_requests_are_answered_in_their_order_whatever_each_takes() -> None:
    async def slow_first(request: Request) -> Response:
        await asyncio.sleep(0.02 if request.target == "/0" else 0)
        return await echo(request)

    async with talking_to(slow_first) as (reader, writer, _):
        writer.write(b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(5)))

        bodies = [(await response(reader))[2] for _ in range(5)]

        assert bodies == [b"GET /%d " % number for number in range(5)]


@pytest.mark.parametrize("plain", [True, False])
async def test_a_plain_function_answers_as_a_coroutine_does(plain: bool) -> None:
    def answer(_request: Request) -> Response | Awaitable[Response]:
        return Response(202, (("x-kind", "plain"),), b"ok") if plain else echo(_request)

    async with talking_to(answer) as (reader, writer, _):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 2)

        assert (await response(reader))[0] == (await response(reader))[0] == (202 if plain else 200)


async def test_a_late_response_is_written_when_given_and_holds_back_the_requests_behind_it() -> None:
    late = LateResponse()

    def poll(request: Request) -> Response | LateResponse:
        return late if request.target == "/poll" else Response(200, (), b"behind")

    async with talking_to(poll) as (reader, writer, _):
        writer.write(b"GET /poll HTTP/1.1\r\nHost: x\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.sleep(0.02)

        assert late.give(Response(200, (), b"event"))

        assert [(await response(reader))[2], (await response(reader))[2]] == [b"event", b"behind"]


async def test_a_late_response_given_at_once_is_written_too() -> None:
    def given(_request: Request) -> LateResponse:
        late = LateResponse()
        assert late.give(Response(200, (), b"soon"))
        return late

    async with talking_to(given) as (reader, writer, _):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")

        assert (await response(reader))[2] == b"soon"


async def test_whoever_gives_a_late_response_learns_that_its_client_has_gone() -> None:
    late = LateResponse()
    async with talking_to(lambda _request: late) as (_, writer, server):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        while not server.connections:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)
        writer.close()
        while server.connections:
            await asyncio.sleep(0.001)

        assert not late.give(Response(200))


async def test_a_client_that_waits_for_100_continue_gets_it() -> None:
    async with talking_to(echo) as (reader, writer, _):
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"body")

        assert (await response(reader))[2] == b"POST / body"


async def test_100_continue_does_not_overtake_an_earlier_answer() -> None:
    async def slow(request: Request) -> Response:
        await asyncio.sleep(0.02)
        return await echo(request)

    async with talking_to(slow) as (reader, writer, _):
        writer.write(
            b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\n"
            b"POST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
        )

        assert (await response(reader))[2] == b"GET /1 "
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"body")
        assert (await response(reader))[2] == b"POST /2 body"


async def test_a_chunked_body_is_put_together() -> None:
    async with talking_to(echo) as (reader, writer, _):
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await writer.drain()
        writer.write(b"4;name=value\r\ndefg\r\n0\r\nTrailer: x\r\n\r\n")

        assert (await response(reader))[2] == b"POST / abcdefg"


async def test_what_comes_behind_a_body_is_no_header() -> None:
    async def headers(request: Request) -> Response:
        return Response(200, (), repr(request.headers).encode())

    async with talking_to(headers) as (reader, writer, _):
        writer.write(b"POST / HTTP/1.1\r\nA: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: 2\r\nB: 3\r\n\r\n")

        assert (await response(reader))[2] == b"(('a', '1'), ('transfer-encoding', 'chunked'))"


async def test_a_request_may_arrive_byte_by_byte() -> None:
    async with talking_to(echo) as (reader, writer, _):
        for byte in b"POST /slow?q=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi":
            writer.write(bytes([byte]))
            await writer.drain()

        assert (await response(reader))[2] == b"POST /slow?q=1 hi"


async def test_an_offer_to_switch_protocols_is_let_pass() -> None:
    offer = b"Host: x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n"
    async with talking_to(echo) as (reader, writer, _):
        writer.write(b"GET /1 HTTP/1.1\r\n" + offer + b"\r\nGET /2 HTTP/1.1\r\n" + offer + b"\r\n")
        bodies = [(await response(reader))[2] for _ in range(2)]
        writer.write(b"POST /3 HTTP/1.1\r\n" + offer + b"Content-Length: 4\r\n\r\nbody")

        assert bodies == [b"GET /1 ", b"GET /2 "]
        assert (await response(reader))[0] == 501
        assert await reader.read() == b""


async def test_garbage_behind_a_good_request_does_not_cost_that_request_its_answer() -> None:
    async def slow(request: Request) -> Response:
        await asyncio.sleep(0.02)
        return await echo(request)

    async with talking_to(slow) as (reader, writer, _):
        writer.write(b"GET /good HTTP/1.1\r\nHost: x\r\n\r\nnonsense\r\n\r\n")

        assert (await response(reader))[2] == b"GET /good "
        assert (await response(reader))[0] == 400


async def test_head_gets_the_head_of_the_answer_alone() -> None:
    async with talking_to(echo) as (reader, writer, _):
        writer.write(b"HEAD /x HTTP/1.1\r\nHost: x\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"GET /y HTTP/1.1\r\nHost: x\r\n\r\n")

        assert b"content-length: 8\r\n" in head
        assert (await response(reader))[2] == b"GET /y "


async def streamed(_request: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        for part in (b"one", b"", b"two"):
            await asyncio.sleep(0)
            yield part

    return Response(200, (), parts())


async def test_a_stream_is_sent_in_chunks_and_the_connection_is_kept() -> None:
    async with talking_to(streamed) as (reader, writer, _):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 2)

        for _ in range(2):
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readuntil(b"0\r\n\r\n")

            assert b"transfer-encoding: chunked" in head
            assert body == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"


async def test_a_stream_to_an_http_1_0_client_ends_with_the_connection() -> None:
    async with talking_to(streamed) as (reader, writer, _):
        writer.write(b"GET / HTTP/1.0\r\n\r\n")

        head = await reader.readuntil(b"\r\n\r\n")
        assert b"chunked" not in head
        assert await reader.read() == b"onetwo"


async def test_a_stream_that_fails_midway_does_not_look_whole() -> None:
    async def broken(_request: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            yield b"one"
            raise ValueError

        return Response(200, (), parts())

    async with talking_to(broken) as (reader, writer, _):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")

        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readuntil(b"0\r\n\r\n")


async def test_a_large_stream_waits_for_a_slow_reader() -> None:
    sent = 0

    async def endless(_request: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            nonlocal sent
            for _ in range(1000):
                sent += 1
                yield b"x" * 65536

        return Response(200, (), parts())

    async with talking_to(endless) as (reader, writer, _):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.05)

        assert sent < 500


@pytest.mark.parametrize(
    "pair", [("a", "€"), ("a", "1\r\nb: 2"), ("a", "1\rb: 2"), ("a\nb", "1"), ("a b", "1"), ("", "1")]
)
@pytest.mark.parametrize("kind", ["plain", "coroutine", "stream"])
async def test_a_header_that_is_none_is_answered_500_and_gets_to_nobody(kind: str, pair: tuple[str, str]) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"x"

    def plain(_request: Request) -> Response:
        return Response(200, (pair,), b"x")

    async def coroutine(_request: Request) -> Response:
        return Response(200, (pair,), parts() if kind == "stream" else b"x")

    async with talking_to(plain if kind == "plain" else coroutine) as (reader, writer, _):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 2)

        for _ in range(2):
            status, headers, _ = await response(reader)
            assert (status, "a" in headers, "b" in headers) == (500, False, False)


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
async def test_a_handler_that_raises_is_answered_500(kind: str) -> None:
    def plain(_request: Request) -> Response:
        raise ValueError("secret")

    async def coroutine(_request: Request) -> Response:
        raise ValueError("secret")

    handlers: dict[str, Callable[[Request], Response | Awaitable[Response]]] = {"plain": plain, "coroutine": coroutine}
    async with talking_to(handlers[kind]) as (reader, writer, _):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 2)

        first, second = await response(reader), await response(reader)

        assert first[0] == second[0] == 500
        assert b"secret" not in first[2]


async def test_a_client_that_goes_away_cancels_its_handler() -> None:
    cancelled = asyncio.Event()
    started = asyncio.Event()

    async def endless(_request: Request) -> Response:
        started.set()
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()
        return Response(200)

    async with talking_to(endless) as (_, writer, server):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await started.wait()
        writer.close()

        await cancelled.wait()
        while server.connections:
            await asyncio.sleep(0.001)


async def test_closing_the_server_cancels_what_is_being_answered() -> None:
    started = asyncio.Event()

    async def endless(_request: Request) -> Response:
        started.set()
        await asyncio.sleep(60)
        return Response(200)

    async with talking_to(endless) as (reader, writer, server):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await started.wait()
        await server.close()

        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)


async def test_headers_of_the_handler_stand_and_none_is_added_twice() -> None:
    async def own(_request: Request) -> Response:
        return Response(204, (("Date", "yesterday"), ("X-A", "1"), ("X-A", "2")))

    async with talking_to(own) as (reader, writer, _):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")

        assert head == b"HTTP/1.1 204 No Content\r\nDate: yesterday\r\nX-A: 1\r\nX-A: 2\r\n\r\n"


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_what_was_sent_on_a_connection_that_is_reset_before_it_is_seen_is_not_heard(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """uvloop cannot tell whose it was then: nobody would be asked whether it is admitted."""
    heard: list[str] = []

    def hear(request: Request) -> Response:
        heard.append(request.target)
        return Response(200)

    async def serve() -> None:
        listening = socket.create_server(("127.0.0.1", 0))
        for _ in range(5):
            client = socket.create_connection(listening.getsockname())
            client.sendall(b"GET /reset HTTP/1.1\r\nHost: x\r\n\r\n")
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
        server = await serve_socket(hear, listening, admits=lambda _: False)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /refused HTTP/1.1\r\nHost: x\r\n\r\n")
        with suppress(ConnectionResetError):
            await reader.read()
        writer.close()
        await server.close()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(serve())

    assert heard == []


async def test_a_connection_that_nobody_can_tell_whose_it_is_is_closed_unread() -> None:
    def cannot_tell(_: socket.socket) -> bool:
        raise OSError(24, "Too many open files")

    server = await serve_socket(echo, socket.create_server(("127.0.0.1", 0)), admits=cannot_tell)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    assert await reader.read() == b""
    writer.close()
    await server.close()
