"""The proxy as a process of its own: the proxy, and its figures over HTTP for whoever wants to see them."""

import asyncio
import signal
from collections.abc import Callable

import msgspec

from workshape.http1.message import Request, Response
from workshape.http1.server import HttpServer, serve_tcp
from workshape.pgproxy.config import ProxyConfig
from workshape.pgproxy.server import ProxyServer

JSON = (("content-type", "application/json"),)


async def run_proxy(
    config: ProxyConfig,
    *,
    read_again: Callable[[], ProxyConfig] | None = None,
    started: Callable[[tuple[int, ...]], None] = lambda _ports: None,
) -> None:
    """Serve until cancelled, or ended on the admin console; then tell the clients and close.

    `read_again` reads the configuration anew: on SIGHUP and on RELOAD. `started` is told the endpoints' ports.

    Raises:
        OSError: an address is in use or not ours.
    """
    proxy = ProxyServer(config, read_again)
    status: HttpServer | None = None
    loop = asyncio.get_running_loop()
    if read_again is not None:
        loop.add_signal_handler(signal.SIGHUP, proxy.try_reload)
    try:
        ports = await proxy.start()
        if config.status_port is not None:
            status = await start_status(proxy, config.endpoints[0].host, config.status_port)
        started(ports)
        await proxy.wait_ended()
    finally:
        if read_again is not None:
            loop.remove_signal_handler(signal.SIGHUP)
        if status is not None:
            await status.close()
        await proxy.close()


async def start_status(proxy: ProxyServer, host: str, port: int) -> HttpServer:
    """Answer GET /_workshape/status (CloudWatch's names), GET /status (`ProxyStatus`: pools, holders, pins) and
    GET /_workshape/backends (the process ids of its connections on the server).
    """

    async def answer(request: Request) -> Response:
        if request.method == "GET" and request.path == "/_workshape/status":
            return Response(200, JSON, msgspec.json.encode(proxy.snapshot().cloudwatch()))
        if request.method == "GET" and request.path == "/_workshape/backends":
            return Response(200, JSON, msgspec.json.encode(proxy.snapshot().backend_pids))
        if request.method == "GET" and request.path == "/status":
            return Response(200, JSON, msgspec.json.encode(proxy.status()))
        return Response(404, JSON, b'{"message": "not found"}')

    return await serve_tcp(answer, host, port)
