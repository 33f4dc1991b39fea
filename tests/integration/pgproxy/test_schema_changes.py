"""Prepared statements that many clients share, when the schema changes under them."""

import asyncpg
import pytest

from tests.integration.pgproxy.conftest import DATABASE, PASSWORD, USER, MakeProxy, Proxy
from workshape.settings import ProxySettings


async def client_of(proxy: Proxy) -> asyncpg.Connection:
    return await asyncpg.connect(
        host="127.0.0.1", port=proxy.port, user=USER, password=PASSWORD, database=DATABASE, ssl=False
    )


async def test_the_same_text_is_analysed_anew_after_its_table_is_another(make_proxy: MakeProxy) -> None:
    async with make_proxy() as proxy:
        first, second = await client_of(proxy), await client_of(proxy)
        try:
            await first.execute("CREATE TABLE changing (v int)")
            await first.execute("INSERT INTO changing VALUES ($1)", 1)
            await second.execute("DROP TABLE changing")
            await second.execute("CREATE TABLE changing (v text)")
            await second.execute("INSERT INTO changing VALUES ($1)", "one")
            stored = await second.fetchval("SELECT v FROM changing")
        finally:
            await second.execute("DROP TABLE IF EXISTS changing")
            await first.close()
            await second.close()

    assert stored == "one"


async def test_who_prepared_before_is_told_once_and_prepares_again(make_proxy: MakeProxy) -> None:
    async with make_proxy(ProxySettings(max_connections_percent=1)) as proxy:
        clients = [await client_of(proxy) for _ in range(3)]
        try:
            await clients[0].execute("CREATE TABLE widening (a int)")
            await clients[0].execute("INSERT INTO widening VALUES (1)")
            for client in clients:
                await client.fetchrow("SELECT * FROM widening")
            # By hand at the server: the proxy does not see it.
            proxy.server.run("ALTER TABLE widening ALTER COLUMN a TYPE text")
            told = 0
            for client in clients:
                async with client.transaction():
                    try:
                        await client.fetchrow("SELECT * FROM widening")
                    except asyncpg.InvalidCachedStatementError:
                        told += 1
            rows = [await client.fetchrow("SELECT * FROM widening") for client in clients]
        finally:
            await clients[0].execute("DROP TABLE IF EXISTS widening")
            for client in clients:
                await client.close()

    assert told == 3
    assert [row["a"] for row in rows if row is not None] == ["1", "1", "1"]


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
async def test_a_change_counts_from_the_end_of_its_transaction(make_proxy: MakeProxy, end: str) -> None:
    async with make_proxy() as proxy:
        changing, other = await client_of(proxy), await client_of(proxy)
        try:
            await changing.execute("CREATE TABLE slow (v int)")
            await changing.execute("BEGIN; ALTER TABLE slow ADD COLUMN w int")
            await changing.execute(end)
            columns = len(await (await other.prepare("SELECT * FROM slow")).fetch()) or len(
                (await other.prepare("SELECT * FROM slow")).get_attributes()
            )
        finally:
            await changing.execute("DROP TABLE IF EXISTS slow")
            await changing.close()
            await other.close()

    assert columns == (2 if end == "COMMIT" else 1)
