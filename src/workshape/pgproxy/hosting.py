"""The proxies that were made through RDS's API: started, changed and ended as the plan says, on one loop. A driver.

Each is a proxy like the app's own, in front of the same database.
"""

import asyncio
import logging
from dataclasses import dataclass, field
from pathlib import Path

from workshape.errors import WorkshapeError
from workshape.hosted import (
    HostedEndpoint,
    HostedProxy,
    HostedState,
    HostState,
    ProxyPlan,
)
from workshape.identifiers import random_hex
from workshape.pgproxy.account import IamAuth, LoginRules, PasswordAuth
from workshape.pgproxy.accounts import ReadSecret
from workshape.pgproxy.config import (
    AwsAccess,
    DatabaseServer,
    Endpoint,
    EndpointRole,
    ProxyConfig,
    ProxyUser,
    every_database,
)
from workshape.pgproxy.health_checks import HealthChecks
from workshape.pgproxy.server import ProxyServer
from workshape.pgproxy.tls import discard_certificate, ensure_certificate

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HostGround:
    """What all hosted proxies have in common."""

    servers: tuple[DatabaseServer, ...]
    """The database's: the one that writes, as configured, and those that follow it."""
    database_name: str
    """Which of its databases health checks ask for."""
    aws: AwsAccess
    read_secret: ReadSecret
    certificates: Path
    """The folder of our authority, which gives every proxy a certificate."""


@dataclass(slots=True)
class _Hosted:
    wanted: HostedProxy
    server: ProxyServer
    checks: HealthChecks
    began: str = field(default_factory=lambda: random_hex(16))
    listening: dict[HostedEndpoint, str] = field(default_factory=dict)
    """Why it does not listen there; empty where it does."""
    checking: asyncio.Task[None] | None = None


class ProxyHost:
    """All of them. `apply` plans, `close` it."""

    def __init__(self, ground: HostGround) -> None:
        self._ground = ground
        self._hosted: dict[str, _Hosted] = {}
        self._revision = ""
        self._turn = asyncio.Lock()  # one plan after the other

    def __repr__(self) -> str:
        return f"<ProxyHost {len(self._hosted)} revision={self._revision}>"

    async def apply(self, plan: ProxyPlan) -> HostState:
        """Run what the plan says and nothing else; return when it is so."""
        async with self._turn:
            wanted = {proxy.id: proxy for proxy in plan.proxies}
            for id_ in [id_ for id_ in self._hosted if id_ not in wanted]:
                await self._end(self._hosted.pop(id_))
                discard_certificate(self._ground.certificates, id_)
            for proxy in plan.proxies:
                try:
                    await self._run(proxy)
                except WorkshapeError as error:  # its certificate cannot be made: the others can run all the same
                    _log.error("proxy_not_hosted", extra={"proxy": proxy.name, "reason": str(error)})
            self._revision = plan.revision
        return self.state()

    def state(self) -> HostState:
        """Tell how they are."""
        return HostState(
            self._revision,
            {
                id_: HostedState(
                    {endpoint.name: why for endpoint, why in hosted.listening.items()},
                    hosted.checks.whole,
                    hosted.server.snapshot().figures(hosted.began),
                    hosted.checks.servers,
                )
                for id_, hosted in self._hosted.items()
            },
        )

    def backend_pids(self) -> list[int]:
        """The process ids of all connections at the server that writes, as configured."""
        return [pid for hosted in self._hosted.values() for pid in hosted.server.snapshot().backend_pids]

    async def close(self) -> None:
        """End all of them, in order."""
        async with self._turn:
            while self._hosted:
                await self._end(self._hosted.popitem()[1])

    async def _run(self, wanted: HostedProxy) -> None:
        hosted = self._hosted.get(wanted.id)
        if hosted is None:
            server = ProxyServer(self._config(wanted), None, self._ground.read_secret)
            checks = HealthChecks(server, wanted.name, self._ground.servers, self._ground.database_name)
            hosted = self._hosted[wanted.id] = _Hosted(wanted, server, checks)
            await server.start()
            hosted.checking = asyncio.create_task(checks.run())
            _log.info("proxy_hosted", extra={"proxy": wanted.name})
        elif hosted.wanted != wanted:
            hosted.server.reload(self._config(wanted))
            hosted.wanted = wanted
        await self._listen(hosted)

    async def _listen(self, hosted: _Hosted) -> None:
        """Listen where it is wanted; what did not work before is tried again."""
        wanted = hosted.wanted.endpoints
        for endpoint, why in list(hosted.listening.items()):
            if endpoint not in wanted or why:
                del hosted.listening[endpoint]
                if not why:
                    hosted.server.stop_listening(_endpoint(endpoint))
        for endpoint in wanted:
            if endpoint in hosted.listening:
                continue
            try:
                await hosted.server.listen(_endpoint(endpoint))
            except OSError as error:
                hosted.listening[endpoint] = f"{endpoint.host}:{endpoint.port}: {error.strerror or error}"
                fields = {"proxy": hosted.wanted.name, "endpoint": endpoint.name, "reason": hosted.listening[endpoint]}
                _log.error("endpoint_not_listening", extra=fields)
            else:
                hosted.listening[endpoint] = ""
                at = f"{endpoint.host}:{endpoint.port}"
                _log.info("endpoint_listens", extra={"proxy": hosted.wanted.name, "endpoint": endpoint.name, "at": at})

    async def _end(self, hosted: _Hosted) -> None:
        if hosted.checking is not None:
            hosted.checking.cancel()
            await asyncio.gather(hosted.checking, return_exceptions=True)
        await hosted.server.close()
        _log.info("proxy_not_hosted_any_more", extra={"proxy": hosted.wanted.name})

    def _config(self, wanted: HostedProxy) -> ProxyConfig:
        ground = self._ground
        certificate, key = ensure_certificate(ground.certificates, wanted.id, wanted.hosts)
        return ProxyConfig(
            servers=ground.servers,
            databases=(every_database(ground.servers),),
            users=tuple(
                ProxyUser(
                    name=user.name,
                    secret=user.secret,
                    rules=LoginRules(iam=IamAuth(user.iam), password_auth=PasswordAuth(user.password_auth)),
                )
                for user in wanted.users
            ),
            endpoints=(),
            certificate_file=certificate,
            key_file=key,
            tls_required=wanted.require_tls,
            aws=ground.aws,
            settings=wanted.settings,
        )


def _endpoint(endpoint: HostedEndpoint) -> Endpoint:
    return Endpoint(endpoint.host, endpoint.port, EndpointRole(endpoint.role), endpoint.name)
