"""The servers that `benchmarks/proxy` compares: PostgreSQL, `workshape proxy`, PgBouncer where it is installed.

Both poolers have as many database connections, the same certificate, and the same stored secret of the one user:
neither derives keys from a password while it is measured.
"""

import asyncio
import os
import pwd
import re
import resource
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from benchmarks.processor_time import Uses
from workshape.cli.ports import free_ports
from workshape.parts.postgres import SUPERUSER, Postgres, PostgresOrder
from workshape.parts.process import accepts, account_named
from workshape.pgproxy.tls import Certificates

DATABASE = "bench"
CONNECTIONS = 20
MAX_CONNECTIONS = 103
"""The server's: 100 for us all, 3 for superusers. So CONNECTIONS is also a percentage."""
CLIENTS_MAX = 12_000
FILES_SPARE = 500  # of a process, for all that is not a client's socket
START_S_MAX = 20.0
PREPARES = (1, 21)
"""The first PgBouncer that carries prepared statements in transaction mode.

Source: https://www.pgbouncer.org/changelog.html#pgbouncer-121x
"""
PROXY = """
[proxy]
max_connections_percent = {connections}
clients_max = {clients}
clients_per_user_max = {clients}
clients_per_address_max = {clients}
connection_borrow_timeout_s = {wait_s}
idle_in_transaction_timeout_s = {idle_s}
"""
PGBOUNCER = """
[databases]
bench = host=127.0.0.1 port={server_port} dbname=bench
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
pool_mode = transaction
default_pool_size = {connections}
max_client_conn = {clients}
query_wait_timeout = {wait_s:.0f}
idle_transaction_timeout = {idle_s:.0f}
client_tls_sslmode = allow
client_tls_cert_file = {certificate}
client_tls_key_file = {key}
{more}
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """Something that answers like PostgreSQL."""

    port: int
    pid: int | None = None
    """Of the process whose processor time is measured, where it is one."""
    prepares: bool = True
    """Whether it carries prepared statements."""

    def uses(self) -> Uses:
        """Give the processor time used so far."""
        return Uses([] if self.pid is None else [self.pid])


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a pooler lets clients wait for a connection, and be silent in a transaction (0: for ever)."""

    wait_s: float = 120.0
    idle_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Server:
    """PostgreSQL, and what the poolers need to stand in front of it."""

    port: int
    user: str
    password: str = field(repr=False)
    secret: str = field(repr=False)
    """The user's SCRAM secret, as the server keeps it."""
    folder: Path
    certificates: Certificates


@asynccontextmanager
async def postgres(folder: Path, certificates: Certificates) -> AsyncIterator[Server]:
    """Serve a cluster of its own, in memory as far as it fits."""
    [port] = free_ports("127.0.0.1", 1)
    order = PostgresOrder(folder / "postgres", folder / "postgres.log", "127.0.0.1", port, MAX_CONNECTIONS, DATABASE)
    running = Postgres(order)
    await running.start()
    try:
        known = running.credentials
        with psycopg.connect(
            host="127.0.0.1", port=port, dbname=DATABASE, user=SUPERUSER, password=known.superuser_password
        ) as connection:
            row = connection.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", [known.user]).fetchone()
        assert row is not None
        yield Server(port, known.user, known.password, str(row[0]), folder, certificates)
    finally:
        await running.stop()


@asynccontextmanager
async def proxy(server: Server, patience: Patience = Patience()) -> AsyncIterator[Peer]:
    """Serve ours, as its command does."""
    [port] = free_ports("127.0.0.1", 1)
    file = server.folder / f"proxy-{port}.toml"
    file.write_text(
        PROXY.format(connections=CONNECTIONS, clients=clients_max(), wait_s=patience.wait_s, idle_s=patience.idle_s)
    )
    files = server.certificates
    arguments = ["--listen", f"127.0.0.1:{port}", "--status", "0", "--settings", str(file)]
    arguments += ["--certificate", str(files.proxy_certificate), "--key", str(files.proxy_key)]
    arguments += ["--database", f"postgresql://{server.user}@127.0.0.1:{server.port}/{DATABASE}"]
    environment = {**os.environ, "PGPASSWORD": server.password}
    async with _process([sys.executable, "-m", "workshape", "proxy", *arguments], environment) as pid:
        await _until_it_accepts(port)
        yield Peer(port, pid)


@asynccontextmanager
async def pgbouncer(server: Server, patience: Patience = Patience()) -> AsyncIterator[Peer | None]:
    """Serve PgBouncer; None where it is not installed."""
    program = shutil.which("pgbouncer")
    if program is None:
        yield None
        return
    [port] = free_ports("127.0.0.1", 1)
    account = account_named("postgres", "nobody") if os.geteuid() == 0 else None
    folder = server.folder / f"pgbouncer-{port}"
    folder.mkdir()
    key = Path(shutil.copy(server.certificates.proxy_key, folder / "key.pem"))
    if account is not None:
        os.chown(key, account.user, account.group)
    users, settings = folder / "users.txt", folder / "pgbouncer.ini"
    users.write_text(f'"{server.user}" "{server.secret}"\n')
    prepares = await pgbouncer_version() >= PREPARES
    settings.write_text(
        PGBOUNCER.format(
            server_port=server.port,
            port=port,
            users=users,
            connections=CONNECTIONS,
            clients=clients_max(),
            wait_s=patience.wait_s,
            idle_s=patience.idle_s,
            certificate=shutil.copy(server.certificates.proxy_certificate, folder / "certificate.pem"),
            key=key,
            more="max_prepared_statements = 100" if prepares else "",
        )
    )
    identity = [] if account is None else [f"--user={pwd.getpwuid(account.user).pw_name}"]
    async with _process([program, "--quiet", *identity, str(settings)], dict(os.environ)) as pid:
        await _until_it_accepts(port)
        yield Peer(port, pid, prepares)


async def pgbouncer_version() -> tuple[int, ...]:
    """Say which PgBouncer is installed; nothing where there is none."""
    program = shutil.which("pgbouncer")
    if program is None:
        return ()
    process = await asyncio.create_subprocess_exec(program, "--version", stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    return tuple(int(number) for number in re.findall(r"\d+", output.decode())[:2])


def clients_max() -> int:
    """Say how many clients a process may have here."""
    return min(CLIENTS_MAX, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - FILES_SPARE)


def allow_many_files() -> None:
    """Raise our own limit, which the servers inherit, to what we may raise it to."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@asynccontextmanager
async def _process(arguments: list[str], environment: dict[str, str]) -> AsyncIterator[int]:
    process = await asyncio.create_subprocess_exec(
        *arguments, env=environment, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield process.pid
    finally:
        process.terminate()
        await process.wait()


async def _until_it_accepts(port: int) -> None:
    async with asyncio.timeout(START_S_MAX):
        while not await accepts("127.0.0.1", port):
            await asyncio.sleep(0.05)
