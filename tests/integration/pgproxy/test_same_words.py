"""What a server says to a client, word for word: directly, and through the proxy."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import psycopg
from psycopg import errors, generators, pq

from tests.integration.pgproxy.conftest import MakeProxy, Proxy

T = TypeVar("T")


async def told(proxy: Proxy, conversation: Callable[[str], Awaitable[T]], **options: str) -> tuple[T, T]:
    """Have a conversation with the server, and the same with the proxy."""
    added = "".join(f" {name}={value}" for name, value in options.items())
    return await conversation(proxy.server.url() + added), await conversation(proxy.url(**options))


async def says(client: psycopg.AsyncConnection[tuple[object, ...]]) -> str:
    """The error that answers what the client has just sent."""
    results: list[pq.abc.PGresult] = await client.wait(generators.execute(client.pgconn))
    return results[0].error_message.decode()


async def runs_an_unnamed_statement_that_is_gone(url: str) -> list[str]:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as client:
        server = client.pgconn
        server.send_query_prepared(b"", [])
        said = [await says(client)]
        server.send_prepare(b"", b"SELECT 1")
        await says(client)
        await client.execute("SELECT 2")  # ends the unnamed statement
        server.send_query_prepared(b"", [])
        said.append(await says(client))
        server.send_describe_prepared(b"")
        return [*said, await says(client)]


async def test_an_unnamed_statement_that_is_gone_is_missed_in_the_servers_words(make_proxy: MakeProxy) -> None:
    async with make_proxy() as proxy:
        directly, through = await told(proxy, runs_an_unnamed_statement_that_is_gone)

        assert through == directly
        assert directly == ["ERROR:  unnamed prepared statement does not exist\n"] * 3


async def is_called(url: str) -> list[object]:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as client:
        shown = await (await client.execute("SHOW application_name")).fetchone()
        return [client.info.parameter_status("application_name"), shown]


async def test_an_applications_name_is_reported_as_the_server_keeps_it(make_proxy: MakeProxy) -> None:
    async with make_proxy() as proxy:
        for name in ("x" * 70, "caf\u00e9"):
            directly, through = await told(proxy, is_called, application_name=name)

            assert through == directly


async def is_told_at_the_log_in(url: str) -> list[tuple[bytes | None, bytes | None]]:
    heard: list[tuple[bytes | None, bytes | None]] = []

    def hear(result: pq.abc.PGresult) -> None:
        heard.append(
            (
                result.error_field(pq.DiagnosticField.SQLSTATE),
                result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY),
            )
        )

    connection = pq.PGconn.connect_start(url.encode())
    connection.notice_handler = hear
    async with asyncio.timeout(20):
        while connection.connect_poll() not in (pq.PollingStatus.OK, pq.PollingStatus.FAILED):
            await asyncio.sleep(0.001)
    connection.finish()
    return heard


async def test_a_name_that_is_too_long_gets_the_servers_notice(make_proxy: MakeProxy) -> None:
    async with make_proxy() as proxy:
        directly, through = await told(proxy, is_told_at_the_log_in, application_name="x" * 70)

        assert through == directly
        assert directly == [(b"42622", f'identifier "{"x" * 70}" will be truncated to "{"x" * 63}"'.encode())]


async def cancels(proxy: Proxy, url: str) -> str | None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as client:
        sleeping = asyncio.create_task(client.execute("SELECT pg_sleep(30)"))
        await proxy.until(lambda: proxy.server.runs("pg_sleep(30)"))
        await client.cancel_safe()
        try:
            await sleeping
        except errors.QueryCanceled as error:
            return error.sqlstate
    return None


async def test_clients_of_protocol_3_2_are_served_and_can_cancel(make_proxy: MakeProxy) -> None:
    async with make_proxy() as proxy:
        versions = {"min_protocol_version": "3.2", "max_protocol_version": "3.2"}
        directly, through = await told(proxy, partial(cancels, proxy), **versions)

        assert through == directly
        assert directly == "57014"
