"""The proxies made through RDS's API, where the app has a database that they can stand before."""

import hashlib
from dataclasses import dataclass
from urllib.parse import urlsplit

from workshape.engine.ground import Ground
from workshape.http1.client import HttpClient
from workshape.proxies.addresses import choose_address
from workshape.proxies.host_link import ProxyHostLink
from workshape.proxies.model import (
    DEFAULT,
    POSTGRES_PORT,
    Database,
    DatabaseInstance,
    DbProxy,
    PoolConfig,
    ProxyEndpoint,
    TargetGroup,
)
from workshape.proxies.registry import Proxies
from workshape.run import DatabaseRun, RunFile

APP_PROXY = "workshape"
"""The name of the app's own proxy among them."""


@dataclass(frozen=True, slots=True)
class ProxyParts:
    """What there is, and the link to the process that runs it."""

    proxies: Proxies
    link: ProxyHostLink


def open_proxies(ground: Ground) -> ProxyParts | None:
    """Open them; None where there is no database: RDS is the upstream's then, proxies and all."""
    run, settings = ground.run, ground.settings
    if run.database is None or run.proxy_host is None:
        return None
    prefix = f"arn:aws:rds:{settings.region}:{settings.account}"
    database = _database(run.database, prefix)
    of_app = _of_app(run, database, prefix, ground.clock.wall_s())
    proxies = Proxies(
        ground.documents,
        ground.clock,
        region=settings.region,
        account=settings.account,
        database=database,
        choose_address=choose_address,
        of_app=of_app,
    )
    host = _client(ground, run.proxy_host.status_port)
    link = ProxyHostLink(
        proxies,
        host,
        ground.clock,
        plan_file=run.state.proxy_plan,
        settings=settings.proxy,
        of_app=None if of_app is None or run.proxy is None else (of_app, _client(ground, run.proxy.status_port)),
    )
    ground.metrics.add_source(link.metrics.take)
    ground.serve("proxies", link.run)
    return ProxyParts(proxies, link)


def _client(ground: Ground, port: int) -> HttpClient:
    client = HttpClient(ground.run.host, port)
    ground.stack.push_async_callback(client.close)
    return client


def _database(database: DatabaseRun, prefix: str) -> Database:
    url, name = urlsplit(database.url), database.name
    public = (url.hostname or database.server_host, url.port or POSTGRES_PORT)
    addresses = ((database.server_host, database.server_port), *database.readers)
    # The instances of a DB cluster are named as the console of RDS names them.
    identifiers = [f"{name}-instance-{number}" for number, _ in enumerate(addresses, 1)] if database.readers else [name]
    instances = tuple(
        DatabaseInstance(
            identifier=identifier,
            arn=f"{prefix}:db:{identifier}",
            host=shown[0],
            port=shown[1],
            server=f"{host}:{port}",
        )
        for identifier, shown, (host, port) in zip(identifiers, (public, *database.readers), addresses, strict=True)
    )
    kind = "cluster" if database.readers else "db"
    return Database(identifier=name, arn=f"{prefix}:{kind}:{name}", user=database.user, name=name, instances=instances)


def _of_app(run: RunFile, database: Database, prefix: str, now: float) -> DbProxy | None:
    """Show the app's own proxy as RDS would; its id stays the same for as long as the app is in its folder."""
    if run.proxy is None:
        return None
    id_ = hashlib.sha256(run.folder.encode()).hexdigest()[:17]
    settings = run.settings.proxy
    return DbProxy(
        id=f"prx-{id_}",
        name=APP_PROXY,
        arn=f"{prefix}:db-proxy:prx-{id_}",
        auth=(),
        created_at=now,
        updated_at=now,
        group=TargetGroup(
            created_at=now,
            updated_at=now,
            arn=f"{prefix}:target-group:prx-tg-{id_}",
            target=database.identifier,
            pool=PoolConfig(
                max_connections_percent=settings.max_connections_percent,
                max_idle_connections_percent=settings.max_idle_connections_percent,
                borrow_timeout_s=round(settings.connection_borrow_timeout_s),
                init_query=settings.init_query,
            ),
        ),
        endpoints=(
            ProxyEndpoint(
                name=DEFAULT,
                arn=f"{prefix}:db-proxy-endpoint:prx-endpoint-{id_}",
                host=run.host,
                port=run.settings.ports.proxy,
                created_at=now,
                subnet_ids=(),
            ),
        ),
        idle_client_timeout_s=round(settings.idle_client_timeout_s),
        is_of_app=True,
    )
