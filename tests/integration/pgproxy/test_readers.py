"""A writer and its streaming replicas behind one proxy: who reads where, and what happens when one of them is gone."""

import asyncio
from typing import Any

import psycopg
import pytest
from psycopg import errors

from tests.integration.pgproxy.conftest import MakeProxy, Proxy, Server
from workshape.pgproxy.config import DatabaseServer, Endpoint, EndpointRole
from workshape.pgproxy.routes import ProxiedDatabase
from workshape.pgproxy.welcomes import Welcomes
from workshape.settings import ProxySettings

PATIENT = ProxySettings(connection_borrow_timeout_s=30.0)
ENDPOINTS = (Endpoint(), Endpoint(role=EndpointRole.READ_ONLY, name="readers"))
WITHIN_S = 30.0


def behind(writer: Server, *readers: Server) -> dict[str, Any]:
    """The configuration of a proxy before these."""
    named = {"writer": writer, **{f"reader{number}": reader for number, reader in enumerate(readers, 1)}}
    return {
        "servers": tuple(DatabaseServer(name, "127.0.0.1", one.port) for name, one in named.items()),
        "databases": (ProxiedDatabase("*", "writer", tuple(named)[1:]),),
        "endpoints": ENDPOINTS,
    }


async def to_read(proxy: Proxy, **options: str) -> psycopg.AsyncConnection[Any]:
    """Connect at the endpoint for reading."""
    added = "".join(f" {name}={value}" for name, value in options.items())
    url = proxy.server.url(port=proxy.ports[1]) + added
    return await psycopg.AsyncConnection.connect(url, autocommit=True)


async def port_of(client: psycopg.AsyncConnection[Any]) -> int:
    """Which server answers."""
    row = await (await client.execute("SELECT current_setting('port')::int")).fetchone()
    assert row is not None
    return int(row[0])


async def test_readers_share_who_reads_and_refuse_to_write(
    make_proxy: MakeProxy, server: Server, replicas: list[Server]
) -> None:
    first, second = replicas
    async with make_proxy(PATIENT, **behind(server, first, second)) as proxy, await proxy.connect() as writing:
        readers = [await to_read(proxy) for _ in range(4)]
        for reader in readers:
            await reader.execute("BEGIN")
        ports = [await port_of(reader) for reader in readers]
        with pytest.raises(errors.ReadOnlySqlTransaction):
            await readers[0].execute("CREATE TABLE not_here (n int)")
        for reader in readers:
            await reader.execute("ROLLBACK")
        wrote_at = await port_of(writing)
        async with await proxy.connect(dbname="workshape") as console:
            rows = await (await console.execute("SHOW TARGETS")).fetchall()
        for reader in readers:
            await reader.close()

    assert sorted(ports) == sorted([first.port, first.port, second.port, second.port])
    assert wrote_at == server.port
    assert {row[0]: row[2] for row in rows} == {
        "writer": "takes writes",
        "reader1": "only reads",
        "reader2": "only reads",
    }


async def test_clients_that_want_a_standby_find_one_where_readers_are_and_a_primary_where_they_write(
    make_proxy: MakeProxy, server: Server, replicas: list[Server]
) -> None:
    async with make_proxy(PATIENT, **behind(server, *replicas)) as proxy, await proxy.connect():
        async with await to_read(proxy, target_session_attrs="standby") as reading:
            assert await port_of(reading) != server.port
        async with await proxy.connect(target_session_attrs="primary") as writing:
            assert await port_of(writing) == server.port
        with pytest.raises(psycopg.OperationalError, match="hot standby"):
            await to_read(proxy, target_session_attrs="primary")


async def test_a_database_without_readers_has_nothing_for_who_only_reads(make_proxy: MakeProxy) -> None:
    async with make_proxy(PATIENT, endpoints=ENDPOINTS) as proxy:
        with pytest.raises(psycopg.OperationalError, match="has no readers"):
            await to_read(proxy)


async def test_when_a_reader_is_gone_the_other_serves_and_when_all_are_gone_clients_wait_and_are_told(
    make_proxy: MakeProxy, server: Server, replicas: list[Server]
) -> None:
    first, second = replicas
    settings = ProxySettings(connection_borrow_timeout_s=2.0)
    async with make_proxy(settings, **behind(server, first, second)) as proxy, await to_read(proxy) as reader:
        await port_of(reader)
        first.stop()
        left = {await port_of(reader) for _ in range(6)}
        second.stop()
        with pytest.raises(psycopg.OperationalError, match="no reader of the database was there within 2 s") as told:
            await port_of(reader)
        first.start()
        second.start()
        async with asyncio.timeout(WITHIN_S):
            back = await _until_served(reader)

    assert left == {second.port}
    assert told.value.sqlstate == "08001"
    assert "reader1: only reads, fails" in str(told.value.diag.message_detail)
    assert back in {first.port, second.port}


async def test_after_a_fail_over_clients_go_on_with_the_server_that_was_promoted(
    make_proxy: MakeProxy, server: Server, replicas: list[Server]
) -> None:
    promoted = replicas[0]
    async with make_proxy(PATIENT, **behind(server, *replicas)) as proxy:
        clients = [await proxy.connect() for _ in range(3)]
        readers = [await to_read(proxy) for _ in range(2)]
        for reader in readers:
            await reader.execute("BEGIN")
        assert {await port_of(reader) for reader in readers} == {replica.port for replica in replicas}
        for reader in readers:
            await reader.close()
        await clients[0].execute("CREATE TABLE written (n int)")
        held = clients[2]
        await held.execute("BEGIN")
        server.stop()
        try:
            with pytest.raises(psycopg.OperationalError):
                await held.execute("SELECT 1")
            writing = [
                asyncio.create_task(client.execute(f"INSERT INTO written VALUES ({number})".encode()))
                for number, client in enumerate(clients[:2])
            ]
            await proxy.until(lambda: proxy.proxy.snapshot().waiting == 2, WITHIN_S)
            promoted.run("SELECT pg_promote()")
            async with asyncio.timeout(WITHIN_S):
                await asyncio.gather(*writing)
            ports = {await port_of(client) for client in clients[:2]}
            proxy.proxy.lending("writer").welcomes = Welcomes()  # nobody knows any more what it would say
            async with await proxy.connect(target_session_attrs="primary") as late:
                ports.add(await port_of(late))
            for client in clients:
                await client.close()
        finally:
            server.start()

    assert ports == {promoted.port}
    server.run("DROP TABLE written")


async def _until_served(client: psycopg.AsyncConnection[Any]) -> int:
    while True:
        try:
            return await port_of(client)
        except psycopg.OperationalError:
            await asyncio.sleep(0.05)
