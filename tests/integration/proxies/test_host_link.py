"""The link to the process that runs the proxies: it is told every change, and asked again whenever it knows another."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from tests.unit.proxies.test_registry import AUTH, SHOP, choose
from workshape.clock import Clock
from workshape.hosted import AVAILABLE, RELOAD_PATH, STATE_PATH, HostedState, HostState, ProxyPlan
from workshape.http1.client import HttpClient
from workshape.http1.message import Request, Response
from workshape.http1.server import HttpServer, serve_tcp
from workshape.proxies.host_link import ProxyHostLink
from workshape.proxies.model import DbProxy
from workshape.proxies.registry import Proxies
from workshape.settings import ProxySettings
from workshape.status import ProxyFigures
from workshape.store.documents import Documents


class Host:
    """Answers as the proxy process does; runs nothing."""

    def __init__(self, plan_file: Path) -> None:
        self.plan_file = plan_file
        self.plan = ProxyPlan("none")
        self.asked: list[str] = []

    async def answer(self, request: Request) -> Response:
        self.asked.append(request.path)
        if request.path == RELOAD_PATH:
            self.plan = msgspec.json.decode(self.plan_file.read_bytes(), type=ProxyPlan)
        figures = ProxyFigures("began", {"QueryRequests": 7}, {})
        state = HostedState({"default": ""}, AVAILABLE, figures)
        body = msgspec.json.encode(HostState(self.plan.revision, {one.id: state for one in self.plan.proxies}))
        return Response(200, (("content-type", "application/json"),), body)


class Linked:
    def __init__(self, folder: Path, host: Host, server: HttpServer) -> None:
        self.host = host
        self.server = server
        self.client = HttpClient("127.0.0.1", server.port)
        clock = Clock()
        self.proxies = Proxies(
            Documents(folder / "store.sqlite"),
            clock,
            region="us-east-1",
            account="123456789012",
            database=SHOP,
            choose_address=choose,
        )
        self.link = ProxyHostLink(self.proxies, self.client, clock, plan_file=host.plan_file, settings=ProxySettings())

    def status(self) -> str:
        return self.proxies.status(self.proxies.get("front"))

    async def until(self, status: str) -> None:
        async with asyncio.timeout(30.0):
            while self.status() != status:
                await asyncio.sleep(0.01)


@pytest.fixture
async def linked(tmp_path: Path) -> AsyncIterator[Linked]:
    host = Host(tmp_path / "proxies.json")
    server = await serve_tcp(host.answer, "127.0.0.1", 0)
    made = Linked(tmp_path, host, server)
    running = asyncio.create_task(made.link.run())
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await made.client.close()
    await server.close()


async def test_what_is_made_is_available_once_the_process_has_it(linked: Linked) -> None:
    linked.proxies.create(DbProxy(name="front", auth=AUTH))
    before = linked.status()
    linked.proxies.register("front", "default", ["shop"])

    await linked.until("available")

    assert before == "creating"
    assert [one.name for one in linked.host.plan.proxies] == ["front"]
    assert linked.host.plan_file.stat().st_mode & 0o777 == 0o600
    assert linked.proxies.target_state(linked.proxies.get("front")) == AVAILABLE
    assert [(name, figures.values) for name, figures in await linked.link.figures()] == [
        ("front", {"QueryRequests": 7})
    ]


async def test_a_process_that_was_started_again_is_told_again(linked: Linked) -> None:
    linked.proxies.create(DbProxy(name="front", auth=AUTH))
    linked.proxies.register("front", "default", ["shop"])
    await linked.until("available")

    linked.host.plan = ProxyPlan("")
    async with asyncio.timeout(30.0):
        while not linked.host.plan.proxies:
            await asyncio.sleep(0.01)

    assert linked.host.asked[-1] in (RELOAD_PATH, STATE_PATH)


async def test_a_process_that_is_gone_leaves_its_targets_unavailable(linked: Linked) -> None:
    linked.proxies.create(DbProxy(name="front", auth=AUTH))
    linked.proxies.register("front", "default", ["shop"])
    await linked.until("available")

    await linked.server.close()
    async with asyncio.timeout(30.0):
        while (state := linked.proxies.target_state(linked.proxies.get("front"))).state != "UNAVAILABLE":
            await asyncio.sleep(0.01)

    assert state.reason == "PENDING_PROXY_CAPACITY"
