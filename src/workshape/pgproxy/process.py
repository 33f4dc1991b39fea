"""The proxy as a process of its own: the proxy, and its figures over HTTP for whoever wants to see them."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from workshape.errors import Conflict
from workshape.http1.message import Request, Response
from workshape.http1.server import HttpServer, serve_tcp
from workshape.identifiers import random_hex
from workshape.metrics.exposition import CONTENT_TYPE, exposition
from workshape.pgproxy.config import ProxyConfig
from workshape.pgproxy.handover import HandoverPoint, inherit
from workshape.pgproxy.prometheus import proxy_families
from workshape.pgproxy.secrets_manager import SecretsManager
from workshape.pgproxy.server import ProxyServer
from workshape.status import ProxyFigures

JSON = (("content-type", "application/json"),)
PROMETHEUS = (("content-type", CONTENT_TYPE),)


class StatusUnavailable(Conflict):
    """The proxy's figures cannot be served at {host}:{port} ({reason}): stop what listens there, or choose another port
    (`workshape proxy --status`; `workshape up` chooses one at each start)
    """

    host: str
    port: int


async def run_proxy(
    config: ProxyConfig,
    *,
    read_again: Callable[[], ProxyConfig] | None = None,
    started: Callable[[tuple[int, ...]], None] = lambda _ports: None,
    handover: Path | None = None,
    take_over: bool = False,
) -> None:
    """Serve until cancelled, or ended on the admin console; then tell the clients and close.

    `read_again` reads the configuration anew, as certificates are: on SIGHUP and on RELOAD. `started` is told the
    endpoints' ports. `handover` is where its successor finds it; with `take_over`, it is itself the successor of who is
    there.

    Raises:
        OSError: an endpoint's address is in use or not ours. StatusUnavailable: so is that of the figures.
        Invalid: a certificate or an authority of the configuration. Conflict: the predecessor does not hand over.
    """
    inheritance = inherit(handover) if take_over and handover is not None else None
    secrets_manager = SecretsManager()
    proxy = ProxyServer(config, read_again, secrets_manager.read)
    status: HttpServer | None = None
    point: HandoverPoint | None = None
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, proxy.try_reload)
    try:
        ports = await proxy.start() if inheritance is None else await proxy.start(inheritance.of)
        if inheritance is not None:
            await inheritance.confirm()
            proxy.predecessor = inheritance.cancel
        if config.status_port is not None:
            status = await _start_status(proxy, config.endpoints[0].host, config.status_port)
        if handover is not None:
            point = HandoverPoint(handover, proxy, status)
            point.open()
        started(ports)
        await proxy.wait_ended()
        if inheritance is not None and point is not None and point.is_taken_over:
            await inheritance.wait_ended()
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        if inheritance is not None:
            inheritance.close()
        if point is not None:
            await point.close()
        if status is not None:
            await status.close()
        await proxy.close()
        await secrets_manager.close()


async def _start_status(proxy: ProxyServer, host: str, port: int) -> HttpServer:
    try:
        return await start_status(proxy, host, port)
    except OSError as error:
        raise StatusUnavailable(host=host, port=port, reason=error.strerror or str(error)) from error


async def start_status(proxy: ProxyServer, host: str, port: int) -> HttpServer:
    """Answer GET /metrics (Prometheus), /status (`ProxyStatus`: pools, holders, pins) and, for the engine,
    /_workshape/status (CloudWatch's names), /_workshape/figures (`ProxyFigures`) and
    /_workshape/backends (the process ids of its connections on the server).
    """
    began = random_hex(16)

    def figures() -> ProxyFigures:
        return proxy.snapshot().figures(began)

    pages: dict[str, Callable[[], Response]] = {
        "/metrics": lambda: Response(200, PROMETHEUS, exposition(proxy_families([({}, figures())]))),
        "/status": lambda: _json(proxy.status()),
        "/_workshape/status": lambda: _json(proxy.snapshot().cloudwatch()),
        "/_workshape/figures": lambda: _json(figures()),
        "/_workshape/backends": lambda: _json(proxy.snapshot().backend_pids),
    }

    async def answer(request: Request) -> Response:
        page = pages.get(request.path) if request.method == "GET" else None
        return Response(404, JSON, b'{"message": "not found"}') if page is None else page()

    return await serve_tcp(answer, host, port)


def _json(value: Any) -> Response:
    return Response(200, JSON, msgspec.json.encode(value))
