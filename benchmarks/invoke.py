"""Invocations through the engine with real environments: warm per second and latency, and cold starts.

Beside the warm ones stands a bare HTTP echo (uvloop, our own `http1`) with a client in another process; beside the
cold ones the start of a plain interpreter.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.report import Report, main
from workshape.arn import function_arn
from workshape.clock import Clock
from workshape.functions.invoker import FunctionInvoker, Invoker
from workshape.functions.launch.process import EnvironmentStartFailed, ProcessLauncher
from workshape.functions.logs import FunctionLogs
from workshape.functions.model import LATEST, FunctionName, FunctionVersion
from workshape.functions.records import RecordWriter
from workshape.http1.message import Request, Response
from workshape.http1.server import serve_tcp
from workshape.settings import FunctionSettings

CALLERS = (1, 10, 50)
WARM_S = 3.0
WARM_UP_S = 0.7
COLD_STARTS = 9
PAYLOAD = b'{"hello":"world"}'
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
NODE = "nodejs22.x"

Invoke = Callable[[], Awaitable[object]]


async def run(report: Report) -> None:
    """Measure warm, then cold."""
    with tempfile.TemporaryDirectory() as folder:
        code = Path(folder, "code")
        code.mkdir()
        code.joinpath("app.py").write_text("def handler(event, context):\n    return event\n")
        code.joinpath("app.js").write_text("exports.handler = async (event) => event;\n")
        async with _engine(Path(folder)) as invoker:
            for callers in CALLERS:
                await _warm(report, invoker, _function(PYTHON, code), callers)
            await _cold(report, invoker, _function(PYTHON, code), [sys.executable, "-c", ""])
            await _cold(report, invoker, _function(NODE, code), ["node", "-e", ""])


async def _warm(report: Report, invoker: Invoker, function: FunctionVersion, callers: int) -> None:
    invoke = FunctionInvoker(lambda _name, _qualifier: function, invoker, Clock())
    await _ask_for(WARM_UP_S, callers, lambda: invoke("app", None, PAYLOAD, "api"))
    latencies = await _ask_for(WARM_S, callers, lambda: invoke("app", None, PAYLOAD, "api"))
    echo = await _echo(callers)
    for name, value, unit, peer in [
        ("invokes", len(latencies) / WARM_S, "1/s", len(echo) / WARM_S),
        ("p50", _ms(latencies, 50), "ms", _ms(echo, 50)),
        ("p99", _ms(latencies, 99), "ms", _ms(echo, 99)),
    ]:
        report.add(f"warm {PYTHON} c={callers} {name}", value, unit, f"bare echo {peer:,.4g} {unit}", value / peer)
    invoker.retire(function.name, None)


async def _cold(report: Report, invoker: Invoker, function: FunctionVersion, plain: list[str]) -> None:
    invoke = FunctionInvoker(lambda _name, _qualifier: function, invoker, Clock())
    latencies, starts = [], []
    try:
        for _ in range(COLD_STARTS):
            begun = time.perf_counter()
            await invoke("app", None, PAYLOAD, "api")
            latencies.append(time.perf_counter() - begun)
            invoker.retire(function.name, None)
            begun = time.perf_counter()
            process = await asyncio.create_subprocess_exec(*plain)
            await process.wait()
            starts.append(time.perf_counter() - begun)
    except (EnvironmentStartFailed, FileNotFoundError) as error:
        print(f"cold {function.runtime} not measured: {error}", file=sys.stderr)
        return
    value, peer = _ms(latencies, 50), _ms(starts, 50)
    report.add(
        f"cold {function.runtime} p50", value, "ms", f"{Path(plain[0]).name} {plain[1]} {peer:,.4g} ms", value / peer
    )


async def _ask_for(seconds: float, callers: int, ask: Invoke) -> list[float]:
    latencies: list[float] = []
    until = time.perf_counter() + seconds

    async def caller() -> None:
        begun = time.perf_counter()
        while begun < until:
            await ask()
            ended = time.perf_counter()
            latencies.append(ended - begun)
            begun = ended

    async with asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(caller())
    return latencies


async def _echo(connections: int) -> list[float]:
    """Ask a bare echo on this event loop, from another process."""

    async def echo(request: Request) -> Response:
        return Response(200, (("content-type", "application/json"),), request.body)

    server = await serve_tcp(echo, "127.0.0.1", 0)
    try:
        arguments = ["-m", "benchmarks.http_load", str(server.port), "/", str(connections), str(WARM_S)]
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, limit=1 << 26
        )
        output, _ = await process.communicate()
    finally:
        await server.close()
    return [float(line) for line in output.split()]


@asynccontextmanager
async def _engine(folder: Path) -> AsyncIterator[Invoker]:
    settings = FunctionSettings(allow_substitute=True)
    launcher = ProcessLauncher(folder / "launch", settings)
    logs, records = FunctionLogs(folder / "logs"), RecordWriter(folder / "records")
    invoker = Invoker(
        settings=settings,
        clock=Clock(),
        launcher=launcher,
        logs=logs,
        records=records,
        variables=lambda _function: {"AWS_REGION": "us-east-1"},
        reserved=lambda _name: None,
        reserved_total=lambda: 0,
    )
    try:
        yield invoker
    finally:
        await invoker.close()
        await launcher.close()
        logs.close()
        records.close()


def _function(runtime: str, code: Path) -> FunctionVersion:
    name = FunctionName(f"app-{runtime.replace('.', '-')}")
    arn = function_arn("us-east-1", "000000000000", name)
    return FunctionVersion(name, LATEST, arn, runtime, "app.handler", str(code), 128, 10, "1")


def _ms(seconds: list[float], percentile: int) -> float:
    return statistics.quantiles(seconds, n=100, method="inclusive")[percentile - 1] * 1_000


if __name__ == "__main__":
    main("invoke", run)
