"""A real PostgreSQL, and proxies in front of it."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
import uvloop

from workshape.cli.ports import free_ports
from workshape.parts.postgres import postgres_programs
from workshape.parts.process import SHIM, Account, account_named
from workshape.pgproxy.accounts import ReadSecret, no_secrets
from workshape.pgproxy.config import DatabaseServer, ProxyConfig, ProxyUser
from workshape.pgproxy.server import ProxyServer
from workshape.pgproxy.tls import Certificates, ensure_certificates
from workshape.settings import ProxySettings

PASSWORD = "a secret; 'quoted'"
USER = "app"
DATABASE = "appdb"
MAX_CONNECTIONS = 20
START_S_MAX = 30.0


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run the proxy on the loop it runs on in earnest."""
    return {"uvloop": uvloop.new_event_loop}


@dataclass
class Server:
    """A PostgreSQL server on a free port; `stop` and `start` as often as wanted."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        account = account_named("postgres", "nobody") if os.geteuid() == 0 else None
        arguments = [str(postgres_programs() / "postgres"), "-D", str(self.folder / "cluster")]
        for setting in (
            f"port={self.port}",
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            f"max_connections={MAX_CONNECTIONS}",
            "fsync=off",
            "log_min_messages=fatal",
        ):
            arguments += ["-c", setting]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(become(account, arguments), stdout=log, stderr=log, cwd=self.folder)
        give_up_at = time.monotonic() + START_S_MAX
        while time.monotonic() < give_up_at:
            with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self.url("postgres", "postgres")):
                return
            time.sleep(0.02)
        raise AssertionError((self.folder / "log").read_text())

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(timeout=20)
            self.process = None

    def url(self, user: str = USER, database: str = DATABASE, port: int | None = None) -> str:
        quoted = PASSWORD.replace("'", "\\'")
        return f"host=127.0.0.1 port={port or self.port} user={user} password='{quoted}' dbname={database}"

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask the server itself, as its superuser."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    def connections(self) -> int:
        """How many the proxy's user has."""
        return int(self.run(f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{USER}'")[0][0])

    def runs(self, words: str) -> bool:
        """Tell whether somebody's statement with these words is at work: only then can it be cancelled."""
        of_others = "state = 'active' AND pid <> pg_backend_pid()"
        return bool(self.run(f"SELECT 1 FROM pg_stat_activity WHERE {of_others} AND query LIKE '%{words}%'"))


def become(account: Account | None, arguments: list[str]) -> list[str]:
    """Run a program as the platform does, as an account that may enter the project only for this."""
    if account is None:
        return arguments
    # No signal at its parent's end: that would be the end of the thread that starts the server again.
    shim = [sys.executable, "-I", "-S", str(SHIM), str(os.getpid()), "0"]
    return [*shim, str(account.user), str(account.group), "--", *arguments]


@contextlib.contextmanager
def new_server() -> Iterator[Server]:
    """One with the user and the database of these tests."""
    # Not in pytest's folders: those are closed to the account that the server runs as.
    folder = Path(tempfile.mkdtemp(prefix="workshape-postgres-"))
    account = account_named("postgres", "nobody") if os.geteuid() == 0 else None
    password_file = folder / "password"
    password_file.write_text(PASSWORD)
    if account is not None:
        for path in (folder, password_file):
            os.chown(path, account.user, account.group)
    initdb = [str(postgres_programs() / "initdb"), "-D", str(folder / "cluster"), "-U", "postgres", "--no-sync"]
    initdb += [f"--pwfile={password_file}", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]
    subprocess.run(become(account, initdb), check=True, capture_output=True, cwd=folder)
    [port] = free_ports("127.0.0.1", 1)
    running = Server(folder, port)
    try:
        running.start()
        quoted = PASSWORD.replace("'", "''")
        with psycopg.connect(running.url("postgres", "postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE ROLE {USER} LOGIN PASSWORD '{quoted}'".encode())
            connection.execute(f"CREATE DATABASE {DATABASE} OWNER {USER}".encode())
        yield running
    finally:
        running.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with new_server() as running:
        yield running


@contextlib.contextmanager
def new_replicas(server: Server, count: int = 2) -> Iterator[list[Server]]:
    """Streaming replicas of a server."""
    made = [_replica_of(server) for _ in range(count)]
    try:
        yield made
    finally:
        for replica in made:
            replica.stop()
            shutil.rmtree(replica.folder, ignore_errors=True)


def _replica_of(server: Server) -> Server:
    folder = Path(tempfile.mkdtemp(prefix="workshape-replica-"))
    account = account_named("postgres", "nobody") if os.geteuid() == 0 else None
    if account is not None:
        os.chown(folder, account.user, account.group)
    copy = [str(postgres_programs() / "pg_basebackup"), "-D", str(folder / "cluster"), "-R", "--checkpoint=fast"]
    copy += ["--no-sync", "-d", server.url("postgres", "postgres")]
    subprocess.run(become(account, copy), check=True, capture_output=True, cwd=folder)
    replica = Server(folder, free_ports("127.0.0.1", 1)[0])
    replica.start()
    return replica


@pytest.fixture(scope="module")
def replicas(server: Server) -> Iterator[list[Server]]:
    """Two streaming replicas of the server."""
    with new_replicas(server) as made:
        yield made


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return ensure_certificates(tmp_path_factory.mktemp("tls"))


@dataclass
class Proxy:
    """A proxy in this process, and how clients reach it."""

    server: Server
    proxy: ProxyServer
    port: int
    certificates: Certificates
    ports: tuple[int, ...] = ()
    """Of all endpoints."""

    def url(self, **options: str) -> str:
        added = " ".join(f"{name}={value}" for name, value in options.items())
        return f"{self.server.url(port=self.port)} {added}"

    async def connect(self, **options: str) -> psycopg.AsyncConnection[Any]:
        """A psycopg client that commits by itself."""
        return await psycopg.AsyncConnection.connect(self.url(**options), autocommit=True)

    async def until(self, condition: Callable[[], bool], within_s: float = 30.0) -> None:
        """Wait until something has come true."""
        async with asyncio.timeout(within_s):
            while not condition():
                await asyncio.sleep(0.01)


MakeProxy = Callable[..., AbstractAsyncContextManager[Proxy]]


@pytest.fixture
def make_proxy(server: Server, certificates: Certificates) -> MakeProxy:
    @asynccontextmanager
    async def make(
        settings: ProxySettings | None = None, read_secret: ReadSecret = no_secrets, **changes: Any
    ) -> AsyncIterator[Proxy]:
        config = ProxyConfig(
            servers=(DatabaseServer("main", "127.0.0.1", server.port),),
            users=(ProxyUser(USER, PASSWORD), ProxyUser("stranger", "x")),
            certificate_file=certificates.proxy_certificate,
            key_file=certificates.proxy_key,
            settings=settings or ProxySettings(connection_borrow_timeout_s=5.0),
        )
        proxy = ProxyServer(replace(config, **changes), read_secret=read_secret)
        ports = await proxy.start()
        try:
            yield Proxy(server, proxy, ports[0], certificates, ports)
        finally:
            await proxy.close()

    return make
