"""Everything `workshape up` starts, in its order: database, AWS services, proxy, engine; and its end, in reverse.

The order: what others need comes first; the engine comes last, because queues that hold messages from before start
functions as soon as it is there.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from workshape.app.model import App
from workshape.app.toml import APP_FILE_NAME
from workshape.cli.database import connection_url, embedded_database, own_database
from workshape.cli.ports import choose_ports, free_ports
from workshape.clock import Clock
from workshape.errors import WorkshapeError
from workshape.functions.launch.build import BuildSource, build_function
from workshape.parts.dynamodb import dynamodb_local
from workshape.parts.jars import JavaUnavailable
from workshape.parts.kafka import kafka_broker
from workshape.parts.moto import IN_MEMORY, MotoMissing, moto_server
from workshape.parts.postgres import Credentials, Postgres, PostgresOrder
from workshape.parts.postgres_reader import PostgresReader, ReaderOrder, discard_readers
from workshape.parts.process import PartFailed, Program, Server
from workshape.parts.supervisor import Started, Supervisor, SupervisorEvent
from workshape.parts.tls_front import tls_front
from workshape.pgproxy.tls import ensure_certificates
from workshape.run import (
    DatabaseRun,
    Lock,
    ProcessMark,
    ProxyHostRun,
    ProxyRun,
    RunFile,
    StateFolder,
    is_running,
    mark_process,
    reached_at,
    read_run_file,
    write_run_file,
)
from workshape.settings import Settings

SERVE_PACKAGE = "workshape.serve"
ENGINE_READY_S_MAX = 120.0  # it applies the app: tables and buckets are made by others
PROXY_READY_S_MAX = 30.0
PROXY_STOP_S = 10.0
ENGINE_STOP_S = 20.0
LEFTOVER_S_MAX = 5.0  # SIGKILL takes effect at once unless the kernel itself is stuck
LEFTOVER_POLL_S = 0.02


A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to bring up."""

    folder: Path
    settings: Settings
    app: App | None
    """None: the empty platform."""


class Platform:
    """One run. `start`, then `watch` until cancelled, then `stop`, which is right at any point."""

    def __init__(
        self,
        wanted: Wanted,
        announce: Callable[[SupervisorEvent], None],
        progress: Callable[[str], None],
    ) -> None:
        self._wanted = wanted
        self._announce_on = announce
        self._progress = progress
        self._folder = wanted.folder.resolve()
        self._state = StateFolder.of(self._folder)
        self._supervisor = Supervisor(Clock(), self._announce)
        self._lock: Lock | None = None
        self._settings = wanted.settings
        self._children: dict[str, ProcessMark] = {}
        self._run: RunFile | None = None

    def __repr__(self) -> str:
        return f"<Platform {self._folder} {self._supervisor}>"

    @property
    def run(self) -> RunFile:
        """Where everything is, once started."""
        assert self._run is not None, "not started"
        return self._run

    async def start(self) -> RunFile:
        """Bring everything up; return when the engine is ready.

        Raises:
            AlreadyRunning, PortInUse, PlatformError: `stop` is still to be called.
        """
        self._state.make()
        # What functions see of it is read by users of their own. Its folder keeps the mode that its owner's mask gives
        # it, and secrets are made with one of theirs.
        os.umask(0o022)
        self._lock = Lock(self._state)
        await _end_leftovers(self._state)
        self._settings = choose_ports(self._settings, unused=self._unused_ports())
        builds = await self._build()
        database, ((upstream, in_memory), kafka) = await _together(
            self._start_database(), _together(self._start_upstream(), self._start_kafka())
        )
        proxy = self._proxy_run(database)
        proxy_host = None
        if database is not None:
            (status_port,) = free_ports(self._settings.host, 1)
            proxy_host = ProxyHostRun(status_port)
        self._run = RunFile(
            folder=str(self._folder),
            state_folder=str(self._state.root),
            settings=self._settings,
            supervisor=mark_process("supervisor", os.getpid()),
            app_file=str(self._folder / APP_FILE_NAME) if self._wanted.app is not None else None,
            database=database,
            proxy=proxy,
            proxy_host=proxy_host,
            kafka=kafka,
            upstream=upstream,
            in_memory=tuple(in_memory),
            builds=builds,
            children=tuple(self._children.values()),
        )
        write_run_file(self._run)
        if proxy_host is not None:
            self._progress("starting the proxy")
            await self._supervisor.start(self._ours("proxy", PROXY_READY_S_MAX, stop_wait_s=PROXY_STOP_S))
        self._progress("starting the engine")
        await self._supervisor.start(self._ours("engine", ENGINE_READY_S_MAX, stop_wait_s=ENGINE_STOP_S))
        return self.run

    async def watch(self) -> None:
        """Start again what dies, until cancelled.

        Raises:
            PartAbandoned: a part keeps dying.
        """
        await self._supervisor.run()

    async def stop(self) -> None:
        """End every part in reverse order, then give the folder back."""
        await self._supervisor.stop()
        if self._lock is not None:
            self._state.run_file.unlink(missing_ok=True)
            self._lock.release()
            self._lock = None

    # parts

    def _unused_ports(self) -> frozenset[str]:
        """Ports of parts that this app does not have need not be free."""
        app = self._wanted.app
        database = app.database if app is not None else None
        unused = set() if app is not None and app.routes else {"http"}
        if database is None or not database.proxy:
            unused.add("proxy")
        if database is None or database.url is not None:
            unused.add("database")
        if app is None or app.kafka is None or app.kafka.bootstrap_servers:
            unused.add("kafka")
        return frozenset(unused)

    async def _build(self) -> dict[str, str]:
        """Make the functions' code ready to run, before anything is started that would have to wait for it."""
        app = self._wanted.app
        builds = {function.name: function.code for function in app.functions} if app is not None else {}
        built: dict[BuildSource, str] = {}
        for source in _build_sources(app):
            # Functions that differ only in their settings, or only in the handler they name, run the same files.
            same = replace(source, name="", handler=source.handler if source.entry is not None else None)
            if same not in built:
                built[same] = str(await build_function(source, self._state.build, self._progress))
            builds[source.name] = built[same]
        return builds

    async def _start_database(self) -> DatabaseRun | None:
        database = self._wanted.app.database if self._wanted.app is not None else None
        if database is None:
            return None
        if database.url is not None:
            return own_database(database.url, database.readers_at)
        host = self._settings.host
        server_port, *reader_ports = free_ports(host, 1 + database.reader_count)
        server = (reached_at(host), server_port)
        ensure_certificates(self._state.tls)
        certificate, key = self._state.certificate_files("database")
        order = PostgresOrder(
            folder=self._state.postgres,
            log_file=self._state.database_log,
            host=server[0],
            port=server_port,
            max_connections=database.max_connections,
            database=database.name,
            init_sql=None if database.init_sql is None else Path(database.init_sql),
        )
        self._progress("starting PostgreSQL")
        postgres = Postgres(order)
        await self._supervisor.start(postgres)
        await self._start_readers(order, postgres.credentials, reader_ports)
        front = tls_front(
            listen=(host, self._settings.ports.database),
            server=server,
            certificate=certificate,
            key=key,
            folder=self._folder,
            log_file=self._state.part_log("postgres-tls"),
        )
        await self._supervisor.start(front)
        public = (reached_at(host), self._settings.ports.database)
        found = embedded_database(database, postgres.credentials, public, server, str(self._state.ca_file))
        return msgspec.structs.replace(found, readers=tuple((server[0], port) for port in reader_ports))

    async def _start_readers(self, writer: PostgresOrder, credentials: Credentials, ports: Sequence[int]) -> None:
        """Start the servers that follow ours, one after the other: each is copied from it first."""
        await discard_readers(writer.folder, beyond=len(ports))
        for number, port in enumerate(ports, 1):
            log_file = self._state.part_log(f"postgres-reader-{number}")
            order = ReaderOrder(number, port, log_file, writer, credentials.superuser_password)
            await self._supervisor.start(PostgresReader(order))

    async def _start_kafka(self) -> tuple[str, ...]:
        """Start a broker, unless the app names servers of its owner's; return the cluster's addresses."""
        kafka = self._wanted.app.kafka if self._wanted.app is not None else None
        if kafka is None or kafka.bootstrap_servers:
            return kafka.bootstrap_servers if kafka is not None else ()
        host, port = reached_at(self._settings.host), self._settings.ports.kafka
        (controller_port,) = free_ports("127.0.0.1", 1)
        self._progress("starting Kafka (its jars are fetched once a machine)")
        self._state.kafka.mkdir(exist_ok=True)
        broker = await kafka_broker(
            host=host,
            port=port,
            controller_port=controller_port,
            data_folder=self._state.kafka,
            log_file=self._state.part_log("kafka"),
        )
        await self._supervisor.start(broker)
        return (f"{host}:{port}",)

    async def _start_upstream(self) -> tuple[dict[str, str], list[str]]:
        """Start what answers for the other AWS services; return their addresses and what is in memory only."""
        (default, default_notes), (dynamodb, dynamodb_notes) = await _together(
            self._start_default_upstream(), self._start_dynamodb()
        )
        addresses = {**default, **dynamodb}
        if "default" in default and "dynamodb" not in dynamodb:
            dynamodb_notes = [*dynamodb_notes, "DynamoDB's tables are in moto: in memory"]
        return addresses, [*default_notes, *dynamodb_notes]

    async def _start_default_upstream(self) -> tuple[dict[str, str], list[str]]:
        chosen = self._settings.upstream.default
        if chosen != "moto":
            return {"default": chosen}, []
        (port,) = free_ports("127.0.0.1", 1)
        try:
            moto = moto_server(
                host="127.0.0.1",
                port=port,
                account=self._settings.account,
                folder=self._folder,
                log_file=self._state.part_log("moto"),
            )
        except MotoMissing as error:
            return {}, [str(error)]
        await self._supervisor.start(moto)
        return {"default": f"http://127.0.0.1:{port}"}, [IN_MEMORY]

    async def _start_dynamodb(self) -> tuple[dict[str, str], list[str]]:
        chosen = self._settings.upstream.dynamodb
        if chosen == "moto":
            return {}, []
        if chosen not in ("auto", "local"):
            return {"dynamodb": chosen}, []
        (port,) = free_ports("127.0.0.1", 1)
        self._progress("starting DynamoDB Local (its jars are fetched once a machine)")
        try:
            self._state.dynamodb.mkdir(exist_ok=True)
            log_file = self._state.part_log("dynamodb")
            local = await dynamodb_local(
                host="127.0.0.1", port=port, data_folder=self._state.dynamodb, log_file=log_file
            )
            await self._supervisor.start(local)
        except (JavaUnavailable, PartFailed) as error:
            if chosen == "local":
                raise
            return {}, [f"DynamoDB Local was not to be had: {error}"]
        return {"dynamodb": f"http://127.0.0.1:{port}"}, []

    def _proxy_run(self, database: DatabaseRun | None) -> ProxyRun | None:
        app = self._wanted.app
        if database is None or app is None or app.database is None or not app.database.proxy:
            return None
        ensure_certificates(self._state.tls)
        certificate, key = self._state.certificate_files("proxy")
        address = (reached_at(self._settings.host), self._settings.ports.proxy)
        (status_port,) = free_ports(self._settings.host, 1)
        return ProxyRun(
            url=connection_url(database.user, database.password, address, database.name, str(self._state.ca_file)),
            status_port=status_port,
            certificate_file=str(certificate),
            key_file=str(key),
            ca_file=str(self._state.ca_file),
        )

    def _ours(self, name: str, ready_s_max: float, *, stop_wait_s: float) -> Server:
        """A part of ours, which tells by itself that it is ready: somebody else may answer at its port."""
        program = Program(
            name=name,
            arguments=[sys.executable, "-m", f"{SERVE_PACKAGE}.{name}", str(self._state.run_file)],
            folder=self._folder,
            log_file=self._state.part_log(name),
            stop_wait_s=stop_wait_s,
        )
        return Server(program, None, ready_s_max)

    def _announce(self, event: SupervisorEvent) -> None:
        """Keep the run file's children true, then tell."""
        if isinstance(event, Started):
            self._children[event.part] = mark_process(event.part, event.pid)
            if self._run is not None:
                self._run = msgspec.structs.replace(self._run, children=tuple(self._children.values()))
                write_run_file(self._run)
        self._announce_on(event)


def _build_sources(app: App | None) -> list[BuildSource]:
    """The functions whose code is a folder; an archive is run as it is."""
    return [
        BuildSource(
            name=function.name,
            runtime=function.runtime,
            code=Path(function.code),
            entry=function.entry,
            requirements=function.requirements,
            handler=function.handler,
        )
        for function in (app.functions if app is not None else ())
        if function.code and Path(function.code).is_dir()
    ]


async def _together(first: Coroutine[Any, Any, A], second: Coroutine[Any, Any, B]) -> tuple[A, B]:
    """Await two things side by side; when one fails, the other is ended and that one error raised."""
    try:
        async with asyncio.TaskGroup() as group:
            one, other = group.create_task(first), group.create_task(second)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures
    return one.result(), other.result()


async def _end_leftovers(state: StateFolder) -> None:
    """Kill what a killed supervisor left and wait until it is gone: it may hold ports and journals.

    Its run file names it, its start time proves that it is what it was. The database ends its own leftovers, in order.
    """
    try:
        run = read_run_file(state.run_file)
    except (FileNotFoundError, WorkshapeError):
        return
    for mark in run.children:
        if mark.name == Postgres.name or not is_running(mark):
            continue
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(mark.pid, signal.SIGKILL)
        for _ in range(int(LEFTOVER_S_MAX / LEFTOVER_POLL_S)):
            if not is_running(mark):
                break
            await asyncio.sleep(LEFTOVER_POLL_S)
