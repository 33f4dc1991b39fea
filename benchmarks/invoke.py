"""Warm invocations through the front door: signatures checked, logs and records written, each function sandboxed.

The engine is a process of its own, as `workshape up` has it, and is asked by signed Invoke requests from another; the
signature is made once, so that the client is not what is measured. Each row stands beside a bare HTTP echo (uvloop, our
own `http1`) that the same client measured right before. What an invocation takes of the processors, and who takes it,
says more on a busy machine than the rates do.

`--peers` measures other local Lambdas in the same run (`peers.py`).
"""

import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from benchmarks import lean_runtime
from benchmarks.bare_engine import bare_engine
from benchmarks.front_door import front_door
from benchmarks.http_load import BODY, Asked, load
from benchmarks.peers import Peer, peers
from benchmarks.report import Report, main
from workshape.arn import function_arn
from workshape.clock import Clock
from workshape.functions.function_invoker import FunctionInvoker
from workshape.functions.invoker import Invoker
from workshape.functions.model import LATEST, FunctionName, FunctionVersion
from workshape.http1.message import Request, Response
from workshape.http1.server import serve_tcp
from workshape.settings import FunctionSettings

CALLERS = (1, 10, 50)
PEER_CALLERS = (1, 10)
WARM_S = 3.0
WARM_UP_S = 1.0
ECHO_S = 1.0
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
NODE = "nodejs22.x"
CODE = {
    "app.py": "def handler(event, context):\n    return event\n",
    "app.js": "exports.handler = async (event) => event;\n",
}
PLATFORM = """
[platform]
functions = { allow_substitute = true }
ports = { endpoint = PORT, http = 0, proxy = 0, database = 0 }

[platform.endpoint]
verify_signatures = true
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """One function, and what is in its environments."""

    name: str
    shown: str
    app: str
    """The rest of its table in the app file. A whole core each, so that the share of one is not what is measured."""


FUNCTIONS = (
    Measured("lean", "lean runtime", 'runtime = "provided.al2023"\nhandler = "none"\ncode = "lean"'),
    Measured("python", "Python", f'runtime = "{PYTHON}"\nhandler = "app.handler"\ncode = "code"'),
    Measured(
        # What an interpreter looks at as it starts is not for those that have started: the client runs as AWS ships it.
        "stock",
        "stock awslambdaric",
        f'runtime = "{PYTHON}"\nhandler = "app.handler"\ncode = "code"\nenvironment = {{ PYTHONUNBUFFERED = "1" }}',
    ),
    Measured("node", "Node.js", f'runtime = "{NODE}"\nhandler = "app.handler"\ncode = "code"'),
)


async def run(report: Report) -> None:
    """Measure the front door with each runtime, the engine alone, then, if asked for, its peers."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        _write_code(folder)
        tables = [f"[functions.{each.name}]\n{each.app}\ntimeout_s = 10\nmemory_mb = 1769\n" for each in FUNCTIONS]
        async with front_door(folder, "\n".join([PLATFORM, *tables])) as served:
            for each in FUNCTIONS:
                for callers in CALLERS:
                    echo = await _echo(callers)
                    asked = await _invoke_signed(served.port, each.name, callers, served.pid)
                    _add(report, f"{each.shown} c={callers}", asked, echo)
                    _add_engine(report, f"{each.shown} c={callers}", asked)
        await _engine_alone(report, folder)
        if report.with_peers:
            await _peers(report, folder)


def _write_code(folder: Path) -> None:
    for name, text in CODE.items():
        (folder / "code").mkdir(exist_ok=True)
        (folder / "code" / name).write_text(text)
    (folder / "lean").mkdir()
    # One that a sandbox shows, where there is a sandbox.
    python = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable
    bootstrap = folder / "lean" / "bootstrap"
    bootstrap.write_text(f"#!{python} -I\n{Path(lean_runtime.__file__).read_text()}")
    bootstrap.chmod(0o755)


def _add(report: Report, measure: str, asked: Asked, echo: Asked) -> None:
    """Add what is known of one load."""
    for name, value, unit, peer in (
        ("rate", asked.rate, "1/s", echo.rate),
        ("p50", asked.percentile_ms(50), "ms", echo.percentile_ms(50)),
        ("p99", asked.percentile_ms(99), "ms", echo.percentile_ms(99)),
    ):
        report.add(f"{measure} {name}", value, unit, f"echo {_shown(peer)} {unit}", value / peer)


def _add_engine(report: Report, measure: str, asked: Asked) -> None:
    """Add what the engine uses of the processors, and its share of what all use."""
    functions, client = asked.us_each(asked.environments_s), asked.us_each(asked.processor_s)
    engine = asked.us_each(asked.engine_s)
    others = f"functions {functions:.0f}, client {client:.0f} us"
    report.add(f"{measure} engine", engine, "us", others, engine / (engine + functions + client))


async def _invoke_signed(port: int, function: str, callers: int, pid: int) -> Asked:
    path = f"/2015-03-31/functions/{function}/invocations"
    headers = _signed(port, path)
    await load(port, path, callers, WARM_UP_S, headers)
    return await load(port, path, callers, WARM_S, headers, pid)


def _signed(port: int, path: str) -> list[str]:
    request = AWSRequest("POST", f"http://127.0.0.1:{port}{path}", data=BODY)
    SigV4Auth(Credentials("workshape", "workshape"), "lambda", "us-east-1").add_auth(request)
    return [f"{name}: {value}" for name, value in request.headers.items()]


async def _engine_alone(report: Report, folder: Path) -> None:
    """Without a front door: what HTTP, signatures and codecs cost is the difference."""

    async def invoke(_request: Request) -> Response:
        return Response(200, (("content-type", "application/json"),), (await ask("app", None, BODY, "api")).payload)

    async with bare_engine(folder, FunctionSettings(allow_substitute=True)) as invoker:
        ask = _asker(invoker, folder / "code")
        for callers in CALLERS:
            echo = await _echo(callers)
            server = await serve_tcp(invoke, "127.0.0.1", 0)
            try:
                await load(server.port, "/", callers, WARM_UP_S)
                asked = await load(server.port, "/", callers, WARM_S)
            finally:
                await server.close()
            _add(report, f"Python, no front door c={callers}", asked, echo)


def _asker(invoker: Invoker, code: Path) -> FunctionInvoker:
    name = FunctionName("alone")
    arn = function_arn("us-east-1", "000000000000", name)
    function = FunctionVersion(name, LATEST, arn, PYTHON, "app.handler", str(code), 1_769, 10, "1")
    return FunctionInvoker(lambda _name, _qualifier: function, invoker, Clock())


async def _peers(report: Report, folder: Path) -> None:
    async for peer in peers(folder, {name: (folder / "code" / name).read_text() for name in CODE}):
        if isinstance(peer, str):
            print(peer, file=sys.stderr)
            continue
        first = statistics.median(await peer.first_ms())
        report.add(f"{peer.name} {peer.runtime} first invocation", first, "ms")
        for callers in PEER_CALLERS:
            await _add_peer(report, peer, callers)


async def _add_peer(report: Report, peer: Peer, callers: int) -> None:
    headers = _signed(peer.port, peer.path)
    await load(peer.port, peer.path, callers, WARM_UP_S, headers)
    asked = await load(peer.port, peer.path, callers, WARM_S, headers, peer.pid)
    measure = f"{peer.name} {peer.runtime} c={callers}"
    _add(report, measure, asked, await _echo(callers))
    report.add(f"{measure} all its processes", asked.us_each(asked.engine_s + asked.environments_s), "us")


async def _echo(connections: int) -> Asked:
    """Ask a bare echo on this event loop, from another process."""

    async def echo(request: Request) -> Response:
        return Response(200, (("content-type", "application/json"),), request.body)

    server = await serve_tcp(echo, "127.0.0.1", 0)
    try:
        return await load(server.port, "/", connections, ECHO_S)
    finally:
        await server.close()


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    main("invoke", run, has_peers=True)
