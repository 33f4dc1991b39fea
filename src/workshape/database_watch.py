"""Counts the database server's connections, as evidence for the verdict and for whoever asks at 3 a.m.

It holds one connection of its own, made before there is a crowd, and writes a line when the count changes (and now
and then when it does not, so that silence is not taken for calm).
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx
import msgspec

from workshape.backends import WATCH, Backend, Selection, choose, count_by_owner, holders
from workshape.clock import Clock
from workshape.errors import BackendUnavailable
from workshape.parts.refusals import Refusals
from workshape.pgproxy.database_tls import DatabaseTls, SslMode
from workshape.run import RunFile
from workshape.shape.observations import CONNECTIONS_FOLDER_NAME, ConnectionSample
from workshape.status import DatabaseStatus, EndedConnections
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
BACKENDS = (
    "SELECT pid, application_name, state = 'idle' AS is_idle FROM pg_stat_activity "
    "WHERE backend_type = 'client backend' ORDER BY pid"
)
LIMITS = (
    "SELECT current_setting('max_connections')::int, current_setting('superuser_reserved_connections')::int "
    "+ coalesce(current_setting('reserved_connections', true)::int, 0)"
)
"""Source: https://www.postgresql.org/docs/current/runtime-config-connection.html (reserved_connections: since 16)"""
END = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE pid = ANY($1::int[]) AND (usename = current_user OR pg_has_role('pg_signal_backend', 'member'))"
)
"""Source: https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-ADMIN-SIGNAL"""
STATUS_S = 0.5  # however many look, the server is asked for who is there twice a second at most
STATUS_S_MAX = 1.0  # for an answer that somebody is waiting for
LOG_EVERY_S = 1.0
LOG_BYTES_MAX = 1024 * 1024  # of the server's log at a time: ten thousand refusals; what comes faster is passed over
END_S_MAX = 2.0  # for connections that are in the middle of something; who is still there then is told

_LOST = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What a connection's end looks like. The last: the server has said that it ends, and has not closed it yet."""
_NO_CONNECTION = "the watch cannot connect to it"

_log = logging.getLogger(__name__)


class DatabaseWatch:
    """Samples one server until cancelled; a server that goes away is asked again."""

    def __init__(self, run: RunFile, clock: Clock, functions: Callable[[], Collection[str]]) -> None:
        """Watch the run's database, which it must have; `functions` are the names there are."""
        assert run.database is not None, "there is something to watch"
        self._database = run.database
        ports = [one.status_port for one in (run.proxy, run.proxy_host) if one is not None]
        self._proxies = [f"http://{run.host}:{port}/_workshape/backends" for port in ports]
        self._http = httpx.AsyncClient(trust_env=False, timeout=QUERY_S_MAX)  # making one takes some 20 ms
        self._clock = clock
        self._functions = functions
        self._lines = JsonLineWriter[ConnectionSample](run.state.records / CONNECTIONS_FOLDER_NAME)
        self._last: ConnectionSample | None = None
        self._connection: asyncpg.Connection | None = None
        self._turn = asyncio.Lock()  # a connection answers one question at a time
        self._status: DatabaseStatus | None = None
        self._status_at = -STATUS_S
        self._server_log = _ServerLog.of(run.state.database_log) if self._database.embedded else None

    def __repr__(self) -> str:
        return f"<DatabaseWatch {self._database.name} last={self._last}>"

    async def run(self) -> None:
        """Sample until cancelled."""
        async with self._http, asyncio.TaskGroup() as group:
            group.create_task(self._sample(), name="samples of the database's connections")
            if self._server_log is not None:
                group.create_task(self._read_log(self._server_log), name="refusals in the database's log")

    async def status(self) -> DatabaseStatus:
        """Tell who has connections now. When that cannot be had, say why."""
        refused = None if self._server_log is None else self._server_log.refusals.last_minute(self._clock.wall_s())
        if self._status is None or self._clock.monotonic_s() - self._status_at >= STATUS_S:
            self._status = await self._ask_status()
            self._status_at = self._clock.monotonic_s()
        return msgspec.structs.replace(self._status, refused_last_minute=refused)

    async def _ask_status(self) -> DatabaseStatus:
        name, last, connection = self._database.name, self._last, self._connection
        counted = (0, 0) if last is None else (last.connections, last.max_connections)
        if connection is None:
            return DatabaseStatus(name, *counted, unknown=_NO_CONNECTION)
        try:
            async with asyncio.timeout(STATUS_S_MAX), self._turn:
                present = await _backends(connection)
                max_connections, kept = await connection.fetchrow(LIMITS)
        except _LOST as error:
            return DatabaseStatus(name, *counted, unknown=str(error) or "it does not answer within a second")
        proxy, unknown = list[int](), ""
        try:
            async with asyncio.timeout(STATUS_S_MAX):
                proxy = await self._proxy_pids(needed=True)
        except (BackendUnavailable, TimeoutError) as error:
            unknown = str(error) or "the proxy does not say within a second which are its own"
        held = holders(present, self._functions(), proxy)
        return DatabaseStatus(name, len(present), max_connections, kept, held, unknown=unknown)

    async def _read_log(self, log: "_ServerLog") -> None:
        while True:
            log.refusals.read(await asyncio.to_thread(log.take), self._clock.wall_s())
            await asyncio.sleep(LOG_EVERY_S)

    async def _sample(self) -> None:
        delay_s = RECONNECT_S_FIRST
        while True:
            try:
                connection = await self._connect()
            except _LOST as error:
                _log.warning("database_not_watched", extra={"reason": str(error), "again_in_s": delay_s})
                await asyncio.sleep(delay_s)
                delay_s = min(RECONNECT_S_MAX, delay_s * 2)
                continue
            delay_s = RECONNECT_S_FIRST
            self._connection = connection
            with contextlib.suppress(*_LOST):
                await self._watch(connection)
            self._connection = None
            connection.terminate()

    async def end_connections(self, selection: Selection, *, in_advance: bool = False) -> EndedConnections:
        """End connections, and tell whose they were and who is left.

        `in_advance` only tells what would be ended. It is done through the watch's own connection: when it is needed,
        there may be no other to be had.

        Raises:
            BackendUnavailable: the watch has none at the moment, or the proxy does not say which are its own.
        """
        connection, address = self._connection, f"{self._database.server_host}:{self._database.server_port}"
        if connection is None:
            raise BackendUnavailable(backend="the database", address=address, reason=_NO_CONNECTION)
        try:
            async with self._turn:
                present = await _backends(connection)
                # Asked after the list was made: what is on it and the proxy's is among what the proxy names.
                proxy = await self._proxy_pids(needed=not selection.everybody)
                chosen = choose(present, selection, self._functions(), proxy)
                if in_advance:
                    staying = [backend for backend in present if backend not in chosen]
                    max_connections, _ = await connection.fetchrow(LIMITS)
                    return EndedConnections(
                        count_by_owner(chosen, proxy), count_by_owner(staying, proxy), max_connections
                    )
                await connection.execute(END, [backend.pid for backend in chosen])
                left = await _backends(connection)
                deadline = self._clock.monotonic_s() + END_S_MAX
                while {one.pid for one in left} & {one.pid for one in chosen} and self._clock.monotonic_s() < deadline:
                    await asyncio.sleep(INTERVAL_S)
                    left = await _backends(connection)
                max_connections, _ = await connection.fetchrow(LIMITS)
        except _LOST as error:
            raise BackendUnavailable(backend="the database", address=address, reason=str(error)) from error
        still = {backend.pid for backend in left}
        ended = [backend for backend in chosen if backend.pid not in still]
        return EndedConnections(count_by_owner(ended, proxy), count_by_owner(left, proxy), max_connections)

    async def _proxy_pids(self, *, needed: bool) -> list[int]:
        found: list[int] = []
        for address in self._proxies:
            try:
                answer = await self._http.get(address)
                answer.raise_for_status()
                found += msgspec.json.decode(answer.content, type=list[int])
            except (httpx.HTTPError, msgspec.DecodeError) as error:
                if needed:
                    raise BackendUnavailable(backend="the proxy", address=address, reason=str(error)) from error
        return found

    async def _connect(self) -> asyncpg.Connection:
        database = self._database
        wanted = DatabaseTls() if database.embedded else DatabaseTls.of_url(database.url)
        tls = SslMode.PREFER.value if wanted.is_optional else wanted.context() or False
        return await asyncpg.connect(
            host=database.server_host,
            port=database.server_port,
            user=database.user,
            password=database.password,
            database=database.name,
            ssl=tls,
            timeout=CONNECT_S_MAX,
            command_timeout=QUERY_S_MAX,
            server_settings={"application_name": WATCH},
        )

    async def _watch(self, connection: asyncpg.Connection) -> None:
        while True:
            async with self._turn:
                connections, max_connections = await connection.fetchrow(QUERY)
            now = self._clock.wall_s()
            self._note(ConnectionSample(time=now, connections=connections, max_connections=max_connections))
            await asyncio.sleep(INTERVAL_S)

    def _note(self, sample: ConnectionSample) -> None:
        last = self._last
        if last is None or last.connections != sample.connections or sample.time - last.time >= HEARTBEAT_S:
            self._last = sample
            self._lines.write([sample])


async def _backends(connection: asyncpg.Connection) -> list[Backend]:
    rows = await connection.fetch(BACKENDS)
    return [Backend(row["pid"], row["application_name"] or "", bool(row["is_idle"])) for row in rows]


@dataclass(slots=True)
class _ServerLog:
    """What the embedded server writes, from now on."""

    path: Path
    read_to: int
    refusals: Refusals

    @classmethod
    def of(cls, path: Path) -> "_ServerLog":
        return cls(path, path.stat().st_size if path.exists() else 0, Refusals())

    def take(self) -> bytes:
        """Read what is new. A log that is shorter than it was has begun anew."""
        try:
            with self.path.open("rb") as log:
                size = log.seek(0, 2)
                begin = self.read_to if size >= self.read_to else 0
                log.seek(max(begin, size - LOG_BYTES_MAX))
                self.read_to = size
                return log.read(LOG_BYTES_MAX)
        except OSError:  # the server has not written yet
            return b""
