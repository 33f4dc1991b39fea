"""Invocations with real environments: warm through the front door, warm through the engine alone, and cold starts.

Beside each of the warm ones stands a bare HTTP echo (uvloop, our own `http1`), measured right before it by the same
client in another process; beside the cold ones the start of a plain interpreter. The front door is a whole engine in
a process of its own, and is asked by signed Invoke requests; the signature is made once, so that the client is not
what is measured.
"""

import asyncio
import os
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from benchmarks.bare_engine import bare_engine
from benchmarks.http_load import BODY
from benchmarks.report import Report, main
from workshape.app.toml import APP_FILE_NAME, load_app
from workshape.arn import function_arn
from workshape.clock import Clock
from workshape.functions.function_invoker import FunctionInvoker
from workshape.functions.invoker import Invoker
from workshape.functions.launch.process import EnvironmentStartFailed
from workshape.functions.model import LATEST, FunctionName, FunctionVersion
from workshape.http1.message import Request, Response
from workshape.http1.server import serve_tcp
from workshape.run import RunFile, StateFolder, mark_process, write_run_file
from workshape.settings import FunctionSettings

CALLERS = (1, 10, 50)
WARM_S = 2.0
WARM_UP_S = 1.0
ECHO_S = 1.0
COLD_STARTS = 9
ENGINE_START_S_MAX = 30.0
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
NODE = "nodejs22.x"
APP = f"""
[platform]
functions = {{ allow_substitute = true }}
ports = {{ endpoint = PORT, http = 0, proxy = 0, database = 0 }}

[functions.python]
runtime = "{PYTHON}"
handler = "app.handler"
code = "code"
timeout_s = 10
memory_mb = 1769

[functions.node]
runtime = "{NODE}"
handler = "app.handler"
code = "code"
timeout_s = 10
memory_mb = 1769
"""

Invoke = Callable[[], Awaitable[object]]


async def run(report: Report) -> None:
    """Measure the front door, the engine alone, then cold starts."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        code = folder / "code"
        code.mkdir()
        code.joinpath("app.py").write_text("def handler(event, context):\n    return event\n")
        code.joinpath("app.js").write_text("exports.handler = async (event) => event;\n")
        async with _front_door(folder) as port:
            for runtime, function in ((PYTHON, "python"), (NODE, "node")):
                for callers in CALLERS:
                    echo = await _echo(callers)
                    _add(report, f"door {runtime} c={callers}", await _invoke_signed(port, function, callers), echo)
        async with bare_engine(folder, FunctionSettings(allow_substitute=True)) as invoker:
            for callers in CALLERS:
                echo = await _echo(callers)
                _add(
                    report, f"engine {PYTHON} c={callers}", await _warm(invoker, _function(PYTHON, code), callers), echo
                )
            await _cold(report, invoker, _function(PYTHON, code), [sys.executable, "-c", ""])
            await _cold(report, invoker, _function(NODE, code), ["node", "-e", ""])


def _add(report: Report, measure: str, latencies: list[float], echo: list[float]) -> None:
    """Add the three figures of one load."""
    for name, value, unit, peer in (
        ("rate", len(latencies) / WARM_S, "1/s", len(echo) / ECHO_S),
        ("p50", _ms(latencies, 50), "ms", _ms(echo, 50)),
        ("p99", _ms(latencies, 99), "ms", _ms(echo, 99)),
    ):
        report.add(f"{measure} {name}", value, unit, f"echo {_shown(peer)} {unit}", value / peer)


async def _warm(invoker: Invoker, function: FunctionVersion, callers: int) -> list[float]:
    invoke = FunctionInvoker(lambda _name, _qualifier: function, invoker, Clock())
    await _ask_for(WARM_UP_S, callers, lambda: invoke("app", None, BODY, "api"))
    latencies = await _ask_for(WARM_S, callers, lambda: invoke("app", None, BODY, "api"))
    invoker.retire(function.name, ())
    return latencies


async def _invoke_signed(port: int, function: str, callers: int) -> list[float]:
    path = f"/2015-03-31/functions/{function}/invocations"
    request = AWSRequest("POST", f"http://127.0.0.1:{port}{path}", data=BODY)
    SigV4Auth(Credentials("workshape", "workshape"), "lambda", "us-east-1").add_auth(request)
    headers = [f"{name}: {value}" for name, value in request.headers.items()]
    await _load(port, path, callers, WARM_UP_S, headers)
    return await _load(port, path, callers, WARM_S, headers)


async def _cold(report: Report, invoker: Invoker, function: FunctionVersion, plain: list[str]) -> None:
    invoke = FunctionInvoker(lambda _name, _qualifier: function, invoker, Clock())
    latencies, starts = [], []
    try:
        for _ in range(COLD_STARTS):
            begun = time.perf_counter()
            await invoke("app", None, BODY, "api")
            latencies.append(time.perf_counter() - begun)
            invoker.retire(function.name, ())
            begun = time.perf_counter()
            process = await asyncio.create_subprocess_exec(*plain)
            await process.wait()
            starts.append(time.perf_counter() - begun)
    except (EnvironmentStartFailed, FileNotFoundError) as error:
        print(f"cold {function.runtime} not measured: {error}", file=sys.stderr)
        return
    value, peer = _ms(latencies, 50), _ms(starts, 50)
    report.add(
        f"cold {function.runtime} p50", value, "ms", f"{Path(plain[0]).name} {plain[1]} {_shown(peer)} ms", value / peer
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
        return await _load(server.port, "/", connections, ECHO_S, [])
    finally:
        await server.close()


async def _load(port: int, path: str, connections: int, seconds: float, headers: list[str]) -> list[float]:
    """Ask from a process of its own."""
    arguments = ["-m", "benchmarks.http_load", str(port), path, str(connections), str(seconds), *headers]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, limit=1 << 26
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, "the client failed; what it says is above"
    return [float(line) for line in output.split()]


@asynccontextmanager
async def _front_door(folder: Path) -> AsyncIterator[int]:
    """Run a whole engine, as `workshape up` does, without the parts beside it; gives the front door's port."""
    port = _free_port()
    (folder / APP_FILE_NAME).write_text(APP.replace("PORT", str(port)))
    app, settings = load_app(folder)
    state = StateFolder.of(folder)
    state.make()
    write_run_file(
        RunFile(
            folder=str(folder),
            state_folder=str(state.root),
            settings=settings,
            supervisor=mark_process("benchmark", os.getpid()),
            app_file=str(folder / APP_FILE_NAME),
            builds={function.name: function.code for function in app.functions},
        )
    )
    arguments = ["-m", "workshape.serve", "engine", str(state.run_file)]
    with (folder / "engine.log").open("wb") as log:
        engine = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=log, stderr=log)
    try:
        await _ready(port)
        yield port
    finally:
        engine.terminate()
        await engine.wait()


async def _ready(port: int) -> None:
    """Wait until the engine says so."""
    async with asyncio.timeout(ENGINE_START_S_MAX):
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.write(b"GET /_workshape/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            answer = await reader.read()
            writer.close()
            if answer.startswith(b"HTTP/1.1 200"):
                return
            await asyncio.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _function(runtime: str, code: Path) -> FunctionVersion:
    name = FunctionName(f"app-{runtime.replace('.', '-')}")
    arn = function_arn("us-east-1", "000000000000", name)
    return FunctionVersion(name, LATEST, arn, runtime, "app.handler", str(code), 1_769, 10, "1")


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _ms(seconds: list[float], percentile: int) -> float:
    return statistics.quantiles(seconds, n=100, method="inclusive")[percentile - 1] * 1_000


if __name__ == "__main__":
    main("invoke", run)
