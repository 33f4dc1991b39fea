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
from functools import partial
from pathlib import Path

import uvloop

from workshape.app.toml import load_app
from workshape.engine.engine import Engine
from workshape.errors import WorkshapeError
from workshape.event_log import log_events_to_stderr
from workshape.pgproxy.config import AwsAccess, DatabaseServer, Endpoint, ProxyConfig, ProxyUser
from workshape.pgproxy.host_process import run_host
from workshape.pgproxy.hosting import HostGround
from workshape.pgproxy.process import run_proxy
from workshape.pgproxy.secrets_manager import SecretsManager
from workshape.pgproxy.tls import ensure_certificate
from workshape.run import ProxyRun, RunFile, read_run_file
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
    """Stand in front of the database as the app wants it, and as proxies made through RDS's API do; until cancelled."""
    try:
        async with asyncio.TaskGroup() as group:
            hosting = group.create_task(_run_host(run))
            if run.proxy is not None:
                await run_proxy(_proxy_config(run, run.proxy))
                hosting.cancel()  # it was ended on its console, and with it the process
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures


async def _run_host(run: RunFile) -> None:
    database, host = run.database, run.proxy_host
    assert database is not None, "the supervisor starts a proxy only for a database"
    assert host is not None, "and says where it is to answer"
    secrets_manager = SecretsManager()
    ground = HostGround(
        database=DatabaseServer.of(database),
        database_name=database.name,
        aws=_aws(run),
        read_secret=secrets_manager.read,
        certificate=partial(ensure_certificate, run.state.tls),
    )
    try:
        await run_host(ground, run.state.proxy_plan, run.settings.host, host.status_port)
    finally:
        await secrets_manager.close()


def _aws(run: RunFile) -> AwsAccess:
    settings = run.settings
    return AwsAccess(settings.region, Keys(settings.endpoint.access_key, settings.endpoint.secret_key), run.endpoint)


def _proxy_config(run: RunFile, proxy: ProxyRun) -> ProxyConfig:
    """What the run file says of the proxy and of the database behind it."""
    database, settings = run.database, run.settings
    assert database is not None, "the supervisor starts a proxy only for a database"
    return ProxyConfig(
        servers=(DatabaseServer.of(database),),
        users=(ProxyUser(database.user, database.password),),
        endpoints=(Endpoint(settings.host, settings.ports.proxy),),
        certificate_file=Path(proxy.certificate_file),
        key_file=Path(proxy.key_file),
        aws=_aws(run),
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
