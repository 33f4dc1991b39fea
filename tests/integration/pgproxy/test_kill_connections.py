"""Ending connections through the database watch: a real server, functions' own connections, and the proxy's."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from tests.integration.pgproxy.conftest import DATABASE, MAX_CONNECTIONS, PASSWORD, USER, MakeProxy, Server
from workshape.backends import Selection
from workshape.clock import Clock
from workshape.database_watch import DatabaseWatch
from workshape.errors import BackendUnavailable
from workshape.pgproxy.process import start_status
from workshape.run import DatabaseRun, ProcessMark, ProxyRun, RunFile
from workshape.settings import Settings
from workshape.status import ConnectionHolder, HolderKind

FUNCTIONS = ["search", "events"]
REFUSED = b"2026-01-01 03:00:00.123 UTC [4711] 53300 app@shop FATAL:  sorry, too many clients already\n"


@pytest.fixture(autouse=True)
async def nobody_from_before(server: Server) -> None:
    """Other tests' connections end a little after their clients have gone."""
    async with asyncio.timeout(10):
        while server.run("SELECT 1 FROM pg_stat_activity WHERE backend_type = 'client backend' OFFSET 1"):
            await asyncio.sleep(0.01)


def run_file(folder: Path, server: Server, status_port: int | None = None) -> RunFile:
    database = DatabaseRun("", "127.0.0.1", server.port, DATABASE, USER, PASSWORD, embedded=True)
    proxy = None if status_port is None else ProxyRun("", status_port, "", "", "")
    mark = ProcessMark("supervisor", 1, "")
    return RunFile(str(folder), str(folder / "state"), Settings(), mark, database=database, proxy=proxy)


@asynccontextmanager
async def watching(run: RunFile) -> AsyncIterator[DatabaseWatch]:
    watch = DatabaseWatch(run, Clock(), lambda: FUNCTIONS)
    task = asyncio.create_task(watch.run())
    async with asyncio.timeout(10):
        while True:
            with suppress(BackendUnavailable):
                await watch.end_connections(Selection(function="nobody", everybody=True))
                break
            await asyncio.sleep(0.01)
    yield watch
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def connect(server: Server, name: str) -> psycopg.AsyncConnection[tuple[object, ...]]:
    return await psycopg.AsyncConnection.connect(server.url() + f" application_name={name}", autocommit=True)


async def test_functions_own_connections_end_and_the_proxys_stay(
    tmp_path: Path, server: Server, make_proxy: MakeProxy
) -> None:
    async with make_proxy() as proxy:
        status = await start_status(proxy.proxy, "127.0.0.1", 0)
        through = await proxy.connect(application_name="search")
        await through.execute("SELECT 1")
        direct = [await connect(server, name) for name in ("search", "search", "events", "psql")]
        async with watching(run_file(tmp_path, server, status.port)) as watch:
            done = await watch.end_connections(Selection())
            again = await watch.end_connections(Selection())

        await through.execute("SELECT 1")
        await direct[3].execute("SELECT 1")
        for ended in direct[:3]:
            with pytest.raises(psycopg.OperationalError):
                await ended.execute("SELECT 1")
        await through.close()
        await direct[3].close()
        await status.close()

    assert done.ended == {"search": 2, "events": 1}
    assert done.left == {"the proxy": 1, "psql": 1, "the platform's watch": 1}
    assert done.max_connections == MAX_CONNECTIONS
    assert again.ended == {}


async def test_only_idle_ones_of_one_function_end_when_that_is_asked(tmp_path: Path, server: Server) -> None:
    busy, idle, other = [await connect(server, name) for name in ("search", "search", "events")]
    await busy.execute("BEGIN")

    async with watching(run_file(tmp_path, server)) as watch:
        done = await watch.end_connections(Selection("search", idle_only=True))
        everybody = await watch.end_connections(Selection(everybody=True))

    for connection in (busy, idle, other):
        await connection.close()
    assert done.ended == {"search": 1}
    assert done.left == {"search": 1, "events": 1, "the platform's watch": 1}
    assert everybody.ended == {"search": 1, "events": 1}
    assert everybody.left == {"the platform's watch": 1}


async def test_it_works_when_the_server_takes_no_more_connections(tmp_path: Path, server: Server) -> None:
    async with watching(run_file(tmp_path, server)) as watch:
        crowd = []
        with suppress(psycopg.OperationalError):
            while True:
                crowd.append(await connect(server, "events"))
        done = await watch.end_connections(Selection())

    for connection in crowd:
        await connection.close()
    assert done.ended == {"events": len(crowd)}
    assert len(crowd) > MAX_CONNECTIONS / 2


async def test_a_proxy_that_does_not_say_which_are_its_own_is_left_alone(
    tmp_path: Path, server: Server, unused_tcp_port_factory: Callable[[], int]
) -> None:
    run = run_file(tmp_path, server, unused_tcp_port_factory())
    direct = await connect(server, "search")

    async with watching(run) as watch:
        with pytest.raises(BackendUnavailable, match="the proxy does not answer"):
            await watch.end_connections(Selection())
        done = await watch.end_connections(Selection(everybody=True))

    await direct.close()
    assert done.ended == {"search": 1}, "all means all: whose they are does not matter then"


async def test_without_a_connection_to_the_database_it_says_so(tmp_path: Path, server: Server) -> None:
    watch = DatabaseWatch(run_file(tmp_path, server), Clock(), lambda: FUNCTIONS)

    with pytest.raises(BackendUnavailable, match="the watch cannot connect to it"):
        await watch.end_connections(Selection())


async def test_what_would_end_is_told_and_nothing_ends(tmp_path: Path, server: Server) -> None:
    direct = [await connect(server, name) for name in ("search", "events")]

    async with watching(run_file(tmp_path, server)) as watch:
        foreseen = await watch.end_connections(Selection("search"), in_advance=True)
        done = await watch.end_connections(Selection())

    for connection in direct:
        await connection.close()
    assert foreseen.ended == {"search": 1}
    assert foreseen.left == {"events": 1, "the platform's watch": 1}
    assert done.ended == {"search": 1, "events": 1}


async def test_who_is_connected_is_told_and_whom_the_server_had_no_room_for(tmp_path: Path, server: Server) -> None:
    run = run_file(tmp_path, server)
    run.state.database_log.parent.mkdir(parents=True)
    run.state.database_log.write_bytes(b"what an earlier server wrote\n" + REFUSED)
    busy, idle = [await connect(server, "search") for _ in range(2)]
    await busy.execute("BEGIN")

    async with watching(run) as watch:
        first = await watch.status()
        with run.state.database_log.open("ab") as log:
            log.write(REFUSED * 3)
        async with asyncio.timeout(10):
            while (status := await watch.status()).refused_last_minute != 3:
                await asyncio.sleep(0.01)

    for connection in (busy, idle):
        await connection.close()
    assert first.refused_last_minute == 0, "what was written before is not of the last minute"
    assert (status.connections, status.max_connections, status.kept_for_superusers) == (3, MAX_CONNECTIONS, 3)
    assert status.holders[0] == ConnectionHolder("search", HolderKind.FUNCTION, 2, 1)
    assert (status.holders[1].kind, status.unknown) == (HolderKind.PLATFORM, "")


async def test_while_the_database_cannot_be_asked_its_status_says_why(tmp_path: Path, server: Server) -> None:
    watch = DatabaseWatch(run_file(tmp_path, server), Clock(), lambda: FUNCTIONS)

    status = await watch.status()

    assert (status.holders, status.unknown) == ((), "the watch cannot connect to it")
