"""The embedded PostgreSQL, and TLS in front of it."""

import asyncio
import contextlib
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from workshape.cli.ports import free_ports
from workshape.parts.postgres import ClusterUnusable, InitSqlFailed, Postgres, PostgresOrder
from workshape.parts.process import PartFailed
from workshape.parts.tls_front import tls_front


@pytest.fixture
def order(tmp_path: Path, free_port: int) -> PostgresOrder:
    return PostgresOrder(tmp_path / "postgres", tmp_path / "postgres.log", "127.0.0.1", free_port, 20, "creator")


@contextlib.asynccontextmanager
async def started(order: PostgresOrder) -> AsyncIterator[Postgres]:
    server = Postgres(order)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def address(order: PostgresOrder, server: Postgres) -> str:
    credentials = server.credentials
    return f"postgresql://{credentials.user}:{credentials.password}@127.0.0.1:{order.port}/{order.database}"


def query(url: str, sql: str, **more: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, **more) as connection:  # type: ignore[arg-type]  # libpq's own parameters
        cursor = connection.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []


async def test_data_outlives_a_restart_a_kill_and_a_stale_pid_file(tmp_path: Path, order: PostgresOrder) -> None:
    schema = tmp_path / "schema.sql"
    schema.write_text("CREATE TABLE posts (id int PRIMARY KEY);\nINSERT INTO posts VALUES (1);\n")
    order = replace(order, init_sql=schema)

    async with started(order) as server:
        url = address(order, server)
        await asyncio.to_thread(query, url, "INSERT INTO posts VALUES (2)")
    async with started(order) as server:
        await asyncio.to_thread(query, url, "INSERT INTO posts VALUES (3)")
        os.kill(server.pid, signal.SIGKILL)
        assert await server.wait() == "killed by SIGKILL"
        pid_file = order.folder / "cluster" / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
        pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    async with started(order) as server:
        rows = await asyncio.to_thread(query, url, "SELECT id FROM posts ORDER BY id")
        (mode,) = await asyncio.to_thread(query, url, "SHOW password_encryption")

    assert rows == [(1,), (2,), (3,)]
    assert mode == ("scram-sha-256",)
    assert stat.S_IMODE((order.folder / "credentials.json").stat().st_mode) == 0o600


async def test_a_wrong_password_is_refused(order: PostgresOrder) -> None:
    async with started(order) as server:
        url = address(order, server).replace(server.credentials.password, "wrong")

        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            await asyncio.to_thread(query, url, "SELECT 1")


async def test_a_schema_that_fails_is_told_and_leaves_no_half_made_database(
    tmp_path: Path, order: PostgresOrder
) -> None:
    schema = tmp_path / "schema.sql"
    schema.write_text("CREATE TABLE posts (id int);\nINSERT INTO psots VALUES (1);\n")
    order = replace(order, init_sql=schema)

    with pytest.raises(InitSqlFailed, match=r'schema.sql:2: ERROR:  relation "psots" does not exist'):
        await Postgres(order).start()
    schema.write_text("CREATE TABLE posts (id int);\n")
    async with started(order) as server:
        rows = await asyncio.to_thread(query, address(order, server), "SELECT count(*) FROM posts")

    assert rows == [(0,)]


async def test_lost_passwords_are_told(order: PostgresOrder) -> None:
    async with started(order):
        pass
    (order.folder / "credentials.json").unlink()

    with pytest.raises(ClusterUnusable, match="passwords is gone"):
        Postgres(order)


async def test_tls_in_front_is_verified_by_the_client_and_plain_connections_pass(
    tmp_path: Path, order: PostgresOrder, certificate: tuple[Path, Path], unused_port: int
) -> None:
    front = tls_front(
        listen=("127.0.0.1", unused_port),
        server=(order.host, order.port),
        certificate=certificate[0],
        key=certificate[1],
        folder=tmp_path,
        log_file=tmp_path / "front.log",
    )
    async with started(order) as server:
        await front.start()
        try:
            url = address(replace(order, port=unused_port), server)
            big = "SELECT length(repeat('x', 3000000)), repeat('x', 3000000)"
            encrypted = await asyncio.to_thread(query, url, big, sslmode="verify-full", sslrootcert=str(certificate[0]))
            plain = await asyncio.to_thread(query, url, "SELECT 1", sslmode="disable")
            with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
                await asyncio.to_thread(query, url, "SELECT 1", sslmode="verify-full", sslrootcert="system")
            with pytest.raises(psycopg.OperationalError, match=r"too many clients|remaining connection slots"):
                await asyncio.to_thread(_open_many, url, certificate[0], 25)
        finally:
            await front.stop()

    assert encrypted[0][0] == 3_000_000
    assert plain == [(1,)]


@pytest.fixture
def unused_port(free_port: int) -> int:
    return next(port for port in free_ports("127.0.0.1", 2) if port != free_port)


def _open_many(url: str, authority: Path, count: int) -> None:
    with contextlib.ExitStack() as opened:
        for _ in range(count):
            opened.enter_context(psycopg.connect(url, sslmode="verify-full", sslrootcert=str(authority)))


@pytest.mark.skipif(sys.platform != "linux", reason="needs prctl")
async def test_a_server_left_by_a_killed_supervisor_makes_room(order: PostgresOrder) -> None:
    async with started(order) as first:
        url = address(order, first)
        await asyncio.to_thread(query, url, "CREATE TABLE kept (id int)")

        async with started(order) as second:
            assert await first.wait() == "exit status 0"
            assert second.pid != first.pid
            rows = await asyncio.to_thread(query, url, "SELECT count(*) FROM kept")

    assert rows == [(0,)]


async def test_a_user_without_a_name_is_told_what_is_missing(
    order: PostgresOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `docker run --user 4711`: initdb looks its user's name up."""
    monkeypatch.setattr(os, "geteuid", lambda: 4_711_471)

    with pytest.raises(PartFailed, match="user 4711471 has no name on this machine"):
        await Postgres(order).start()

    assert not (order.folder / "cluster").exists()
