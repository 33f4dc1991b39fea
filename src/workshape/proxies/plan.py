"""What the proxy process is to run, out of the proxies there are. A core."""

from collections.abc import Iterable
from ipaddress import IPv4Network

from msgspec.structs import replace

from workshape.hosted import HostedEndpoint, HostedProxy, HostedUser
from workshape.proxies.model import DbProxy
from workshape.settings import ProxySettings

LOOPBACK = "127.0.0.1"
RANGE = IPv4Network("127.64.0.0/10")  # far from what others use: name servers 127.0.0.11, .53; hosts 127.0.1.1
BLOCK_PREFIX = 27  # 30 addresses: a proxy has at most 21 endpoints


def neighbours(host: str) -> list[str]:
    """The addresses that the endpoints of one proxy can have when one of them has this."""
    if host == LOOPBACK:
        return []
    return [str(address) for address in IPv4Network(f"{host}/{BLOCK_PREFIX}", strict=False).hosts()]


def hosted_proxies(proxies: Iterable[DbProxy], settings: ProxySettings) -> tuple[HostedProxy, ...]:
    """Describe how to run them; `settings` are the app's, for what RDS has no setting for."""
    return tuple(_hosted(proxy, settings) for proxy in proxies)


def _hosted(proxy: DbProxy, settings: ProxySettings) -> HostedProxy:
    pool = proxy.group.pool
    return HostedProxy(
        id=proxy.id,
        name=proxy.name,
        users=tuple(HostedUser(one.secret_arn, one.user_name, one.iam, one.password_type) for one in proxy.auth),
        endpoints=tuple(HostedEndpoint(one.name, one.host, one.port, one.role) for one in proxy.endpoints),
        hosts=(LOOPBACK, *neighbours(proxy.endpoints[0].host)),
        require_tls=proxy.require_tls,
        settings=replace(
            settings,
            max_connections_percent=pool.max_connections_percent,
            max_idle_connections_percent=pool.max_idle_connections_percent,
            connection_borrow_timeout_s=float(pool.borrow_timeout_s),
            idle_client_timeout_s=float(proxy.idle_client_timeout_s),
            init_query=pool.init_query,
        ),
    )
