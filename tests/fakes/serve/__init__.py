"""An engine and a proxy that only answer what the command line asks: `python -m tests.fakes.serve.engine RUNFILE`."""

import asyncio
import signal
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs

import msgspec

from workshape.http1.message import Request, Response
from workshape.http1.server import serve_tcp
from workshape.parts.readiness import Readiness
from workshape.run import RunFile, read_run_file
from workshape.status import (
    EngineStatus,
    EnvironmentStatus,
    FunctionStatus,
    Health,
    MappingStatus,
    ProxyStatus,
    QueueStatus,
    RouteStatus,
)

ENDED = asyncio.Event()
"""This process has been told to end."""
LAST_ANSWERS_S_MAX = 10.0
STATUS = EngineStatus(
    app="fake",
    functions=(
        FunctionStatus("events", "python3.12", 128, 3, None, (EnvironmentStatus(1, "$LATEST", "IDLE", 4, 0.0),)),
    ),
    queues=(QueueStatus("events", 3, 1, 0),),
    mappings=(MappingStatus("id", "events", "events", "Enabled", 10, "OK"),),
    routes=(RouteStatus("GET /", "events"),),
)
PROXY = ProxyStatus(
    client_connections=7,
    database_connections=2,
    borrowed=1,
    pinned=0,
    in_transaction=1,
    idle=1,
    waiting=0,
    max=10,
    query_requests=70,
    borrow_timeouts=0,
    borrow_latency_ms={},
    pools=(),
    holders=(),
    pins=(),
)


async def engine(request: Request) -> Response:
    """Answer the admin API."""
    match request.path:
        case "/_workshape/health":
            return Response(200, body=msgspec.json.encode(Health()))
        case "/_workshape/status":
            return Response(200, body=msgspec.json.encode(STATUS))
        case "/_workshape/logs":
            function = parse_qs(request.query).get("function", [None])[0]
            if function not in (None, "events"):
                return Response(404, body=b'{"message": "no such function"}')
            return Response(200, body=_lines(function, follow="follow=1" in request.query))
        case "/2015-03-31/functions/echo/invocations":
            headers = (("x-amz-log-result", b64encode(b"START\nEND\n").decode()),)
            return Response(200, headers, request.body)
        case "/2015-03-31/functions/broken/invocations":
            return Response(200, (("x-amz-function-error", "Unhandled"),), b'{"errorMessage": "no"}')
        case _:
            body = b'{"Type": "User", "Message": "Function not found: serch"}'
            return Response(404, (("x-amzn-errortype", "ResourceNotFoundException"),), body)


async def _lines(function: str | None, *, follow: bool) -> AsyncIterator[bytes]:
    yield (b"" if function else b"events\t") + b"hello\n"
    if follow:
        await ENDED.wait()
        yield b"events\tgoodbye\n"


async def proxy(request: Request) -> Response:
    """Answer with figures, or with all that is shown of it."""
    if request.path == "/status":
        return Response(200, body=msgspec.json.encode(PROXY))
    return Response(200, body=b'{"client_connections": 7}')


async def _serve(name: str, run: RunFile) -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ENDED.set)
    ports = run.settings.ports
    if name == "engine":
        servers = [await serve_tcp(engine, run.settings.host, ports.endpoint)]
    else:
        assert run.proxy is not None
        servers = [await serve_tcp(proxy, run.settings.host, port) for port in (ports.proxy, run.proxy.status_port)]
    Readiness.inherited().tell()
    await ENDED.wait()
    for server in servers:
        await server.close(LAST_ANSWERS_S_MAX)


def main(name: str, arguments: list[str]) -> None:
    """Serve, as the part of this name, until SIGTERM."""
    asyncio.run(_serve(name, read_run_file(Path(arguments[0]))))
