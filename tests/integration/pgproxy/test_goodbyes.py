"""Clients that leave: what they asked for is run, what they did not finish is not kept."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.integration.pgproxy.conftest import USER, MakeProxy, Server
from tests.integration.pgproxy.test_hostile_clients import Raw
from workshape.pgproxy import messages
from workshape.pgproxy.messages import message, query
from workshape.settings import ProxySettings

ONE_CONNECTION = ProxySettings(max_connections_percent=6, connection_borrow_timeout_s=20.0)
TERMINATE = message(messages.TERMINATE)
BATCH = (
    messages.parse(b"", b"INSERT INTO goodbyes VALUES (1)\0\0\0")
    + message(messages.BIND, b"\0\0\0\0\0\0\0\0")
    + message(messages.EXECUTE, b"\0\0\0\0\0")
)
SYNC, FLUSH = message(messages.SYNC), message(messages.FLUSH)


@pytest.fixture(autouse=True)
def table(server: Server) -> Iterator[None]:
    server.run("CREATE TABLE goodbyes (n int)")
    server.run(f"GRANT ALL ON goodbyes TO {USER}")
    yield
    server.run("DROP TABLE goodbyes")


async def rows_after(make_proxy: MakeProxy, said: bytes, *, hears: int = 0, vanishes: bool = False) -> tuple[int, int]:
    """How many rows there are when a client has said that and left, and how many connections: of one at most."""
    async with make_proxy(ONE_CONNECTION) as proxy:
        raw = Raw(proxy, *await asyncio.open_connection("127.0.0.1", proxy.port))
        await raw.logged_in(said)
        for _ in range(hears):
            await raw.hear()
        if vanishes:
            raw.vanish()
        else:
            await raw.last_words()
            raw.writer.close()
        async with await proxy.connect() as client:
            rows = await (await client.execute("SELECT count(*) FROM goodbyes")).fetchone()
        assert rows is not None
        return rows[0], proxy.proxy.snapshot().database_connections


@pytest.mark.parametrize(
    "said",
    [query("INSERT INTO goodbyes VALUES (1)"), query("SELECT pg_sleep(0.2)") + BATCH + SYNC],
    ids=["query", "batch behind a query"],
)
async def test_what_is_asked_for_with_the_goodbye_behind_it_is_run(make_proxy: MakeProxy, said: bytes) -> None:
    assert await rows_after(make_proxy, said + TERMINATE) == (1, 1)


@pytest.mark.parametrize(
    "said",
    [BATCH, BATCH + FLUSH, query("BEGIN") + query("INSERT INTO goodbyes VALUES (1)"), query("SELECT 1/0; ") + BATCH],
    ids=["batch", "flushed batch", "transaction", "batch behind an error"],
)
async def test_what_is_not_finished_before_the_goodbye_is_not_kept(make_proxy: MakeProxy, said: bytes) -> None:
    assert await rows_after(make_proxy, said + TERMINATE) == (0, 1)


async def test_an_answered_batch_whose_sync_never_comes_is_not_kept(make_proxy: MakeProxy) -> None:
    assert await rows_after(make_proxy, BATCH + FLUSH, hears=3, vanishes=True) == (0, 1)
