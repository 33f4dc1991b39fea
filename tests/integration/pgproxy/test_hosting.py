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
from workshape.pgproxy.database_connection import CONNECT_S_MAX
from workshape.pgproxy.hosting import HostGround, ProxyHost
from workshape.pgproxy.lending import target_of
from workshape.pgproxy.target_health import check_target
from workshape.settings import ProxySettings
from workshape.sigv4 import Keys

ROLES = {"writer": "READ_WRITE", "reader1": "READ_ONLY", "reader2": "READ_ONLY"}
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
async def hosting(server: Server, folder: Path, secrets: Secrets, *readers: Server) -> AsyncIterator[ProxyHost]:
    ground = HostGround(
        servers=tuple(DatabaseServer(name, "127.0.0.1", one.port) for name, one in named(server, *readers).items()),
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


def named(writer: Server, *readers: Server) -> dict[str, Server]:
    return {"writer": writer, **{f"reader{number}": reader for number, reader in enumerate(readers, 1)}}


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


async def port_of(client: psycopg.AsyncConnection[Any]) -> int:
    """Which server answers."""
    row = await (await client.execute("SELECT current_setting('port')::int")).fetchone()
    assert row is not None
    return int(row[0])


def with_reader_endpoint(write: int, read: int, **settings: Any) -> HostedProxy:
    """One endpoint for all, and one for who only reads."""
    endpoints = (*proxy(write).endpoints, HostedEndpoint("readers", "127.0.0.1", read, "READ_ONLY"))
    return replace(proxy(write), endpoints=endpoints, settings=ProxySettings(**settings))


def roles(host: ProxyHost) -> dict[str, tuple[str, str]]:
    """Each server's role and health."""
    servers = host.state().proxies["prx-front"].servers
    return {name: (one.role.value, one.health.state) for name, one in servers.items()}


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

    checked = await check_target(target, passwords, database)

    state = checked.health
    assert (state.state, state.reason) == expected
    assert bool(state.description) == (state != TargetState("AVAILABLE"))
    assert checked.takes_writes is (True if state.is_available else None)


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


async def test_a_reader_endpoint_goes_to_readers_and_every_server_is_told_with_its_role(
    server: Server, replicas: list[Server], tmp_path: Path
) -> None:
    write, read = free_ports("127.0.0.1", 2)
    async with hosting(server, tmp_path, Secrets({SECRET: PASSWORD}), *replicas) as host:
        await host.apply(ProxyPlan("1", (with_reader_endpoint(write, read),)))
        await until(lambda: all(health == "AVAILABLE" for _, health in roles(host).values()))
        found = roles(host)
        async with await connect(server, write) as writer, await connect(server, read) as reader:
            where = await port_of(writer), await port_of(reader)
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                await reader.execute("CREATE TABLE not_here (n int)")
            figures = host.state().proxies["prx-front"].figures

    assert found == {name: (role, "AVAILABLE") for name, role in ROLES.items()}
    assert where[0] == server.port
    assert where[1] in {replica.port for replica in replicas}
    assert figures is not None
    assert {name: one.values["ClientConnections"] for name, one in figures.endpoints.items()} == {"e0": 1, "readers": 1}
    connections = {name: target.values["DatabaseConnections"] for name, target in figures.targets.items()}
    assert (connections["writer"], connections["reader1"] + connections["reader2"]) == (1, 1)
    assert figures.values["DatabaseConnections"] == 2


async def test_without_readers_a_reader_endpoint_refuses_at_once(server: Server, tmp_path: Path) -> None:
    write, read = free_ports("127.0.0.1", 2)
    async with hosting(server, tmp_path, Secrets({SECRET: PASSWORD})) as host:
        await host.apply(ProxyPlan("1", (with_reader_endpoint(write, read),)))
        async with asyncio.timeout(10.0):
            with pytest.raises(psycopg.OperationalError, match="has no readers"):
                await connect(server, read)

    assert ProxySettings().connection_borrow_timeout_s > 10.0, "it would wait longer for a reader that is away"


async def test_while_no_reader_is_there_clients_wait_up_to_the_borrow_timeout_and_health_says_so(
    server: Server, replicas: list[Server], tmp_path: Path
) -> None:
    write, read = free_ports("127.0.0.1", 2)
    reader = replicas[0]
    async with hosting(server, tmp_path, Secrets({SECRET: PASSWORD}), reader) as host:
        await host.apply(ProxyPlan("1", (with_reader_endpoint(write, read, connection_borrow_timeout_s=5.0),)))
        await until(lambda: roles(host)["reader1"] == ("READ_ONLY", "AVAILABLE"))
        async with await connect(server, read) as client:
            await port_of(client)
            reader.stop()
            try:
                with pytest.raises(psycopg.OperationalError, match="no reader of the database was there within 5 s"):
                    await port_of(client)
                await until(lambda: roles(host)["reader1"] == ("READ_ONLY", "UNAVAILABLE"))
                whole = host.state().proxies["prx-front"].target
                waiting = asyncio.create_task(connect(server, read))
            finally:
                reader.start()
            async with asyncio.timeout(30.0):
                async with await waiting as late:
                    found = await port_of(late)
                await until(lambda: roles(host)["reader1"] == ("READ_ONLY", "AVAILABLE"))

    assert whole.is_available, "who writes is served"
    assert found == reader.port


async def test_a_server_that_says_nothing_holds_up_no_others_checks(server: Server, tmp_path: Path) -> None:
    (port,) = free_ports("127.0.0.1", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mute = Server(server.folder, silent.getsockname()[1])
        async with hosting(server, tmp_path, Secrets({SECRET: PASSWORD}), mute) as host:
            await host.apply(ProxyPlan("1", (proxy(port),)))
            await until(lambda: roles(host)["writer"] == ("READ_WRITE", "AVAILABLE"))
            before = roles(host)["reader1"]
            server.stop()
            try:
                async with asyncio.timeout(CONNECT_S_MAX - 1.0):
                    await until(lambda: roles(host)["writer"] == ("READ_WRITE", "UNAVAILABLE"))
            finally:
                server.start()

    assert before == ("UNKNOWN", "REGISTERING")


async def test_roles_and_reader_endpoints_follow_a_fail_over(
    server: Server, replicas: list[Server], tmp_path: Path
) -> None:
    write, read = free_ports("127.0.0.1", 2)
    promoted, other = replicas
    async with hosting(server, tmp_path, Secrets({SECRET: PASSWORD}), *replicas) as host:
        await host.apply(ProxyPlan("1", (with_reader_endpoint(write, read, connection_borrow_timeout_s=30.0),)))
        await until(lambda: {name: role for name, (role, _) in roles(host).items()} == ROLES)
        async with await connect(server, write) as writer, await connect(server, read) as reader:
            await port_of(writer)
            server.stop()
            try:
                await until(lambda: roles(host)["writer"] == ("READ_WRITE", "UNAVAILABLE"))
                gone = host.state().proxies["prx-front"].target
                promoted.run("SELECT pg_promote()")
                async with asyncio.timeout(30.0):
                    wrote, read_at = await port_of(writer), {await port_of(reader) for _ in range(8)}
                await until(lambda: roles(host)["reader1"] == ("READ_WRITE", "AVAILABLE"))
                after, whole = roles(host), host.state().proxies["prx-front"].target
            finally:
                server.start()

    assert gone.reason == "UNREACHABLE"
    assert (wrote, read_at) == (promoted.port, {other.port})
    assert after == {
        "writer": ("UNKNOWN", "UNAVAILABLE"),
        "reader1": ("READ_WRITE", "AVAILABLE"),
        "reader2": ("READ_ONLY", "AVAILABLE"),
    }
    assert whole.is_available
