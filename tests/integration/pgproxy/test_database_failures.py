"""Databases that restart, move, freeze and are dropped, under clients of the proxy."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from psycopg import errors

from tests.integration.pgproxy.conftest import DATABASE, PASSWORD, USER, MakeProxy, Server
from workshape.pgproxy.config import DatabaseServer, ProxyUser
from workshape.pgproxy.routes import ProxiedDatabase
from workshape.settings import ProxySettings

WITHIN_S = 30.0
FLOOD = 150
PATIENT = ProxySettings(connection_borrow_timeout_s=WITHIN_S)
AS_OWNER = {"user": "postgres"}


async def one(client: psycopg.AsyncConnection[Any], sql: str) -> Any:
    row = await (await client.execute(sql.encode())).fetchone()
    return None if row is None else row[0]


@pytest.fixture
def owners() -> tuple[ProxyUser, ...]:
    return (ProxyUser(USER, PASSWORD), ProxyUser("postgres", PASSWORD))


async def test_databases_are_dropped_renamed_and_copied_as_if_nobody_were_idle_in_them(
    make_proxy: MakeProxy, owners: tuple[ProxyUser, ...]
) -> None:
    async with make_proxy(PATIENT, users=owners) as proxy, await proxy.connect(**AS_OWNER) as owner:
        await owner.execute("CREATE DATABASE seed")
        for name in ("seed", "template1"):
            async with await proxy.connect(dbname=name, **AS_OWNER) as visitor:
                await visitor.execute("SELECT 1")
        async with await proxy.connect(dbname="seed", **AS_OWNER) as idle:
            await idle.execute("CREATE TABLE planted (n int)")
            await owner.execute("CREATE DATABASE copy TEMPLATE seed")
        async with await proxy.connect(dbname="copy", **AS_OWNER) as visitor:
            copied = await one(visitor, "SELECT to_regclass('planted') IS NOT NULL")
        await owner.execute("ALTER DATABASE copy RENAME TO renamed")
        async with await proxy.connect(dbname="renamed", **AS_OWNER) as visitor:
            await visitor.execute("SELECT 1")
        await owner.execute("DROP DATABASE renamed")
        await owner.execute("DROP DATABASE seed")
        left = await one(owner, "SELECT count(*) FROM pg_database WHERE datname IN ('seed', 'copy', 'renamed')")

        assert copied is True
        assert left == 0


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["restart", "crash"])
async def test_clients_outside_a_transaction_live_through_a_restart_and_others_are_told(
    make_proxy: MakeProxy, server: Server, how: signal.Signals
) -> None:
    async with make_proxy(PATIENT) as proxy:
        idle = [await proxy.connect() for _ in range(5)]
        inside = await proxy.connect()
        for client in idle:
            await client.execute("SELECT 1")
        await inside.execute("BEGIN")
        await inside.execute("SELECT 1")

        await asyncio.to_thread(server.stop, how)
        asking = [asyncio.create_task(one(client, "SELECT 1")) for client in idle]
        newcomer = asyncio.create_task(proxy.connect())
        with pytest.raises(psycopg.OperationalError):
            await inside.execute("SELECT 1")
        await proxy.until(lambda: proxy.proxy.snapshot().waiting >= len(asking))
        await asyncio.to_thread(server.start)
        async with asyncio.timeout(WITHIN_S):
            answers = await asyncio.gather(*asking)
            served = await one(await newcomer, "SELECT 1")
        for client in (*idle, await newcomer):
            await client.close()

    assert answers == [1] * 5
    assert served == 1


async def test_while_the_database_stays_away_clients_are_told_after_the_borrow_timeout_and_go_on(
    make_proxy: MakeProxy, server: Server
) -> None:
    async with make_proxy(ProxySettings(connection_borrow_timeout_s=2.0)) as proxy, await proxy.connect() as client:
        await client.execute("SELECT 1")
        await asyncio.to_thread(server.stop)
        try:
            with pytest.raises(psycopg.OperationalError, match="no database connection became free") as told:
                await client.execute("SELECT 1")
        finally:
            await asyncio.to_thread(server.start)
        answer = await _until_served(client)

    assert told.value.sqlstate == "08001"
    assert "The last attempt to connect failed" in str(told.value.diag.message_detail)
    assert answer == 1


async def test_a_flood_that_comes_while_the_database_is_away_is_served_once_it_is_back(
    make_proxy: MakeProxy, server: Server
) -> None:
    five = ProxySettings(max_connections_percent=30, connection_borrow_timeout_s=WITHIN_S)
    async with make_proxy(five) as proxy:
        await asyncio.to_thread(server.stop)

        async def visit(number: int) -> int:
            async with await proxy.connect(sslmode="disable") as client:
                return int(await one(client, f"SELECT {number}"))

        try:
            visits = [asyncio.create_task(visit(number)) for number in range(FLOOD)]
            await proxy.until(lambda: proxy.proxy.snapshot().waiting == FLOOD)
        finally:
            await asyncio.to_thread(server.start)
        async with asyncio.timeout(WITHIN_S):
            answers = await asyncio.gather(*visits)
        snapshot = proxy.proxy.snapshot()

    assert answers == list(range(FLOOD))
    assert snapshot.database_connections <= 5
    assert snapshot.counters.borrow_timeouts == 0


async def test_a_database_that_moves_is_followed_by_a_reload_and_clients_stay(
    make_proxy: MakeProxy, server: Server
) -> None:
    old = DatabaseServer("main", "127.0.0.1", server.port)
    new = DatabaseServer("main", "localhost", server.port)
    extra = DatabaseServer("extra", "127.0.0.1", server.port)
    databases = (ProxiedDatabase("*", "extra"), ProxiedDatabase("gone", "main", real_name=DATABASE))
    async with make_proxy(PATIENT, servers=(old, extra), databases=databases) as proxy:
        config = proxy.proxy.config
        moving, leaving = await proxy.connect(), await proxy.connect(dbname="gone")
        await moving.execute("SELECT 1")
        await leaving.execute("SELECT 1")

        proxy.proxy.reload(replace(config, servers=(new,), databases=(ProxiedDatabase("*", "main"),)))
        proxy.proxy.reload(replace(config, servers=(new,), databases=(ProxiedDatabase(DATABASE, "main"),)))
        answer = await one(moving, "SELECT 1")
        with pytest.raises(errors.InvalidCatalogName, match='database "gone" does not exist'):
            await leaving.execute("SELECT 1")
        async with await proxy.connect(dbname="workshape") as console:
            await _until_targets(console, ["main"])
            rows = await (await console.execute("SHOW TARGETS")).fetchall()
        await moving.close()

    assert answer == 1
    assert [row[1] for row in rows] == [f"localhost:{server.port}"]


async def test_a_server_process_that_answers_no_more_is_found_out_while_it_is_idle(
    make_proxy: MakeProxy, server: Server
) -> None:
    settings = ProxySettings(connection_borrow_timeout_s=WITHIN_S, connection_check_s=0.1)
    async with make_proxy(settings) as proxy, await proxy.connect() as client:
        backend = await one(client, "SELECT pg_backend_pid()")
        kept = await one(client, "SELECT pg_backend_pid()")
        sent = server.run(_ASKED.format(backend))
        await proxy.until(lambda: server.run(_ASKED.format(backend)) != sent)
        after_checks = await one(client, "SELECT pg_backend_pid()")
        with frozen(backend):
            await proxy.until(lambda: proxy.proxy.snapshot().database_connections == 0)
            async with asyncio.timeout(WITHIN_S):
                other = await one(client, "SELECT pg_backend_pid()")

    assert backend == kept == after_checks
    assert other != backend


_ASKED = "SELECT query_start FROM pg_stat_activity WHERE pid = {}"


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Let a process run no more, for a while: from outside, a network that drops everything."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def _until_served(client: psycopg.AsyncConnection[Any]) -> Any:
    while True:
        try:
            return await one(client, "SELECT 1")
        except errors.SqlclientUnableToEstablishSqlconnection:
            await asyncio.sleep(0.05)


async def _until_targets(console: psycopg.AsyncConnection[Any], names: list[str]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while [row[0] for row in await (await console.execute("SHOW TARGETS")).fetchall()] != names:
            await asyncio.sleep(0.02)
