"""The proxy as a process of its own: the proxy, and its figures over HTTP for whoever wants to see them."""

import asyncio

import msgspec

from workshape.http1.message import Request, Response
from workshape.http1.server import HttpServer, serve_tcp
from workshape.pgproxy.config import ProxyConfig
from workshape.pgproxy.server import ProxyServer

JSON = (("content-type", "application/json"),)


async def run_proxy(config: ProxyConfig) -> None:
    """Serve until cancelled; then tell the clients and close.

    Raises:
        OSError: an address is in use or not ours.
    """
    proxy = ProxyServer(config)
    status: HttpServer | None = None
    try:
        await proxy.start()
        if config.status_port is not None:
            status = await start_status(proxy, config.host, config.status_port)
        await asyncio.Event().wait()
    finally:
        if status is not None:
            await status.close()
        await proxy.close()


async def start_status(proxy: ProxyServer, host: str, port: int) -> HttpServer:
    """Answer GET /_workshape/status (CloudWatch's names), GET /status (plain names, and every pin) and
    GET /_workshape/backends (the process ids of its connections on the server).
    """

    async def answer(request: Request) -> Response:
        if request.method == "GET" and request.path == "/_workshape/status":
            return Response(200, JSON, msgspec.json.encode(proxy.snapshot().cloudwatch()))
        if request.method == "GET" and request.path == "/_workshape/backends":
            return Response(200, JSON, msgspec.json.encode(proxy.snapshot().backend_pids))
        if request.method == "GET" and request.path == "/status":
            return Response(200, JSON, msgspec.json.encode(proxy.snapshot().document()))
        return Response(404, JSON, b'{"message": "not found"}')

    return await serve_tcp(answer, host, port)
