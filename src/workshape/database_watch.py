"""Counts the database server's connections, as evidence for the verdict and for whoever asks at 3 a.m.

It holds one connection of its own, made before there is a crowd, and writes a line when the count changes (and now
and then when it does not, so that silence is not taken for calm).
"""

import asyncio
import contextlib
import logging
import ssl
from pathlib import Path

import asyncpg

from workshape.clock import Clock
from workshape.run import DatabaseRun
from workshape.shape.observations import CONNECTIONS_FOLDER_NAME, ConnectionSample
from workshape.store.json_lines import JsonLineWriter

INTERVAL_S = 0.1
HEARTBEAT_S = 5.0
RECONNECT_S_FIRST = 1.0
RECONNECT_S_MAX = 30.0
CONNECT_S_MAX = 5.0
QUERY_S_MAX = 5.0
QUERY = (
    "SELECT count(*), current_setting('max_connections')::int "
    "FROM pg_stat_activity WHERE backend_type = 'client backend'"
)

_log = logging.getLogger(__name__)


class DatabaseWatch:
    """Samples one server until cancelled; a server that goes away is asked again."""

    def __init__(self, database: DatabaseRun, records: Path, clock: Clock) -> None:
        """`records` is the folder of the run's records."""
        self._database = database
        self._clock = clock
        self._lines = JsonLineWriter[ConnectionSample](records / CONNECTIONS_FOLDER_NAME)
        self._last: ConnectionSample | None = None

    def __repr__(self) -> str:
        return f"<DatabaseWatch {self._database.name} last={self._last}>"

    async def run(self) -> None:
        """Sample until cancelled."""
        delay_s = RECONNECT_S_FIRST
        while True:
            try:
                connection = await self._connect()
            except (OSError, TimeoutError, asyncpg.PostgresError) as error:
                _log.warning("database_not_watched", extra={"reason": str(error), "again_in_s": delay_s})
                await asyncio.sleep(delay_s)
                delay_s = min(RECONNECT_S_MAX, delay_s * 2)
                continue
            delay_s = RECONNECT_S_FIRST
            with contextlib.suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await self._watch(connection)
            connection.terminate()

    async def _connect(self) -> asyncpg.Connection:
        database = self._database
        tls: ssl.SSLContext | bool = False
        if database.server_tls:
            tls = ssl.create_default_context(cafile=database.ca_file)
        return await asyncpg.connect(
            host=database.server_host,
            port=database.server_port,
            user=database.user,
            password=database.password,
            database=database.name,
            ssl=tls,
            timeout=CONNECT_S_MAX,
            command_timeout=QUERY_S_MAX,
            server_settings={"application_name": "workshape database watch"},
        )

    async def _watch(self, connection: asyncpg.Connection) -> None:
        while True:
            connections, max_connections = await connection.fetchrow(QUERY)
            now = self._clock.wall_s()
            self._note(ConnectionSample(time=now, connections=connections, max_connections=max_connections))
            await asyncio.sleep(INTERVAL_S)

    def _note(self, sample: ConnectionSample) -> None:
        last = self._last
        if last is None or last.connections != sample.connections or sample.time - last.time >= HEARTBEAT_S:
            self._last = sample
            self._lines.write([sample])
