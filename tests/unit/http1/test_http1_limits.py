"""What the HTTP/1.1 server refuses, and how much of what waits it holds."""

import asyncio

import pytest

from tests.fakes.http_talk import echo, response, talking_to
from workshape.http1.message import LateResponse, Request, Response
from workshape.http1.server import PIPELINED_REQUESTS_MAX, Limits


async def test_a_client_far_ahead_waits_and_loses_nothing() -> None:
    gate = asyncio.Event()

    async def gated(request: Request) -> Response:
        await gate.wait()
        return await echo(request)

    count = PIPELINED_REQUESTS_MAX * 20
    async with talking_to(gated) as (reader, writer, _):
        writer.write(b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(count)))
        await asyncio.sleep(0.02)
        gate.set()

        bodies = [(await response(reader))[2] for _ in range(count)]

        assert bodies == [b"GET /%d " % number for number in range(count)]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 2000 + b"\r\n\r\n", 431),
        (b"GET /" + b"a" * 2000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 101\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n" + b"a" * 101 + b"\r\n", 413),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 2\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: 1\r\nA: 1\r\nHost: x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ],
)
async def test_what_is_too_large_or_no_http_is_refused_and_the_connection_ends(sent: bytes, status: int) -> None:
    async with talking_to(echo, Limits(body_bytes_max=100, header_bytes_max=1000)) as (reader, writer, _):
        writer.write(sent)

        answered = await response(reader)
        assert (answered[0], answered[1]["connection"]) == (status, "close")
        assert await reader.read() == b""


@pytest.mark.parametrize(
    "begun",
    [
        b"GET /",
        b"GET / HTTP/1.1\r\nX: ",
        b"GET / HTTP/1.1\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX: ",
    ],
    ids=["target", "header", "headers", "chunk extension", "trailer"],
)
async def test_what_never_ends_is_refused_when_it_is_over_the_limit_of_headers(begun: bytes) -> None:
    more = b"a:b\r\n" * 20 if begun.endswith(b"HTTP/1.1\r\n") else b"a" * 100
    async with talking_to(echo, Limits(header_bytes_max=1_000)) as (reader, writer, _):
        writer.write(begun)
        answer = asyncio.ensure_future(response(reader))
        sent = 0
        while not answer.done() and sent < 3_000:
            writer.write(more)
            sent += len(more)
            await asyncio.sleep(0.002)

        assert answer.done(), "it is read on and on"
        assert (await answer)[0] == 431
        assert sent < 2_000


async def test_a_connection_too_many_is_closed_unread_and_a_free_place_is_taken() -> None:
    async with talking_to(echo, Limits(connections_max=2)) as (first_reader, first, server):
        _, second = await asyncio.open_connection("127.0.0.1", server.port)
        reader, third = await asyncio.open_connection("127.0.0.1", server.port)
        assert await reader.read() == b""

        first.write(b"GET /1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert (await response(first_reader))[0] == 200
        while len(server.connections) > 1:
            await asyncio.sleep(0)
        reader, fourth = await asyncio.open_connection("127.0.0.1", server.port)
        fourth.write(b"GET /4 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await response(reader))[0] == 200

        for each in (second, third, fourth):
            each.close()


async def test_unfinished_bodies_are_bounded_together_and_count_no_more_once_they_are_read_or_gone() -> None:
    limits = Limits(body_bytes_max=1_000, held_bytes_max=1_500)
    head = b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
    async with talking_to(echo, limits) as (reader, writer, server):
        other_reader, other = await asyncio.open_connection("127.0.0.1", server.port)
        other.write(head + b"x" * 900)
        while server.held_bytes < 900:
            await asyncio.sleep(0)

        writer.write(head + b"x" * 900)
        assert (await response(reader))[0] == 503
        assert await reader.read() == b""

        other.write(b"x" * 100)
        assert (await response(other_reader))[0] == 200
        while server.held_bytes:
            await asyncio.sleep(0)
        for _ in range(3):
            other.write(head + b"x" * 1_000)
            assert (await response(other_reader))[0] == 200
        assert server.held_bytes == 0
        other.close()


async def test_bodies_that_wait_for_their_turn_are_held_until_it_comes() -> None:
    gate = LateResponse()
    answers: list[Response | LateResponse] = [gate, Response(200), Response(200)]
    async with talking_to(lambda _: answers.pop(0), Limits(held_bytes_max=1_000)) as (reader, writer, server):
        writer.write(b"GET /0 HTTP/1.1\r\nHost: x\r\n\r\n")
        writer.write(b"POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 400\r\n\r\n" + b"x" * 400)
        writer.write(b"POST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 400\r\n\r\n" + b"x" * 400)
        while server.held_bytes < 800:
            await asyncio.sleep(0)

        gate.give(Response(200))

        assert [(await response(reader))[0] for _ in range(3)] == [200] * 3
        assert server.held_bytes == 0
