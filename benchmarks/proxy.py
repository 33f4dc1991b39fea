"""The PostgreSQL proxy under pgbench: transactions a second, beside the server itself and beside PgBouncer.

All three in one run: a machine's figures mean little from one day to the next, their ratios something. PgBouncer is
measured where it is installed, with as many database connections; before 1.21 it cannot carry prepared statements.

    python -m benchmarks.proxy [--json FILE]
"""

import asyncio
import os
import pwd
import re
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import Report, main
from workshape.cli.ports import free_ports
from workshape.parts.postgres import Postgres, PostgresOrder, postgres_programs
from workshape.parts.process import accepts, account_named

CLIENTS = (1, 8, 32)
PROTOCOLS = ("simple", "extended", "prepared")
ROUND_S = 2
SCALE = 2  # 200,000 accounts: all in memory
CONNECTIONS = 20
MAX_CONNECTIONS = 103  # the server's: 100 for us all, 3 for superusers
CHURN_CLIENTS = 10
CHURN_CONNECTIONS_EACH = 50
START_S_MAX = 20.0
PROXY = """
import sys, uvloop
from workshape.pgproxy.config import DatabaseServer, Endpoint, ProxyConfig, ProxyUser
from workshape.pgproxy.process import run_proxy
from workshape.settings import ProxySettings
user, password, database_port, port = sys.stdin.readline().split()
server = DatabaseServer("bench", "127.0.0.1", int(database_port))
endpoint = Endpoint(port=int(port))


async def serve():
    await run_proxy(ProxyConfig((server,), (ProxyUser(user, password),), endpoints=(endpoint,)))


uvloop.run(serve())
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
max_client_conn = 1000
{more}
"""


async def run(report: Report) -> None:
    """Measure; processor time tells more than the rates where the machine has other work."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="workshape-bench-")))
        folder.chmod(0o755)
        server = await stack.enter_async_context(_postgres(folder))
        peers = {"direct": _Peer(server.port), "proxy": await stack.enter_async_context(_proxy(server))}
        bouncer = await stack.enter_async_context(_pgbouncer(folder, server))
        if bouncer is not None:
            peers["pgbouncer"] = bouncer
        await server.pgbench(server.port, "--initialize", "--quiet", f"--scale={SCALE}")
        for protocol in PROTOCOLS:
            for clients in CLIENTS:
                arguments = ("-n", "-S", "-M", protocol, "-c", str(clients), "-T", str(ROUND_S))
                await _compare(report, server, peers, f"{protocol}, {clients} clients", arguments)
        churn = ("-n", "-S", "-C", "-c", str(CHURN_CLIENTS), "-t", str(CHURN_CONNECTIONS_EACH))
        await _compare(report, server, peers, "a connection for each transaction", churn)


@dataclass(frozen=True, slots=True)
class _Peer:
    port: int
    pid: int | None = None
    """Of the process whose processor time is measured, where it is one."""

    def cpu_s(self) -> float:
        """Processor time so far; Linux only, elsewhere 0."""
        file = Path(f"/proc/{self.pid}/stat")
        if self.pid is None or not file.exists():
            return 0.0
        fields = file.read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _compare(
    report: Report, server: "_Server", peers: dict[str, _Peer], measure: str, arguments: tuple[str, ...]
) -> None:
    rates: dict[str, float] = {}
    costs: dict[str, float] = {}
    for name, peer in peers.items():
        before = peer.cpu_s()
        output = await server.pgbench(peer.port, *arguments)
        rate, count = (re.search(pattern, output or "") for pattern in (r"tps = ([\d.]+)", r"processed: (\d+)"))
        if rate is not None and count is not None:
            rates[name] = float(rate.group(1))
            costs[name] = (peer.cpu_s() - before) / int(count.group(1)) * 1e6
    for name in rates.keys() - {"proxy"}:
        report.add(
            measure, rates["proxy"], "transactions/s", f"{name} {rates[name]:,.0f}", rates["proxy"] / rates[name]
        )
    if costs.get("proxy"):
        theirs = costs.get("pgbouncer")
        shown, ratio = ("", None) if not theirs else (f"pgbouncer {theirs:,.0f}", costs["proxy"] / theirs)
        report.add(measure, costs["proxy"], "us of processor time each", shown, ratio)


class _Server:
    def __init__(self, port: int, user: str, password: str) -> None:
        self.port = port
        self.user = user
        self.password = password

    async def pgbench(self, port: int, *arguments: str) -> str | None:
        """Run pgbench; None when it failed."""
        environment = {**os.environ, "PGPASSWORD": self.password, "PGSSLMODE": "disable"}
        address = ["-h", "127.0.0.1", "-p", str(port), "-U", self.user]
        process = await asyncio.create_subprocess_exec(
            str(postgres_programs() / "pgbench"),
            *address,
            *arguments,
            "bench",
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
        return output.decode() if process.returncode == 0 else None


@asynccontextmanager
async def _postgres(folder: Path) -> AsyncIterator[_Server]:
    [port] = free_ports("127.0.0.1", 1)
    order = PostgresOrder(folder / "postgres", folder / "postgres.log", "127.0.0.1", port, MAX_CONNECTIONS, "bench")
    postgres = Postgres(order)
    await postgres.start()
    try:
        yield _Server(port, postgres.credentials.user, postgres.credentials.password)
    finally:
        await postgres.stop()


@asynccontextmanager
async def _proxy(server: _Server) -> AsyncIterator[_Peer]:
    [port] = free_ports("127.0.0.1", 1)
    code = PROXY.replace("port=int(port)", f"port=int(port), settings=ProxySettings({CONNECTIONS})")
    async with _process(
        sys.executable, "-c", code, stdin=f"{server.user} {server.password} {server.port} {port}\n"
    ) as pid:
        await _until_it_accepts(port)
        yield _Peer(port, pid)


@asynccontextmanager
async def _pgbouncer(folder: Path, server: _Server) -> AsyncIterator[_Peer | None]:
    program = shutil.which("pgbouncer")
    if program is None:
        yield None
        return
    [port] = free_ports("127.0.0.1", 1)
    users, settings = folder / "users.txt", folder / "pgbouncer.ini"
    users.write_text(f'"{server.user}" "{server.password}"\n')
    version = tuple(int(number) for number in re.findall(r"\d+", await _output(program, "--version"))[:2])
    more = "max_prepared_statements = 100" if version >= (1, 21) else ""
    settings.write_text(
        PGBOUNCER.format(server_port=server.port, port=port, users=users, connections=CONNECTIONS, more=more)
    )
    account = account_named("postgres", "nobody") if os.geteuid() == 0 else None
    identity = [] if account is None else [f"--user={pwd.getpwuid(account.user).pw_name}"]
    async with _process(program, "--quiet", *identity, str(settings)) as pid:
        await _until_it_accepts(port)
        yield _Peer(port, pid)


@asynccontextmanager
async def _process(*arguments: str, stdin: str = "") -> AsyncIterator[int]:
    process = await asyncio.create_subprocess_exec(
        *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdin is not None
    process.stdin.write(stdin.encode())
    await process.stdin.drain()
    try:
        yield process.pid
    finally:
        process.terminate()
        await process.wait()


async def _output(*arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(*arguments, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    return output.decode()


async def _until_it_accepts(port: int) -> None:
    async with asyncio.timeout(START_S_MAX):
        while not await accepts("127.0.0.1", port):
            await asyncio.sleep(0.05)


if __name__ == "__main__":
    main("proxy", run)
