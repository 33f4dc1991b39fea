"""The admin console through real drivers: what it shows, and what it does to clients and connections."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import psycopg
import pytest
from psycopg.rows import dict_row

from tests.integration.pgproxy.conftest import PASSWORD, USER, MakeProxy, Proxy
from workshape.settings import ProxySettings

ADMINISTRATED = {"administrators": (USER,)}


@asynccontextmanager
async def console_of(proxy: Proxy, **options: str) -> AsyncIterator[psycopg.AsyncConnection[dict[str, Any]]]:
    url = proxy.url(dbname="workshape", **options)
    async with await psycopg.AsyncConnection.connect(url, autocommit=True, row_factory=dict_row) as console:
        yield console


async def rows_of(console: psycopg.AsyncConnection[dict[str, Any]], command: bytes) -> list[dict[str, Any]]:
    return await (await console.execute(command)).fetchall()


async def test_it_shows_who_holds_what_and_every_pin(make_proxy: MakeProxy) -> None:
    async with make_proxy() as proxy, await proxy.connect(application_name="search") as client:
        await client.execute("LISTEN news")
        async with console_of(proxy) as console:
            clients = await rows_of(console, b"SHOW CLIENTS")
            servers = await rows_of(console, b"SHOW SERVERS")
            pools = await rows_of(console, b"SHOW POOLS")
            pins = await rows_of(console, b"SHOW PINS")
            latency = await rows_of(console, b"SHOW LATENCY")

    holder, admin = clients
    assert (holder["application"], holder["state"], holder["pins"]) == ("search", "active", 1)
    assert admin["state"] == "admin"
    assert [(one["state"], one["client"], one["in_transaction"]) for one in servers] == [("lent", holder["id"], "no")]
    assert servers[0]["pid"] > 0
    assert [(one["clients"], one["lent"], one["pinned"], one["waiting"]) for one in pools] == [(1, 1, 1, 0)]
    assert [(one["client"], one["reason"], one["statement"]) for one in pins] == [
        (holder["id"], "LISTEN", "LISTEN news")
    ]
    assert latency[-1]["borrows"] >= 1
    assert latency[-1]["responses"] == latency[-1]["database_responses"] >= 1


async def test_any_driver_may_ask(make_proxy: MakeProxy) -> None:
    async with make_proxy() as proxy:
        connection = await asyncpg.connect(
            host="127.0.0.1", port=proxy.port, user=USER, password=PASSWORD, database="workshape", ssl=False
        )
        try:
            described = await connection.fetch("SHOW HELP")
            version = await connection.fetchval("SHOW VERSION")
        finally:
            await connection.close()
        async with await psycopg.AsyncConnection.connect(proxy.url(dbname="workshape")) as in_transaction:
            config = await (await in_transaction.execute("SHOW CONFIG")).fetchall()

    assert {"SHOW POOLS", "SHOW PINS", "PAUSE [database]"} <= {row["command"] for row in described}
    assert version.startswith("workshape ")
    assert ("connection_borrow_timeout_s", "5.0") in config


async def test_pause_waits_for_transactions_and_holds_clients_until_resume(make_proxy: MakeProxy) -> None:
    async with (
        make_proxy(**ADMINISTRATED) as proxy,
        console_of(proxy) as console,
        console_of(proxy) as second,
        await proxy.connect() as client,
        await proxy.connect() as late,
    ):
        async with client.transaction():
            await client.execute("SELECT 1")
            pausing = asyncio.create_task(console.execute("PAUSE"))
            while all(one["paused"] == "no" for one in await rows_of(second, b"SHOW DATABASES")):
                await asyncio.sleep(0.01)
            was_waiting = not pausing.done()
            held = asyncio.create_task(late.execute("SELECT 2"))
            await proxy.until(lambda: proxy.proxy.snapshot().waiting == 1)
        await asyncio.wait_for(pausing, 10)
        await proxy.until(lambda: proxy.server.connections() == 0)
        was_held = not held.done()
        await second.execute("RESUME")
        answered = await (await asyncio.wait_for(held, 10)).fetchone()

    assert was_waiting
    assert was_held
    assert answered == (2,)


async def test_reconnect_replaces_connections_without_dropping_a_client(make_proxy: MakeProxy) -> None:
    async with make_proxy(**ADMINISTRATED) as proxy, console_of(proxy) as console, await proxy.connect() as client:
        async with client.transaction():
            before = await (await client.execute("SELECT pg_backend_pid()")).fetchone()
            await console.execute("RECONNECT")
            during = await (await client.execute("SELECT pg_backend_pid()")).fetchone()
        after = await (await client.execute("SELECT pg_backend_pid()")).fetchone()

    assert before == during
    assert after != before


async def test_kill_ends_one_client_and_says_why(make_proxy: MakeProxy) -> None:
    async with make_proxy(**ADMINISTRATED) as proxy, console_of(proxy) as console, await proxy.connect() as client:
        await client.execute("SELECT 1")
        [number] = [one["id"] for one in await rows_of(console, b"SHOW CLIENTS") if one["state"] != "admin"]
        await console.execute(f"KILL_CLIENT {number}".encode())
        with pytest.raises(psycopg.errors.AdminShutdown, match="administrator command"):
            await client.execute("SELECT 1")
        with pytest.raises(psycopg.errors.UndefinedObject, match="no client"):
            await console.execute(f"KILL_CLIENT {number}".encode())
        left = await rows_of(console, b"SHOW CLIENTS")

    assert [one["state"] for one in left] == ["admin"]


async def test_who_is_no_administrator_may_only_look(make_proxy: MakeProxy) -> None:
    async with make_proxy(administrators=("stranger",)) as proxy, console_of(proxy) as console:
        for command in (b"PAUSE", b"RESUME", b"RECONNECT", b"KILL_CLIENT 1", b"RELOAD", b"SHUTDOWN"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="may look"):
                await console.execute(command)
        shown = await rows_of(console, b"SHOW STATS")

    assert {"ClientConnections", "QueryRequests"} <= {row["figure"] for row in shown}


async def test_shutdown_lets_clients_finish_and_admits_nobody(make_proxy: MakeProxy) -> None:
    async with make_proxy(**ADMINISTRATED) as proxy, console_of(proxy) as console, await proxy.connect() as client:
        await console.execute("SHUTDOWN WAIT_FOR_CLIENTS")
        ending = asyncio.create_task(proxy.proxy.wait_ended())
        with pytest.raises(psycopg.OperationalError, match="refused"):
            await proxy.connect()
        finished = await (await client.execute("SELECT 2")).fetchone()
        had_ended = ending.done()
        await client.close()
        await asyncio.wait_for(ending, 10)

    assert finished == (2,)
    assert not had_ended


async def test_without_a_name_for_it_there_is_no_console(make_proxy: MakeProxy) -> None:
    async with make_proxy(ProxySettings(admin_database="")) as proxy:
        with pytest.raises(psycopg.OperationalError, match='database "workshape" does not exist'):
            async with console_of(proxy):
                pass


async def test_a_command_without_end_is_not_kept(make_proxy: MakeProxy) -> None:
    async with make_proxy() as proxy, console_of(proxy) as console:
        with pytest.raises(psycopg.OperationalError, match="invalid length"):
            await console.execute(b"SHOW POOLS" + b" " * 70_000)
        async with console_of(proxy) as other:
            clients = await rows_of(other, b"SHOW CLIENTS")

    assert len(clients) == 1
