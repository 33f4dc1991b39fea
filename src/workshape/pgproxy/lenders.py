"""Everybody who lends connections at one proxy: its database servers, and the groups that several of them form."""

import logging
from collections.abc import Mapping

from workshape.pgproxy.client_connection import ClientConnection, Lender
from workshape.pgproxy.config import ProxyConfig
from workshape.pgproxy.database_connection import DatabaseTarget
from workshape.pgproxy.lending import Lending, ProxyGround
from workshape.pgproxy.routes import Routes
from workshape.pgproxy.sqlstate import WireError, no_readers, no_such_database
from workshape.pgproxy.target_group import TargetGroup

_log = logging.getLogger(__name__)


class Lenders:
    """One proxy's."""

    def __init__(self, config: ProxyConfig, targets: Mapping[str, DatabaseTarget], ground: ProxyGround) -> None:
        """`targets` are the servers', by their names."""
        self.lendings = {server.name: Lending(server, targets[server.name], ground) for server in config.servers}
        """By the names of the servers."""
        self._ground = ground
        self._groups: dict[tuple[tuple[str, ...], bool], TargetGroup] = {}
        """By the names of their servers, and whether their clients write."""
        self._retired: set[str] = set()
        """Servers that no database is on any more, with connections that are still held."""

    def __repr__(self) -> str:
        return f"<Lenders {list(self.lendings.values())}>"

    @property
    def routes(self) -> Routes:
        """Where each database is."""
        return self._ground.routes

    def find(self, database: str, *, writes: bool) -> Lender | WireError:
        """Who lends connections to this database, to clients that write or to clients that only read."""
        route = self._ground.routes.find(database)
        if route is None:
            return no_such_database(database)
        if not route.readers:
            return self.lendings[route.server] if writes else no_readers(database)
        names = (route.server, *route.readers)
        group = self._groups.get((names, writes))
        if group is None:
            members = [self.lendings[name] for name in names]
            group = self._groups[names, writes] = TargetGroup(members, self._ground, writes=writes)
        return group

    def reconsider(self) -> None:
        """A server is another than it was."""
        for group in list(self._groups.values()):
            group.reconsider()

    def waits(self) -> dict[ClientConnection, float]:
        """Who waits for a server to be there at all, and since when."""
        return {client: since for group in self._groups.values() for client, since in group.waiting.items()}

    def apply(
        self, config: ProxyConfig, targets: Mapping[str, DatabaseTarget], clients: list[ClientConnection]
    ) -> None:
        """Go by other servers and databases: clients come to where their database is now."""
        for server in config.servers:
            lending, target = self.lendings.get(server.name), targets[server.name]
            if lending is None:
                self.lendings[server.name] = Lending(server, target, self._ground)
            else:
                lending.apply(server, target)
        self._retired = self.lendings.keys() - {server.name for server in config.servers}
        self._groups.clear()
        for client in clients:
            if client.lender is not None:
                self._move(client)
        for name in self._retired:
            self.lendings[name].renew(None)

    def _move(self, client: ClientConnection) -> None:
        before = client.lender
        assert before is not None
        found = self.find(client.database_name, writes=client.writes)
        if isinstance(found, WireError):
            client.end(found)
            return
        if found is not before:
            before.withdraw(client)
            client.lender = found
            if client.is_waiting:
                found.want(client)

    def tick(self, now: float) -> None:
        """Let time pass."""
        for lending in self.lendings.values():
            lending.tick(now)
        for group in self._groups.values():
            group.tick(now)
        for name in [name for name in self._retired if self.lendings[name].pools.is_drained(None)]:
            _log.info("database_server_gone", extra={"server": name})
            self._retired.discard(name)
            del self.lendings[name]

    def close(self) -> None:
        """Close every connection."""
        for lending in self.lendings.values():
            lending.close()
