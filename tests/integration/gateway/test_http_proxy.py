"""Servers behind HTTP integrations: their connections are kept, but not those of every server ever asked."""

import asyncio

import pytest

from workshape.gateway.arrival import Arrival
from workshape.gateway.http_proxy import HttpProxy
from workshape.http1.message import Request, Response
from workshape.http1.server import HttpServer, serve_tcp

ARRIVAL = Arrival(Request("GET", "/"), "api-id", "$default", "request-id", "123456789012", 0.0, "Root=1-0-0")


class Backend:
    """A server whose answers to `/held` wait until it lets them go."""

    def __init__(self) -> None:
        self.is_held, self.lets_go = asyncio.Event(), asyncio.Event()
        self.server: HttpServer

    async def answer(self, request: Request) -> Response:
        """Answer a request with its target."""
        if request.target == "/held":
            self.is_held.set()
            await self.lets_go.wait()
        return Response(200, (), request.target.encode())

    def url(self, path: str) -> str:
        """Tell where something of it is."""
        return f"http://127.0.0.1:{self.server.port}{path}"


async def test_a_server_that_is_let_go_for_another_still_answers_what_is_under_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("workshape.gateway.http_proxy.ORIGINS_MAX", 1)
    proxy, one, other = HttpProxy(), Backend(), Backend()
    one.server, other.server = [await serve_tcp(backend.answer, "127.0.0.1", 0) for backend in (one, other)]
    try:
        held = asyncio.create_task(proxy.send(ARRIVAL, one.url("/held"), "GET", {}, 20))
        await one.is_held.wait()
        assert (await proxy.send(ARRIVAL, one.url("/kept"), "GET", {}, 20)).body == b"/kept"
        assert len(one.server.connections) == 2

        assert (await proxy.send(ARRIVAL, other.url("/"), "GET", {}, 20)).body == b"/"
        assert not held.done()
        one.lets_go.set()
        assert (await held).body == b"/held"

        async with asyncio.timeout(20):
            while one.server.connections:
                await asyncio.sleep(0.01)
    finally:
        await proxy.close()
        await one.server.close()
        await other.server.close()
