"""The processes behind `workshape up`: each makes its objects from the run file and runs them until it is told to end.

    python -m workshape.serve engine RUNFILE    front door, HTTP API, functions, queues, triggers
    python -m workshape.serve proxy RUNFILE     the PostgreSQL proxy

Both end in order on SIGTERM and SIGINT.
"""

import asyncio
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import uvloop

from workshape.app.toml import load_app
from workshape.engine.engine import Engine
from workshape.errors import WorkshapeError
from workshape.event_log import log_events_to_stderr
from workshape.pgproxy.config import AwsAccess, DatabaseServer, Endpoint, ProxyConfig, ProxyUser
from workshape.pgproxy.process import run_proxy
from workshape.run import RunFile, read_run_file
from workshape.sigv4 import Keys

EXIT_USAGE = 2
EXIT_FAILED = 1

_log = logging.getLogger(__name__)


def main(arguments: Sequence[str]) -> int:
    """Run one part until it is told to end; return the exit code."""
    parts: dict[str, Callable[[RunFile], Awaitable[None]]] = {"engine": run_engine, "proxy": run_database_proxy}
    if len(arguments) != 2 or arguments[0] not in parts:
        print("usage: python -m workshape.serve engine|proxy RUNFILE", file=sys.stderr)  # noqa: T201
        return EXIT_USAGE
    log_events_to_stderr()
    part, path = arguments
    try:
        uvloop.run(_until_told(parts[part](read_run_file(Path(path)))))
    except (WorkshapeError, OSError) as error:
        _log.critical("part_failed", extra={"part": part, "reason": str(error)})
        return EXIT_FAILED
    return 0


async def run_engine(run: RunFile) -> None:
    """Serve everything but the proxy, until cancelled."""
    app = load_app(Path(run.folder))[0] if run.app_file is not None else None
    async with Engine(run, app) as engine:
        await engine.run()


async def run_database_proxy(run: RunFile) -> None:
    """Stand in front of the database, until cancelled."""
    await run_proxy(_proxy_config(run))


def _proxy_config(run: RunFile) -> ProxyConfig:
    """What the run file says of the proxy and of the database behind it."""
    database, proxy, settings = run.database, run.proxy, run.settings
    assert database is not None, "the supervisor starts a proxy only for a database"
    assert proxy is not None, "the supervisor starts it only where the app wants one"
    return ProxyConfig(
        servers=(DatabaseServer.of(database),),
        users=(ProxyUser(database.user, database.password),),
        endpoints=(Endpoint(settings.host, settings.ports.proxy),),
        certificate_file=Path(proxy.certificate_file),
        key_file=Path(proxy.key_file),
        aws=AwsAccess(settings.region, Keys(settings.endpoint.access_key, settings.endpoint.secret_key), run.endpoint),
        status_port=proxy.status_port,
        administrators=(database.user,),
        settings=settings.proxy,
    )


async def _until_told(work: Awaitable[None]) -> None:
    """Run until SIGTERM or SIGINT, which cancel the work and so let it end in order."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        _log.info("part_ended")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
