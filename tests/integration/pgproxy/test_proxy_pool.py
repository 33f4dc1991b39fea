"""Many clients on few connections: pins, time-outs, clients that leave, and clients that are none."""

import asyncio
import socket
import struct
from typing import Any

import psycopg
import pytest
from psycopg import errors

from tests.integration.pgproxy.conftest import DATABASE, MAX_CONNECTIONS, PASSWORD, USER, MakeProxy, Proxy
from workshape.pgproxy import messages
from workshape.pgproxy.auth import ScramClient
from workshape.pgproxy.pins import PinReason
from workshape.pgproxy.process import start_status
from workshape.settings import ProxySettings

ONE = ProxySettings(max_connections_percent=6, connection_borrow_timeout_s=5.0)
FIVE = ProxySettings(max_connections_percent=30, connection_borrow_timeout_s=20.0)
RESERVED = 3


async def fetch(client: psycopg.AsyncConnection[Any], sql: str) -> Any:
    row = await (await client.execute(sql.encode())).fetchone()
    return None if row is None else row[0]


async def test_two_hundred_clients_are_served_over_five_connections(make_proxy: MakeProxy) -> None:
    async with make_proxy(FIVE) as proxy:
        most = 0

        async def visit(n: int) -> int:
            nonlocal most
            async with await proxy.connect(sslmode="disable") as client:
                answer = await fetch(client, f"SELECT {n} FROM pg_sleep(0.005)")
                most = max(most, proxy.proxy.snapshot().database_connections)
            return int(answer)

        answers = await asyncio.gather(*(visit(n) for n in range(200)))

        assert sorted(answers) == list(range(200))
        assert most == 5
        assert proxy.proxy.snapshot().databases.connections_max == 5
        await proxy.until(lambda: proxy.proxy.snapshot().databases.borrowed == 0)


async def test_the_limit_is_read_from_the_server(make_proxy: MakeProxy) -> None:
    async with make_proxy() as proxy, await proxy.connect() as client:
        await client.execute("SELECT 1")

        assert proxy.proxy.snapshot().databases.connections_max == MAX_CONNECTIONS - RESERVED


async def test_a_statement_that_waits_too_long_fails_and_its_session_goes_on(make_proxy: MakeProxy) -> None:
    settings = ProxySettings(max_connections_percent=6, connection_borrow_timeout_s=2.0)
    async with make_proxy(settings) as proxy, await proxy.connect() as holder, await proxy.connect() as other:
        await holder.execute("BEGIN")
        with pytest.raises(errors.TooManyConnections) as simple:
            await other.execute("SELECT 1; SELECT 2")
        with pytest.raises(errors.TooManyConnections):
            await other.execute("SELECT %s::int", (1,))
        await holder.execute("COMMIT")

        assert "Of 1 database connections 1 are borrowed" in (simple.value.diag.message_detail or "")
        assert "proxy.connection_borrow_timeout_s" in (simple.value.diag.message_hint or "")
        assert simple.value.diag.severity == "ERROR"
        assert await fetch(other, "SELECT 3") == 3


@pytest.mark.parametrize(
    ("reason", "statement", "question"),
    [
        (PinReason.VARIABLE, "SET statement_timeout = '77s'", "SELECT current_setting('statement_timeout')"),
        (PinReason.TEMPORARY, "CREATE TEMP TABLE mine AS SELECT 1 AS n", "SELECT to_regclass('mine') IS NOT NULL"),
        (PinReason.PREPARED, "PREPARE mine AS SELECT 1", "SELECT count(*) FROM pg_prepared_statements WHERE from_sql"),
        (
            PinReason.ADVISORY_LOCK,
            "SELECT pg_advisory_lock(42)",
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
        ),
        (
            PinReason.CURSOR,
            "BEGIN; DECLARE mine CURSOR WITH HOLD FOR SELECT 1; COMMIT",
            "SELECT count(*) FROM pg_cursors WHERE name = 'mine'",
        ),
        (PinReason.LISTEN, "LISTEN mine", "SELECT count(*) FROM pg_listening_channels()"),
        (PinReason.BLOCK, "DO $$ BEGIN EXECUTE 'SELECT 1'; END $$", "SELECT pg_backend_pid()"),
    ],
    ids=lambda value: value.name if isinstance(value, PinReason) else "",
)
async def test_a_pin_keeps_the_state_and_the_next_client_never_sees_it(
    make_proxy: MakeProxy, reason: PinReason, statement: str, question: str
) -> None:
    two = ProxySettings(max_connections_percent=12, connection_borrow_timeout_s=5.0)
    async with make_proxy(two) as proxy, await proxy.connect() as bystander:
        fresh = await fetch(bystander, question)
        owner = await proxy.connect()
        await owner.execute(statement.encode())
        backend = await fetch(owner, "SELECT pg_backend_pid()")
        kept = await fetch(owner, question)
        for _ in range(4):
            await bystander.execute("SELECT 1")
        again = await fetch(owner, question), await fetch(owner, "SELECT pg_backend_pid()")
        pins = proxy.proxy.snapshot().pins
        await owner.close()
        await proxy.until(lambda: proxy.proxy.snapshot().databases.borrowed == 0)
        after = [await fetch(client, question) for client in [await proxy.connect() for _ in range(3)]]

        assert again == (kept, backend)
        assert [(pin.reason, pin.user) for pin in pins] == [(reason.value, USER)]
        assert pins[0].statement == statement
        if reason is PinReason.BLOCK:
            assert kept not in after, "what nobody could read is not reset but closed"
        else:
            assert kept != fresh
            assert after == [fresh] * 3


async def test_discard_all_ends_a_pin(make_proxy: MakeProxy) -> None:
    async with make_proxy(ONE) as proxy, await proxy.connect() as client, await proxy.connect() as other:
        await client.execute("LISTEN mine")
        pinned = proxy.proxy.snapshot().pinned
        await client.execute("DISCARD ALL")

        assert pinned == 1
        assert proxy.proxy.snapshot().pinned == 0
        assert await fetch(other, "SELECT count(*) FROM pg_listening_channels()") == 0


async def test_a_client_killed_in_a_transaction_leaves_no_trace_of_it(make_proxy: MakeProxy) -> None:
    async with make_proxy(ONE) as proxy, await proxy.connect() as other:
        await other.execute("CREATE TABLE left_behind (n int)")
        leaving = await psycopg.AsyncConnection.connect(proxy.url(sslmode="disable"))
        await leaving.execute("INSERT INTO left_behind VALUES (1)")

        _reset(leaving)

        assert await fetch(other, "SELECT count(*) FROM left_behind") == 0
        assert await fetch(other, "SELECT pg_current_xact_id_if_assigned() IS NULL") is True
        await other.execute("DROP TABLE left_behind")


async def test_a_client_killed_while_its_statement_runs_has_it_cancelled(make_proxy: MakeProxy) -> None:
    async with make_proxy(ONE) as proxy, await proxy.connect() as other:
        leaving = await proxy.connect(sslmode="disable")
        running = asyncio.create_task(leaving.execute("SELECT pg_sleep(60)"))
        await proxy.until(lambda: proxy.server.runs("pg_sleep(60)"))

        running.cancel()
        _reset(leaving)
        await asyncio.gather(running, return_exceptions=True)

        assert await fetch(other, "SELECT 1") == 1
        await proxy.until(lambda: not proxy.server.runs("pg_sleep(60)"))


async def test_a_client_killed_in_the_middle_of_copy_copies_nothing(make_proxy: MakeProxy) -> None:
    async with make_proxy(ONE) as proxy, await proxy.connect() as other:
        await other.execute("CREATE TABLE half (n int)")
        reader, writer = await _logged_in(proxy)
        writer.write(messages.query("COPY half FROM STDIN"))
        await reader.readuntil(b"G")
        writer.write(messages.message(messages.COPY_DATA, b"1\n" * 100) + b"d\0\0\1\0half a message")
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.transport.abort()

        assert await fetch(other, "SELECT count(*) FROM half") == 0
        await other.execute("DROP TABLE half")


async def test_an_idle_transaction_is_ended_and_its_connection_serves_others(make_proxy: MakeProxy) -> None:
    settings = ProxySettings(max_connections_percent=6, idle_in_transaction_timeout_s=0.3)
    async with make_proxy(settings) as proxy, await proxy.connect() as other:
        sleeper = await proxy.connect()
        await sleeper.execute("BEGIN")

        answer = await fetch(other, "SELECT 1")
        with pytest.raises(errors.IdleInTransactionSessionTimeout):
            await sleeper.execute("SELECT 1")

        assert answer == 1


async def test_idle_clients_and_those_that_never_log_in_are_ended(make_proxy: MakeProxy) -> None:
    async with make_proxy(ProxySettings(idle_client_timeout_s=0.2, startup_timeout_s=2.0)) as proxy:
        client = await proxy.connect()
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)

        said = await asyncio.wait_for(reader.read(), 30)
        await proxy.until(lambda: proxy.proxy.snapshot().client_connections == 0)
        with pytest.raises(errors.IdleSessionTimeout):
            await client.execute("SELECT 1")
        writer.close()

        assert b"canceling authentication due to timeout" in said


async def test_a_client_too_many_is_told_so(make_proxy: MakeProxy) -> None:
    async with make_proxy(ProxySettings(clients_max=1)) as proxy, await proxy.connect():
        with pytest.raises(psycopg.OperationalError, match="too many clients"):
            await proxy.connect()


async def test_every_byte_may_come_alone(make_proxy: MakeProxy) -> None:
    async with make_proxy(ONE) as proxy:
        reader, writer = await _logged_in(proxy, trickle=True)
        row = b"T" + messages.ready_for_query(messages.IDLE)
        for byte in messages.query(f"SELECT decode('{row.hex()}', 'hex')::bytea, 1"):
            writer.write(bytes((byte,)))
            await asyncio.sleep(0)
        said = await asyncio.wait_for(reader.readuntil(messages.ready_for_query(messages.IDLE)), 5)
        writer.close()

        assert said.startswith(b"T")
        assert b"SELECT 1\0" in said


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\0\0\0\0",
        b"\xff" * 64,
        struct.pack("!II", 8, 196608) + b"",
        struct.pack("!II", 20_000, 196608),
        struct.pack("!II", 9, 2 << 16) + b"x",
        messages.SSL_REQUEST + b"too early",
        messages.SSL_REQUEST * 3,
        messages.startup_message({"user": USER, "replication": "database"}),
        messages.startup_message({"database": "x"}),
        messages.startup_message({"user": USER}) + b"p\0\0\0\4",
        messages.startup_message({"user": USER}) + b"p\x7f\xff\xff\xff",
        messages.startup_message({"user": USER}) + messages.query("SELECT 1"),
        messages.startup_message({"user": USER}) + messages.message(112, b"SCRAM-SHA-256\0\0\0\0\5n,,r="),
    ],
)
async def test_garbage_at_the_start_is_refused_and_harms_nobody(make_proxy: MakeProxy, garbage: bytes) -> None:
    async with make_proxy(ONE, certificate_file=None, key_file=None) as proxy, await proxy.connect() as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(garbage)
        said = await asyncio.wait_for(reader.read(), 5)
        writer.close()

        assert b"FATAL" in said
        assert await fetch(client, "SELECT 1") == 1


async def test_a_slow_reader_does_not_fill_our_memory(make_proxy: MakeProxy) -> None:
    async with make_proxy(ONE) as proxy:
        reader, writer = await _logged_in(proxy)
        reader._limit = 1  # type: ignore[attr-defined] # so that asyncio itself stops reading at once
        writer.write(messages.query("SELECT repeat('x', 1000) FROM generate_series(1, 200000)"))
        await asyncio.sleep(0.5)
        (client,) = proxy.proxy._clients
        buffered = client.transport.get_write_buffer_size()
        reader._limit = 1 << 20  # type: ignore[attr-defined]
        size = 0
        while not (data := await asyncio.wait_for(reader.read(1 << 20), 10)).endswith(b"Z\0\0\0\5I"):
            size += len(data)
        writer.close()

        assert buffered < 1 << 20
        assert size > 200_000_000


async def test_the_figures_are_there_for_other_processes(make_proxy: MakeProxy) -> None:
    async with make_proxy(ONE) as proxy, await proxy.connect() as client:
        await client.execute("LISTEN mine")
        status = await start_status(proxy.proxy, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", status.port)
        writer.write(b"GET /status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        document = (await reader.read()).partition(b"\r\n\r\n")[2]
        writer.close()
        await status.close()

        assert b'"client_connections":1,"database_connections":1,"borrowed":1,"pinned":1' in document
        assert b'"reason":"LISTEN","statement":"LISTEN mine"' in document


async def _logged_in(proxy: Proxy, *, trickle: bool = False) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Log in by hand, a byte at a time where wanted."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)

    async def say(data: bytes) -> None:
        for start in range(0, len(data), 1 if trickle else len(data)):
            writer.write(data[start : start + (1 if trickle else len(data))])
            await asyncio.sleep(0)

    async def hear() -> bytes:
        head = await reader.readexactly(5)
        return await reader.readexactly(int.from_bytes(head[1:], "big") - 4)

    scram = ScramClient(PASSWORD, "nonce", None)
    await say(messages.startup_message({"user": USER, "database": DATABASE}))
    await hear()
    _, first = scram.first(("SCRAM-SHA-256",))
    await say(messages.message(112, b"SCRAM-SHA-256\0" + struct.pack("!i", len(first)) + first))
    await say(messages.message(112, scram.final((await hear())[4:])))
    scram.verify((await hear())[4:])
    await asyncio.wait_for(reader.readuntil(messages.ready_for_query(messages.IDLE)), 5)
    return reader, writer


def _reset(client: psycopg.AsyncConnection[Any]) -> None:
    """Cut a client's connection as a killed process does."""
    with socket.socket(fileno=client.fileno()) as raw:
        raw.shutdown(socket.SHUT_RDWR)
        raw.detach()
