"""Session and statement pooling, where they are asked for."""

from typing import Any

import psycopg
import pytest
from psycopg import errors

from tests.integration.pgproxy.conftest import DATABASE, PASSWORD, USER, MakeProxy
from workshape.pgproxy.config import ProxyUser
from workshape.pgproxy.pins import PinReason
from workshape.pgproxy.routes import ProxiedDatabase
from workshape.settings import PoolMode, ProxySettings

ONE = ProxySettings(max_connections_percent=6, connection_borrow_timeout_s=2.0, pool_mode=PoolMode.SESSION)
STATEMENT = ProxySettings(max_connections_percent=6, connection_borrow_timeout_s=5.0, pool_mode=PoolMode.STATEMENT)


async def one(client: psycopg.AsyncConnection[Any], sql: str) -> Any:
    row = await (await client.execute(sql.encode())).fetchone()
    return None if row is None else row[0]


async def test_in_session_mode_a_client_keeps_its_connection_until_it_leaves_and_the_next_gets_it_as_new(
    make_proxy: MakeProxy,
) -> None:
    async with make_proxy(ONE) as proxy:
        first = await proxy.connect()
        second = await proxy.connect()

        await first.execute("SET statement_timeout = 12345")
        await first.execute("DISCARD ALL")
        await first.execute("CREATE TEMPORARY TABLE mine (n int)")
        backend = await one(first, "SELECT pg_backend_pid()")
        with pytest.raises(errors.TooManyConnections):
            await second.execute("SELECT 1")
        pins = proxy.proxy.snapshot().pins
        kept = await one(first, "SELECT to_regclass('pg_temp.mine') IS NOT NULL")
        await first.close()
        await proxy.until(lambda: proxy.proxy.snapshot().databases.borrowed == 0)
        seen = await one(second, "SELECT to_regclass('pg_temp.mine') IS NOT NULL")
        same = await one(second, "SELECT pg_backend_pid()")
        await second.close()

        assert (kept, seen) == (True, False)
        assert backend == same
        assert {pin.reason for pin in pins} == {PinReason.SESSION_MODE.value, PinReason.TEMPORARY.value}


async def test_in_statement_mode_a_transaction_is_refused_and_rolled_back_and_statements_go_on(
    make_proxy: MakeProxy,
) -> None:
    async with make_proxy(STATEMENT) as proxy, await proxy.connect() as other:
        await other.execute("CREATE TABLE kept (n int)")
        client = await proxy.connect()
        await client.execute("INSERT INTO kept VALUES (1)")
        with pytest.raises(psycopg.OperationalError, match="transaction blocks not allowed") as refusal:
            await client.execute("BEGIN; INSERT INTO kept VALUES (2)")
        async with await proxy.connect() as again:
            with pytest.raises(psycopg.OperationalError, match="transaction blocks not allowed"):
                await again.execute("BEGIN")
        count = await one(other, "SELECT count(*) FROM kept")
        await other.execute("DROP TABLE kept")

        assert count == 1
        assert refusal.value.sqlstate == "08P01"


async def test_a_user_may_have_a_mode_of_its_own(make_proxy: MakeProxy) -> None:
    users = (ProxyUser(USER, PASSWORD), ProxyUser("postgres", PASSWORD, PoolMode.SESSION))
    async with make_proxy(users=users) as proxy, await proxy.connect() as plain, await proxy.connect(user="postgres"):
        async with await proxy.connect(user="postgres") as owner:
            await owner.execute("SELECT 1")
            await plain.execute("SELECT 1")
            borrowed = proxy.proxy.snapshot().databases.borrowed

        assert borrowed == 2, "those of both clients in session mode: a log-in that asked the server keeps what it got"


async def test_a_database_has_no_more_connections_than_its_own_limit(make_proxy: MakeProxy) -> None:
    databases = (
        ProxiedDatabase("small", "main", real_name=DATABASE, connections_max=1),
        ProxiedDatabase("*", "main"),
    )
    settings = ProxySettings(connection_borrow_timeout_s=2.0)
    async with make_proxy(settings, databases=databases) as proxy, await proxy.connect(dbname="small") as holder:
        waiter = await proxy.connect(dbname="small")
        await holder.execute("BEGIN")
        with pytest.raises(errors.TooManyConnections):
            await waiter.execute("SELECT 1")
        async with await proxy.connect() as other:
            answer = await one(other, "SELECT 1")
        await holder.execute("COMMIT")
        served = await one(waiter, "SELECT 1")
        await waiter.close()

        assert (answer, served) == (1, 1)
