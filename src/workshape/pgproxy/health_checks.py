"""The health of the database behind one hosted proxy, server by server, checked again and again. A driver.

A server is checked by a log-in while the proxy has no connection to it that shows it.
"""

import asyncio
import logging
from collections.abc import Sequence

from workshape.hosted import AVAILABLE, REGISTERING, ServerState, TargetState, health_of_database
from workshape.pgproxy.config import DatabaseServer
from workshape.pgproxy.server import ProxyServer
from workshape.pgproxy.target_choice import roles
from workshape.pgproxy.target_health import AUTH_FAILURE, Checked, check_target

RETRY_S = 1.0  # between two health checks of one server while any is not available: how soon a fail-over is told
PAUSES = 5  # of that length, while all are

_log = logging.getLogger(__name__)


class HealthChecks:
    """Those of one proxy. `run` it."""

    def __init__(self, proxy: ProxyServer, name: str, servers: Sequence[DatabaseServer], database: str) -> None:
        """`name` is for the log; `database` is which database of theirs is asked for."""
        self._proxy = proxy
        self._name = name
        self._database = database
        self._found = {server.name: Checked(REGISTERING) for server in servers}

    def __repr__(self) -> str:
        return f"<HealthChecks {self._name} {self.whole.state} of {list(self._found)}>"

    @property
    def servers(self) -> dict[str, ServerState]:
        """Each server by its name, as it was last found."""
        found = [(one.takes_writes, one.health.is_available) for one in self._found.values()]
        return {
            name: ServerState(one.health, role)
            for (name, one), role in zip(self._found.items(), roles(found), strict=True)
        }

    @property
    def whole(self) -> TargetState:
        """Of the database: whether clients that write are served."""
        return health_of_database(list(self.servers.values()))

    async def run(self) -> None:
        """Check until cancelled; a server that says nothing holds up no others' checks."""
        async with asyncio.TaskGroup() as group:
            for name in self._found:
                group.create_task(self._check_on(name))

    async def _check_on(self, name: str) -> None:
        while True:
            await self._check(name)
            for _ in range(PAUSES):
                await asyncio.sleep(RETRY_S)
                if not all(one.health.is_available for one in self._found.values()):
                    break

    async def _check(self, name: str) -> None:
        before, found = self._found[name], await self._look(name)
        if found.takes_writes is None:
            found = Checked(found.health, before.takes_writes)
        self._found[name] = found
        if found != before:
            fields = {"proxy": self._name, "database": name, "takes_writes": found.takes_writes}
            _log.info("target_health", extra={**fields, "state": found.health.state, "reason": found.health.reason})

    async def _look(self, name: str) -> Checked:
        lending = self._proxy.lending(name)
        if lending.databases:
            return Checked(AVAILABLE, lending.takes_writes)
        passwords = self._proxy.passwords()
        found = await check_target(lending.target, passwords, self._database)
        if found.health.reason == AUTH_FAILURE:
            for user in list(passwords):
                await self._proxy.learn_anew(user)  # it may be the secret that was wrong, and is right by now
        return found
