"""Several databases behind one proxy: who comes where, and what each server may take."""

import psycopg
import pytest

from tests.integration.pgproxy.conftest import DATABASE, PASSWORD, USER, MakeProxy, Server
from workshape.pgproxy.config import DatabaseServer, ProxyUser
from workshape.pgproxy.routes import ProxiedDatabase


async def test_clients_come_to_the_database_that_the_name_they_ask_for_stands_for(
    make_proxy: MakeProxy, server: Server
) -> None:
    here = DatabaseServer("here", "127.0.0.1", server.port)
    there = DatabaseServer("there", "localhost", server.port)
    databases = (
        ProxiedDatabase("shop", "here", real_name=DATABASE),
        ProxiedDatabase("reports", "there", real_name="postgres"),
    )
    async with make_proxy(servers=(here, there), databases=databases) as proxy:
        answers = []
        for name in ("shop", "reports"):
            async with await proxy.connect(dbname=name) as client:
                answers.append(await (await client.execute("SELECT current_database()")).fetchone())
        with pytest.raises(psycopg.OperationalError, match='database "other" does not exist'):
            await proxy.connect(dbname="other")
        async with await proxy.connect(dbname="workshape") as console:
            servers = await (await console.execute("SHOW SERVERS")).fetchall()
            shown = await (await console.execute("SHOW DATABASES")).fetchall()
        snapshot = proxy.proxy.snapshot()

    assert answers == [(DATABASE,), ("postgres",)]
    assert [row[:5] for row in shown] == [
        ("shop", "here", "", DATABASE, "transaction"),
        ("reports", "there", "", "postgres", "transaction"),
    ]
    assert sorted((row[1], row[4]) for row in servers) == [("here", "shop"), ("there", "reports")]
    assert len({row[0] for row in servers}) == 2, "connections are numbered through"
    assert snapshot.database_connections == 2


async def test_a_database_may_have_one_user_for_all_its_clients(make_proxy: MakeProxy, server: Server) -> None:
    users = (ProxyUser(USER, PASSWORD), ProxyUser("postgres", PASSWORD))
    databases = (ProxiedDatabase("shared", "main", real_name=DATABASE, user=USER), ProxiedDatabase("*", "main"))
    async with make_proxy(users=users, databases=databases, administrators=("postgres",)) as proxy:
        async with await proxy.connect(dbname="shared", user="postgres") as client:
            whom = await (await client.execute("SELECT session_user")).fetchone()
            async with await proxy.connect(dbname="workshape", user="postgres") as console:
                shown = await (await console.execute("SHOW CLIENTS")).fetchall()
        async with await proxy.connect(dbname="shared") as other:
            await other.execute("SELECT 1")
        connections = proxy.proxy.snapshot().database_connections

    assert whom == (USER,)
    assert {row[1] for row in shown} == {"postgres"}
    assert connections == 1, "they share what is opened as one user"
