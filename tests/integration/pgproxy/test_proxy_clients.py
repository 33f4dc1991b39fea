"""Real drivers through the proxy: what they do directly they do here."""

import asyncio
import os
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest
from psycopg import errors

from tests.fakes.javascript import javascript_project, javascript_tool
from tests.integration.pgproxy.conftest import DATABASE, PASSWORD, USER, MakeProxy, Proxy
from workshape.pgproxy.tls import ensure_certificates
from workshape.settings import ProxySettings

FEW = ProxySettings(max_connections_percent=30, connection_borrow_timeout_s=10.0)  # 5 of 17


async def by_asyncpg(proxy: Proxy, **options: Any) -> Any:
    return await asyncpg.connect(
        host="127.0.0.1", port=proxy.port, user=USER, password=PASSWORD, database=DATABASE, **options
    )


async def test_simple_and_extended_queries_answer_as_directly(make_proxy: MakeProxy) -> None:
    async with make_proxy() as proxy, await proxy.connect() as client:
        simple = await client.execute("SELECT 1; SELECT 'two'")
        await simple.fetchall()
        more = simple.nextset()
        extended = await client.execute("SELECT %s::int + 1, %s::text", (41, "x"))

        assert more
        assert await simple.fetchall() == [("two",)]
        assert await extended.fetchall() == [(42, "x")]


async def test_an_error_leaves_the_session_usable(make_proxy: MakeProxy) -> None:
    async with make_proxy() as proxy, await proxy.connect() as client:
        with pytest.raises(errors.DivisionByZero):
            await client.execute("SELECT 1/%s", (0,))
        with pytest.raises(errors.SyntaxError):
            await client.execute("SELEKT 1", prepare=True)
        with pytest.raises(errors.SyntaxError):
            await client.execute("SELEKT 1", prepare=True)

        assert await (await client.execute("SELECT 1")).fetchone() == (1,)


async def test_pipelines_keep_their_order_and_their_errors(make_proxy: MakeProxy) -> None:
    async with make_proxy() as proxy, await proxy.connect() as client:
        async with client.pipeline():
            cursors = [await client.execute("SELECT %s::int", (n,)) for n in range(50)]
        answers = [await cursor.fetchone() for cursor in cursors]
        with pytest.raises(errors.DivisionByZero):
            await _fail_in_a_pipeline(client)

        assert answers == [(n,) for n in range(50)]
        assert await (await client.execute("SELECT %s::int", (7,))).fetchone() == (7,)


async def test_prepared_statements_follow_their_client_over_connections(make_proxy: MakeProxy) -> None:
    async with make_proxy(FEW) as proxy:
        clients = [await proxy.connect() for _ in range(12)]

        async def ask(client: psycopg.AsyncConnection[Any], n: int) -> None:
            for m in range(20):
                cursor = await client.execute("SELECT %s::int * %s::int", (n, m), prepare=True)
                assert await cursor.fetchone() == (n * m,)

        await asyncio.gather(*(ask(client, n) for n, client in enumerate(clients)))

        snapshot = proxy.proxy.snapshot()
        assert snapshot.pinned == 0
        assert snapshot.database_connections <= 5
        for client in clients:
            await client.close()


async def test_psycopg_may_deallocate_what_it_prepared(make_proxy: MakeProxy) -> None:
    async with make_proxy() as proxy, await proxy.connect() as client:
        client.prepared_max = 2

        for n in range(10):
            cursor = await client.execute(f"SELECT {n} + %s::int", (1,), prepare=True)
            assert await cursor.fetchone() == (n + 1,)
        await client.execute("DEALLOCATE ALL")

        assert await (await client.execute("SELECT 5 + %s::int", (1,), prepare=True)).fetchone() == (6,)


async def test_copy_goes_both_ways_in_text_and_by_both_protocols(make_proxy: MakeProxy) -> None:
    async with make_proxy() as proxy, await proxy.connect() as client:
        await client.execute("CREATE TABLE copied (n int, t text)")
        async with client.cursor() as cursor:
            async with cursor.copy("COPY copied FROM STDIN") as copy:
                for n in range(20_000):
                    await copy.write_row((n, "x" * (n % 50)))
            with pytest.raises(errors.InvalidTextRepresentation):
                await _copy(cursor, "not a number\n" * 5_000)
            with pytest.raises(ZeroDivisionError):
                await _copy(cursor, "1\tx\n", ZeroDivisionError())
            async with cursor.copy("COPY copied TO STDOUT") as copy:
                size = sum([len(row) async for row in copy])
        other = await by_asyncpg(proxy)
        await other.copy_records_to_table("copied", records=[(n, "y") for n in range(100)])
        count = await other.fetchval("SELECT count(*) FROM copied")
        await other.close()
        await client.execute("DROP TABLE copied")

        assert count == 20_100
        assert size > 20_000
        assert proxy.proxy.snapshot().databases.borrowed == 0


async def test_asyncpg_uses_cursors_transactions_and_its_statement_cache(make_proxy: MakeProxy) -> None:
    async with make_proxy(FEW) as proxy:
        pool = await asyncpg.create_pool(
            host="127.0.0.1", port=proxy.port, user=USER, password=PASSWORD, database=DATABASE, min_size=8, max_size=8
        )

        async def ask(n: int) -> None:
            async with pool.acquire() as client, client.transaction():
                rows = [row[0] async for row in client.cursor("SELECT generate_series(1, $1::int)", n)]
                assert rows == list(range(1, n + 1))

        await asyncio.gather(*(ask(n) for n in range(1, 40)))
        pinned = proxy.proxy.snapshot().pinned
        await pool.close()

        assert pinned == 0


async def test_asyncpg_without_a_cache_finds_its_unnamed_statement_on_any_connection(make_proxy: MakeProxy) -> None:
    async with make_proxy(FEW) as proxy:
        clients = [await by_asyncpg(proxy, statement_cache_size=0) for _ in range(10)]

        async def ask(client: Any, n: int) -> None:
            for _ in range(10):
                assert await client.fetchval("SELECT $1::int", n) == n

        await asyncio.gather(*(ask(client, n) for n, client in enumerate(clients)))
        for client in clients:
            await client.close()


async def test_a_running_and_a_waiting_statement_can_be_cancelled(make_proxy: MakeProxy) -> None:
    one = ProxySettings(max_connections_percent=6, connection_borrow_timeout_s=20.0)
    async with make_proxy(one) as proxy, await proxy.connect() as first, await proxy.connect() as second:
        running = asyncio.create_task(first.execute("SELECT pg_sleep(20)"))
        await proxy.until(lambda: proxy.proxy.snapshot().databases.borrowed == 1)
        waiting = asyncio.create_task(second.execute("SELECT 2"))
        await proxy.until(lambda: proxy.proxy.snapshot().waiting == 1)

        await second.cancel_safe()
        with pytest.raises(errors.QueryCanceled):
            await waiting
        await proxy.until(lambda: proxy.server.runs("pg_sleep(20)"))
        await first.cancel_safe()
        with pytest.raises(errors.QueryCanceled):
            await running

        assert await (await second.execute("SELECT 3")).fetchone() == (3,)
        assert await (await first.execute("SELECT 4")).fetchone() == (4,)


async def test_tls_is_verified_in_full_with_our_ca_and_channel_binding_holds(make_proxy: MakeProxy) -> None:
    async with make_proxy(tls_required=True) as proxy:
        ca = str(proxy.certificates.ca)
        verified = await proxy.connect(sslmode="verify-full", sslrootcert=ca, channel_binding="require")
        row = await (await verified.execute("SELECT 1")).fetchone()
        encrypted = proxy.proxy.snapshot().clients.connections_tls
        await verified.close()
        with pytest.raises(psycopg.OperationalError, match="TLS is required"):
            await proxy.connect(sslmode="disable")
        with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
            await proxy.connect(sslmode="verify-full", sslrootcert=str(_another_ca(proxy.certificates.ca)))

        assert row == (1,)
        assert encrypted == 1


async def test_a_wrong_password_and_an_unknown_user_are_refused_alike(make_proxy: MakeProxy) -> None:
    async with make_proxy() as proxy:
        with pytest.raises(psycopg.OperationalError) as wrong:
            await proxy.connect(password="wrong")
        with pytest.raises(psycopg.OperationalError) as unknown:
            await proxy.connect(user="nobody_known")

        assert 'password authentication failed for user "app"' in str(wrong.value)
        assert 'password authentication failed for user "nobody_known"' in str(unknown.value)


async def test_what_the_database_refuses_at_log_in_is_told_to_the_client(make_proxy: MakeProxy) -> None:
    async with make_proxy() as proxy:
        with pytest.raises(psycopg.OperationalError, match='database "missing" does not exist'):
            await proxy.connect(dbname="missing")
        with pytest.raises(psycopg.OperationalError, match='password authentication failed for user "stranger"'):
            await proxy.connect(user="stranger", password="x")


async def test_start_up_parameters_and_tracked_variables_stay_with_their_client(make_proxy: MakeProxy) -> None:
    one = ProxySettings(max_connections_percent=6, connection_borrow_timeout_s=5.0)
    async with (
        make_proxy(one) as proxy,
        await proxy.connect(application_name="first") as first,
        await proxy.connect(application_name="second") as second,
    ):
        await first.execute("SET TimeZone = 'Asia/Tokyo'")
        await first.execute("SET search_path = pg_catalog, public")
        await second.execute("SELECT set_config('DateStyle', 'German', false)")
        shown = (
            "SELECT current_setting('application_name'), current_setting('TimeZone'), current_setting('search_path')"
        )
        shown += ", current_setting('DateStyle')"
        of_first = await (await first.execute(shown)).fetchone()
        of_second = await (await second.execute(shown)).fetchone()

        assert of_first is not None
        assert of_second is not None
        assert of_first[:3] == ("first", "Asia/Tokyo", "pg_catalog, public")
        assert of_second[0] == "second"
        assert of_second[1] != "Asia/Tokyo"
        assert of_second[2] == '"$user", public'
        assert of_second[3].startswith("German")
        assert of_first[3].startswith("ISO")
        assert first.info.timezone.key == "Asia/Tokyo"  # type: ignore[attr-defined] # a ZoneInfo
        assert proxy.proxy.snapshot().pinned == 0


async def test_a_variable_set_in_a_transaction_that_is_rolled_back_is_not_carried(make_proxy: MakeProxy) -> None:
    async with make_proxy() as proxy, await proxy.connect() as client:
        before = await (await client.execute("SHOW TimeZone")).fetchone()
        await client.execute("BEGIN; SET TimeZone = 'Asia/Tokyo'")
        await client.execute("ROLLBACK")

        assert await (await client.execute("SHOW TimeZone")).fetchone() == before


NODE_CLIENT = """
const { Client, Pool } = require('pg');
const fs = require('fs');
(async () => {
  const ssl = { ca: fs.readFileSync(process.env.CA).toString() };
  const pools = Array.from({ length: 20 }, () => new Pool({ max: 1, idleTimeoutMillis: 0, ssl }));
  const answers = await Promise.all(pools.map(async (pool, n) => {
    const one = await pool.query('select $1::int as n', [n]);
    const two = await pool.query({ name: 'twice', text: 'select $1::int * 2 as n', values: [n] });
    const three = await pool.query({ name: 'twice', text: 'select $1::int * 2 as n', values: [n + 1] });
    return one.rows[0].n + two.rows[0].n + three.rows[0].n;
  }));
  await Promise.all(pools.map(pool => pool.end()));
  console.log(JSON.stringify(answers));
})().catch(error => { console.error(error); process.exit(1); });
"""


async def test_node_postgres_pools_of_one_share_few_connections_over_verified_tls(make_proxy: MakeProxy) -> None:
    modules = (await asyncio.to_thread(javascript_project)) / "node_modules"
    async with make_proxy(FEW, tls_required=True) as proxy:
        environment = {
            "PGHOST": "localhost",
            "PGPORT": str(proxy.port),
            "PGUSER": USER,
            "PGPASSWORD": PASSWORD,
            "PGDATABASE": DATABASE,
            "CA": str(proxy.certificates.ca),
            "NODE_PATH": str(modules),
        }
        process = await asyncio.create_subprocess_exec(
            javascript_tool("node"),
            "-e",
            NODE_CLIENT,
            env={**os.environ, **environment},
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await asyncio.wait_for(process.communicate(), 60)

        assert process.returncode == 0
        assert output.decode().strip() == str([5 * n + 2 for n in range(20)]).replace(" ", "")
        assert proxy.proxy.snapshot().database_connections <= 5


async def _fail_in_a_pipeline(client: psycopg.AsyncConnection[Any]) -> None:
    async with client.pipeline() as pipeline:
        await client.execute("SELECT 1/%s", (0,))
        await client.execute("SELECT %s::int", (1,))
        await pipeline.sync()


async def _copy(cursor: psycopg.AsyncCursor[Any], data: str, then: Exception | None = None) -> None:
    async with cursor.copy("COPY copied FROM STDIN") as copy:
        await copy.write(data)
        if then is not None:
            raise then


def _another_ca(ca: Path) -> Path:
    """A CA that signed nothing of ours."""
    return ensure_certificates(ca.parent / "another").ca


async def test_who_listens_hears_who_notified_by_the_id_that_one_was_given(make_proxy: MakeProxy) -> None:
    async with make_proxy() as proxy, await proxy.connect() as listener, await proxy.connect() as notifier:
        await listener.execute("LISTEN news")
        await notifier.execute("NOTIFY news")
        await listener.execute("NOTIFY news")
        heard = [notify.pid async for notify in listener.notifies(timeout=30, stop_after=2)]
        given = [notifier.info.backend_pid, listener.info.backend_pid]

    assert heard == given
