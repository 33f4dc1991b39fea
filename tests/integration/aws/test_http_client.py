"""The client that forwards: against servers that answer in every way HTTP allows, and in some it does not."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager

import httptools
import pytest
import uvloop

from workshape.http1.client import HttpClient
from workshape.http1.message import Request, Response

GET = Request("GET", "/a%2Fb?c", (("host", "elsewhere"), ("x-thing", "1")))
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Scripted:
    """A server that writes given bytes for each request, whoever asks; None: it closes the connection."""

    def __init__(self, *answers: bytes | None) -> None:
        self.answers = list(answers)
        self.heads: list[str] = []
        self.connections = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.heads.append(head)
                for line in head.lower().split("\r\n"):
                    if line.startswith("content-length: "):
                        await reader.readexactly(int(line.partition(": ")[2]))
                answer = self.answers.pop(0)
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
                if b"connection: close" in answer or (b"content-length" not in answer and b"chunked" not in answer):
                    break
        except (asyncio.IncompleteReadError, ConnectionResetError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(*answers: bytes | None) -> AsyncIterator[tuple[Scripted, HttpClient]]:
    scripted = Scripted(*answers)
    server = await asyncio.start_server(scripted.serve, "127.0.0.1", 0)
    client = HttpClient("127.0.0.1", server.sockets[0].getsockname()[1])
    try:
        yield scripted, client
    finally:
        await client.close()
        server.close()


async def whole(response: Response) -> bytes:
    if isinstance(response.body, bytes):
        return response.body
    return b"".join([piece async for piece in response.body])


async def test_target_and_headers_go_out_as_they_are() -> None:
    async with serving(OK) as (server, client):
        await client.send(GET, 5)

    assert server.heads == ["GET /a%2Fb?c HTTP/1.1\r\nhost: elsewhere\r\nx-thing: 1\r\n\r\n"]


async def test_a_body_goes_out_with_its_length() -> None:
    async with serving(OK, OK) as (server, client):
        await client.send(Request("PUT", "/", (("content-length", "99"),), b"abc"), 5)
        await client.send(Request("POST", "/"), 5)

    assert [head.partition("\r\n")[2] for head in server.heads] == [
        "content-length: 3\r\n\r\n",
        "content-length: 0\r\n\r\n",
    ]


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (OK, b"ok"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", b"abc"),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", b"until the end"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"ok"),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1\r\n\r\nx", b"x"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", b""),
    ],
    ids=["length", "chunks", "until close", "continue", "close", "empty"],
)
async def test_every_framing_is_read(answer: bytes, body: bytes) -> None:
    async with serving(answer, OK) as (_, client):
        assert (await client.send(GET, 5)).body == body
        assert (await client.send(GET, 5)).body == b"ok"


async def test_a_heads_answer_has_a_length_and_no_body() -> None:
    async with serving(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n", OK) as (server, client):
        answer = await client.send(Request("HEAD", "/"), 5)
        after = await client.send(GET, 5)

    assert (answer.body, dict(answer.headers)["content-length"]) == (b"", "99")
    assert after.body == b"ok"
    assert server.connections == 1


async def test_repeated_headers_stay_apart() -> None:
    answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nSet-Cookie: b\r\ncontent-length: 0\r\n\r\n"
    async with serving(answer) as (_, client):
        headers = (await client.send(GET, 5)).headers

    assert headers == (("set-cookie", "a"), ("set-cookie", "b"), ("content-length", "0"))


async def test_a_connection_is_kept() -> None:
    async with serving(*[OK] * 5) as (server, client):
        for _ in range(5):
            await client.send(GET, 5)

    assert server.connections == 1


async def test_a_kept_connection_that_was_closed_is_replaced() -> None:
    async with serving(OK, None, OK) as (server, client):
        await client.send(GET, 5)
        answer = await client.send(GET, 5)

    assert (answer.body, server.connections) == (b"ok", 2)


async def test_a_new_connection_that_breaks_is_told() -> None:
    async with serving(None, OK) as (_, client):
        with pytest.raises(ConnectionResetError):
            await client.send(GET, 5)
        assert (await client.send(GET, 5)).body == b"ok"


async def test_half_an_answer_is_not_asked_for_again() -> None:
    half = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 9\r\n\r\nhalf"
    async with serving(OK, half) as (server, client):
        await client.send(GET, 5)
        with pytest.raises(ConnectionResetError):
            await client.send(GET, 5)

    assert len(server.heads) == 2


async def test_what_is_not_http_is_told() -> None:
    async with serving(b"220 smtp ready\r\n\r\n") as (_, client):
        with pytest.raises(httptools.HttpParserError):
            await client.send(GET, 5)


async def test_nobody_there_is_told() -> None:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()

    with pytest.raises(ConnectionRefusedError):
        await HttpClient("127.0.0.1", port).send(GET, 5)


async def test_an_answer_that_does_not_come_is_a_timeout() -> None:
    async with serving(OK, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n", OK) as (server, client):
        await client.send(GET, 5)  # the connection is there: what comes next is asked for, however short the wait
        with pytest.raises(TimeoutError):
            await client.send(GET, 0.05)
        assert (await client.send(GET, 5)).body == b"ok"

    assert server.connections == 2


async def test_a_long_body_comes_as_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workshape.http1.client.HELD_BYTES_MAX", 1_000)
    monkeypatch.setattr("workshape.http1.pieces.UNREAD_BYTES_MAX", 5_000)
    body = bytes(range(256)) * 40_000
    async with serving(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body, OK) as (_, client):
        answer = await client.send(GET, 5)

        assert isinstance(answer.body, AsyncIterable)
        assert "content-length" not in dict(answer.headers)
        assert await whole(answer) == body
        assert (await client.send(GET, 5)).body == b"ok"


async def test_a_stream_that_breaks_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workshape.http1.client.HELD_BYTES_MAX", 10)
    half = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 99\r\n\r\n" + b"x" * 50
    async with serving(half) as (_, client):
        answer = await client.send(GET, 5)

        with pytest.raises(ConnectionResetError):
            await whole(answer)


async def test_an_event_stream_is_not_waited_for() -> None:
    answer = (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\ntransfer-encoding: chunked\r\n\r\n"
        b"3\r\none\r\n"
    )
    async with serving(answer) as (_, client):
        response = await client.send(GET, 5)

        assert not isinstance(response.body, bytes)
        assert await anext(aiter(response.body)) == b"one"


async def test_answers_that_nobody_reads_give_their_connections_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workshape.http1.client.HELD_BYTES_MAX", 1)
    monkeypatch.setattr("workshape.http1.client.CONNECTIONS_MAX", 2)
    async with serving(*[b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc"] * 5) as (_, client):
        for _ in range(5):
            async with asyncio.timeout(20):
                answer = await client.send(GET, 5)
            assert not isinstance(answer.body, bytes)
            del answer


async def test_callers_that_give_up_give_their_connections_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workshape.http1.client.CONNECTIONS_MAX", 2)
    async with serving(*[b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"] * 2, OK) as (server, client):
        tasks = [asyncio.create_task(client.send(GET, 5)) for _ in range(3)]
        while len(server.heads) < 2:
            await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

        async with asyncio.timeout(20):
            assert (await client.send(GET, 5)).body == b"ok"


def test_uvloop_tells_closed_connections_alike() -> None:
    half = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 9\r\n\r\nhalf"

    async def scenario() -> list[bytes | str]:
        seen: list[bytes | str] = []
        async with serving(OK, None, OK, half, b"HTTP/1.0 200 OK\r\n\r\nuntil the end", None) as (_, client):
            for _ in range(5):
                try:
                    answer = await client.send(GET, 5)
                    seen.append(await whole(answer))
                except ConnectionResetError:
                    seen.append("reset")
        return seen

    assert uvloop.run(scenario()) == [b"ok", b"ok", "reset", b"until the end", "reset"]


async def test_a_connection_may_serve_again_before_its_last_exchange_has_returned() -> None:
    count = 2_000

    async with serving(*[OK] * count) as (_, client), asyncio.timeout(20):
        sends = []
        for _ in range(count):
            sends.append(asyncio.create_task(client.send(GET, 5)))
            await asyncio.sleep(0)  # each begins in a turn of the loop of its own, between answers
        answers = await asyncio.gather(*sends)

    assert [answer.body for answer in answers] == [b"ok"] * count


async def test_what_comes_behind_a_body_is_no_header() -> None:
    answer = b"HTTP/1.1 200 OK\r\na: 1\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\na: 2\r\nb: 3\r\n\r\n"
    async with serving(answer, OK) as (_, client):
        first, second = await client.send(GET, 5.0), await client.send(GET, 5.0)

    assert (first.headers, first.body) == ((("a", "1"), ("transfer-encoding", "chunked")), b"ok")
    assert second.headers == (("content-length", "2"),)


async def test_waiting_for_a_connection_counts_as_waiting_for_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workshape.http1.client.CONNECTIONS_MAX", 1)
    async with serving(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n") as (server, client):
        first = asyncio.create_task(client.send(GET, 60))
        while not server.heads:
            await asyncio.sleep(0.01)

        second = asyncio.create_task(client.send(GET, 0.05))
        await asyncio.wait({second}, timeout=10)
        assert second.done()
        assert isinstance(second.exception(), TimeoutError)
        assert not first.done()

        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
