"""The proxies made through RDS's API in their process: run by the plan, and told about over HTTP to the engine."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import msgspec

from workshape.hosted import RELOAD_PATH, STATE_PATH, ProxyPlan
from workshape.http1.message import Request, Response
from workshape.http1.server import serve_tcp
from workshape.pgproxy.hosting import HostGround, ProxyHost

JSON = (("content-type", "application/json"),)
BACKENDS_PATH = "/_workshape/backends"

_log = logging.getLogger(__name__)


async def run_host(
    ground: HostGround, plan_file: Path, host: str, port: int, started: Callable[[], None] = lambda: None
) -> None:
    """Run what the plan says, and answer the engine, until cancelled. `started` is told that it is answered.

    Raises:
        OSError: the address is in use.
    """
    proxies = ProxyHost(ground)

    async def answer(request: Request) -> Response:
        match request.method, request.path:
            case "GET", path if path == STATE_PATH:
                body = msgspec.json.encode(proxies.state())
            case "POST", path if path == RELOAD_PATH:
                body = msgspec.json.encode(await proxies.apply(_read(plan_file)))
            case "GET", path if path == BACKENDS_PATH:
                body = msgspec.json.encode(proxies.backend_pids())
            case _:
                return Response(404, JSON, b'{"message": "not found"}')
        return Response(200, JSON, body)

    server = await serve_tcp(answer, host, port)
    started()
    try:
        await proxies.apply(_read(plan_file))
        await asyncio.Event().wait()
    finally:
        await server.close()
        await proxies.close()


def _read(plan_file: Path) -> ProxyPlan:
    """Read the plan; none yet, or one of another version: the engine writes it anew and says so."""
    try:
        return msgspec.json.decode(plan_file.read_bytes(), type=ProxyPlan)
    except FileNotFoundError:
        return ProxyPlan("")
    except msgspec.DecodeError as error:
        _log.error("proxy_plan_unreadable", extra={"reason": str(error)})
        return ProxyPlan("")
