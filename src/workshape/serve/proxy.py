"""The proxy's process: the app's own proxy, and those that were made through RDS's API."""

import asyncio
import sys
from pathlib import Path

from workshape.parts.readiness import names_taken_port
from workshape.pgproxy.config import AwsAccess, DatabaseServer, Endpoint, ProxyConfig, ProxyUser, every_database
from workshape.pgproxy.host_process import run_host
from workshape.pgproxy.hosting import HostGround
from workshape.pgproxy.process import run_proxy
from workshape.pgproxy.secrets_manager import SecretsManager
from workshape.run import ProxyRun, RunFile
from workshape.serve.part import Ready, run_part
from workshape.sigv4 import Keys


async def run_database_proxy(run: RunFile, ready: Ready) -> None:
    """Stand in front of the database as the app wants it, and as proxies made through RDS's API do; until cancelled.

    Raises:
        PortInUse: somebody else listens there.
    """
    missing = {"hosted"} if run.proxy is None else {"hosted", "own"}

    def listens(what: str) -> None:
        missing.discard(what)
        if not missing:
            ready()

    try:
        async with asyncio.TaskGroup() as group:
            hosting = group.create_task(_run_host(run, lambda: listens("hosted")))
            if run.proxy is not None:
                with names_taken_port(run.settings.host, run.settings.ports.proxy, "proxy"):
                    await run_proxy(_proxy_config(run, run.proxy), started=lambda _ports: listens("own"))
                hosting.cancel()  # it was ended on its console, and with it the process
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures


async def _run_host(run: RunFile, started: Ready) -> None:
    database, host = run.database, run.proxy_host
    assert database is not None, "the supervisor starts a proxy only for a database"
    assert host is not None, "and says where it is to answer"
    secrets_manager = SecretsManager()
    ground = HostGround(
        servers=DatabaseServer.of(database),
        database_name=database.name,
        aws=_aws(run),
        read_secret=secrets_manager.read,
        certificates=run.state.tls,
    )
    try:
        await run_host(ground, run.state.proxy_plan, run.settings.host, host.status_port, started)
    finally:
        await secrets_manager.close()


def _aws(run: RunFile) -> AwsAccess:
    settings = run.settings
    return AwsAccess(settings.region, Keys(settings.endpoint.access_key, settings.endpoint.secret_key), run.endpoint)


def _proxy_config(run: RunFile, proxy: ProxyRun) -> ProxyConfig:
    """What the run file says of the proxy and of the database behind it."""
    database, settings = run.database, run.settings
    assert database is not None, "the supervisor starts a proxy only for a database"
    servers = DatabaseServer.of(database)
    return ProxyConfig(
        servers=servers,
        databases=(every_database(servers),),
        users=(ProxyUser(database.user, database.password),),
        endpoints=(Endpoint(settings.host, settings.ports.proxy),),
        certificate_file=Path(proxy.certificate_file),
        key_file=Path(proxy.key_file),
        aws=_aws(run),
        status_port=proxy.status_port,
        administrators=(database.user,),
        settings=settings.proxy,
    )


if __name__ == "__main__":
    sys.exit(run_part("proxy", run_database_proxy, sys.argv[1:]))
