"""A server that follows the embedded PostgreSQL: what is written there is read here, however either of them ends."""

import asyncio
import os
import signal
from pathlib import Path

import psycopg
import pytest

from tests.integration.parts.test_postgres_part import address, query, started
from workshape.cli.ports import free_ports
from workshape.parts.postgres import Postgres, PostgresOrder
from workshape.parts.postgres_reader import PostgresReader, ReaderOrder, discard_readers

WITHIN_S = 30.0


@pytest.fixture
def order(tmp_path: Path) -> PostgresOrder:
    folder = tmp_path / "it's a folder"
    folder.mkdir()
    (port,) = free_ports("127.0.0.1", 1)
    return PostgresOrder(folder / "postgres", folder / "postgres.log", "127.0.0.1", port, 20, "creator")


def reader_of(order: PostgresOrder, writer: Postgres) -> ReaderOrder:
    (port,) = free_ports("127.0.0.1", 1)
    return ReaderOrder(1, port, order.folder.parent / "reader.log", order, writer.credentials.superuser_password)


async def until_read(url: str, expected: int) -> None:
    """Wait until the reader has as many posts."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            try:
                if await asyncio.to_thread(query, url, "SELECT count(*) FROM posts") == [(expected,)]:
                    return
            except psycopg.Error:  # its table, or the whole server, is not there yet
                pass
            await asyncio.sleep(0.05)


async def test_a_reader_follows_and_writes_nothing_and_is_copied_anew_when_it_is_started_again(
    order: PostgresOrder,
) -> None:
    async with started(order) as writer:
        wanted = reader_of(order, writer)
        reader = PostgresReader(wanted)
        url = address(order, writer)
        reading = url.replace(f":{order.port}/", f":{wanted.port}/")
        await reader.start()
        try:
            await asyncio.to_thread(query, url, "CREATE TABLE posts (id int); INSERT INTO posts VALUES (1)")
            await until_read(reading, 1)
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                await asyncio.to_thread(query, reading, "INSERT INTO posts VALUES (2)")
            os.kill(reader.pid, signal.SIGKILL)
            await reader.wait()
            await asyncio.to_thread(query, url, "INSERT INTO posts VALUES (2)")
            await reader.start()
            await until_read(reading, 2)
            command = Path(f"/proc/{reader.pid}/cmdline").read_bytes() if Path("/proc").exists() else b""
        finally:
            await reader.stop()

    assert writer.credentials.superuser_password.encode() not in command
    folder = order.folder / "reader-1"
    assert (folder / "pgpass").stat().st_mode & 0o077 == 0
    await discard_readers(order.folder, beyond=1)
    kept = folder.exists()
    await discard_readers(order.folder, beyond=0)
    assert (kept, folder.exists()) == (True, False)


async def test_a_reader_goes_on_when_its_writer_is_started_again(order: PostgresOrder) -> None:
    async with started(order) as writer:
        wanted = reader_of(order, writer)
        reader = PostgresReader(wanted)
        url = address(order, writer)
        await reader.start()
        try:
            os.kill(writer.pid, signal.SIGKILL)
            await writer.wait()
            await writer.start()
            await asyncio.to_thread(query, url, "CREATE TABLE posts (id int); INSERT INTO posts VALUES (1)")
            await until_read(url.replace(f":{order.port}/", f":{wanted.port}/"), 1)
        finally:
            await reader.stop()
