"""Proxies run by a plan: started, changed without dropping anybody, ended; with the health of their target."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace

from tests.integration.pgproxy.conftest import DATABASE, PASSWORD, USER, Server
from workshape.cli.ports import free_ports
from workshape.errors import NotFound
from workshape.hosted import HostedEndpoint, HostedProxy, HostedUser, ProxyPlan, TargetState
from workshape.pgproxy.accounts import SecretValue
from workshape.pgproxy.config import AwsAccess, DatabaseServer
from workshape.pgproxy.hosting import HostGround, ProxyHost
from workshape.pgproxy.lending import target_of
from workshape.pgproxy.target_health import check_target
from workshape.settings import ProxySettings
from workshape.sigv4 import Keys

SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:app"


@dataclass
class Secrets:
    """What Secrets Manager has."""

    passwords: dict[str, str]

    async def read(self, aws: AwsAccess, name: str) -> SecretValue:
        if name not in self.passwords:
            raise NotFound(kind="secret", name=name)
        return SecretValue(USER, self.passwords[name])


@asynccontextmanager
async def hosting(server: Server, folder: Path, secrets: Secrets) -> AsyncIterator[ProxyHost]:
    ground = HostGround(
        database=DatabaseServer("main", "127.0.0.1", server.port),
        database_name=DATABASE,
        aws=AwsAccess("us-east-1", Keys("k", "s"), "http://127.0.0.1:1"),
        read_secret=secrets.read,
        certificates=folder,
    )
    host = ProxyHost(ground)
    try:
        yield host
    finally:
        await host.close()


def proxy(*ports: int, name: str = "front") -> HostedProxy:
    return HostedProxy(
        id=f"prx-{name}",
        name=name,
        users=(HostedUser(SECRET),),
        endpoints=tuple(HostedEndpoint(f"e{number}", "127.0.0.1", port) for number, port in enumerate(ports)),
        hosts=("127.0.0.1",),
        require_tls=False,
        settings=ProxySettings(),
    )


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something has come true."""
    async with asyncio.timeout(30.0):
        while not condition():
            await asyncio.sleep(0.02)


async def connect(server: Server, port: int) -> psycopg.AsyncConnection[Any]:
    return await psycopg.AsyncConnection.connect(server.url(port=port), autocommit=True)


async def test_a_plan_is_run_changed_and_ended_and_changes_drop_nobody(server: Server, tmp_path: Path) -> None:
    first, second = free_ports("127.0.0.1", 2)
    async with hosting(server, tmp_path, Secrets({SECRET: PASSWORD})) as host:
        state = await host.apply(ProxyPlan("1", (proxy(first),)))
        async with await connect(server, first) as client:
            settings = ProxySettings(max_connections_percent=50)
            changed = replace(proxy(first, second), settings=settings, require_tls=True)
            grown = await host.apply(ProxyPlan("2", (changed,)))
            with pytest.raises(psycopg.OperationalError, match="TLS"):
                await psycopg.AsyncConnection.connect(server.url(port=second) + " sslmode=disable")
            async with await connect(server, second) as other:
                await other.execute("SELECT 1")
            await client.execute("SELECT 1")
            pids = host.backend_pids()
            shrunk = await host.apply(ProxyPlan("3", (replace(changed, endpoints=changed.endpoints[:1]),)))
            with pytest.raises(psycopg.OperationalError):
                await connect(server, second)
            await client.execute("SELECT 2")
            ended = await host.apply(ProxyPlan("4"))
            with pytest.raises(psycopg.OperationalError):
                await client.execute("SELECT 3")

    assert (state.revision, state.proxies["prx-front"].endpoints) == ("1", {"e0": ""})
    assert grown.proxies["prx-front"].endpoints == {"e0": "", "e1": ""}
    assert shrunk.proxies["prx-front"].endpoints == {"e0": ""}
    assert len(pids) == 1
    assert (ended.revision, ended.proxies) == ("4", {})
    assert not list(tmp_path.glob("prx-*")), "its certificate is gone with it"


async def test_a_pools_share_changes_under_its_clients_who_wait_for_more_and_keep_what_they_have(
    server: Server, tmp_path: Path
) -> None:
    (port,) = free_ports("127.0.0.1", 1)
    small, large = (replace(proxy(port), settings=ProxySettings(max_connections_percent=each)) for each in (6, 12))
    async with hosting(server, tmp_path, Secrets({SECRET: PASSWORD})) as host:
        await host.apply(ProxyPlan("1", (small,)))
        async with await connect(server, port) as first, await connect(server, port) as second:
            await first.execute("BEGIN")
            waiting = asyncio.create_task(second.execute("BEGIN"))
            await asyncio.sleep(0.3)
            waited = not waiting.done()
            await host.apply(ProxyPlan("2", (large,)))
            async with asyncio.timeout(10.0):
                await waiting
            shrunk = await host.apply(ProxyPlan("3", (small,)))
            for client in (first, second):
                await client.execute("COMMIT")
            await until(lambda: len(host.backend_pids()) == 1)
            for client in (first, second):
                await client.execute("SELECT 1")

    assert waited
    figures = shrunk.proxies["prx-front"].figures
    assert figures is not None
    assert figures.values["MaxDatabaseConnectionsAllowed"] == 1
    assert figures.values["DatabaseConnectionsCurrentlyBorrowed"] == 2, "nobody loses what he has"


async def test_an_address_that_is_taken_is_told_and_tried_again(server: Server, tmp_path: Path) -> None:
    free, taken = free_ports("127.0.0.1", 2)
    async with hosting(server, tmp_path, Secrets({SECRET: PASSWORD})) as host:
        with socket.socket() as somebody:
            somebody.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            somebody.bind(("127.0.0.1", taken))
            somebody.listen()
            state = await host.apply(ProxyPlan("1", (proxy(taken, free),)))
            async with await connect(server, free) as client:
                await client.execute("SELECT 1")

        again = await host.apply(ProxyPlan("2", (proxy(taken, free),)))

    endpoints = state.proxies["prx-front"].endpoints
    assert f"127.0.0.1:{taken}" in endpoints["e0"]
    assert endpoints["e1"] == ""
    assert again.proxies["prx-front"].endpoints == {"e0": "", "e1": ""}


@pytest.mark.parametrize(
    ("passwords", "database", "port", "expected"),
    [
        ({USER: PASSWORD}, DATABASE, None, ("AVAILABLE", "")),
        ({USER: "another"}, DATABASE, None, ("UNAVAILABLE", "AUTH_FAILURE")),
        ({}, DATABASE, None, ("UNAVAILABLE", "AUTH_FAILURE")),
        ({USER: PASSWORD}, "nowhere", None, ("UNAVAILABLE", "CONNECTION_FAILED")),
        ({USER: PASSWORD}, DATABASE, 1, ("UNAVAILABLE", "UNREACHABLE")),
    ],
)
async def test_the_health_of_a_target_is_told_in_rds_words(
    server: Server, passwords: dict[str, str], database: str, port: int | None, expected: tuple[str, str]
) -> None:
    target = target_of(DatabaseServer("main", "127.0.0.1", port or server.port))

    state = await check_target(target, passwords, database)

    assert (state.state, state.reason) == expected
    assert bool(state.description) == (state != TargetState("AVAILABLE"))


async def test_a_secret_that_comes_late_or_was_wrong_is_read_again(server: Server, tmp_path: Path) -> None:
    (port,) = free_ports("127.0.0.1", 1)
    secrets = Secrets({SECRET: "wrong"})
    async with hosting(server, tmp_path, secrets) as host:
        await host.apply(ProxyPlan("1", (proxy(port),)))
        await until(lambda: host.state().proxies["prx-front"].target.reason == "AUTH_FAILURE")
        secrets.passwords[SECRET] = PASSWORD

        await until(lambda: host.state().proxies["prx-front"].target.is_available)

        async with await connect(server, port) as client:
            await client.execute("SELECT 1")
