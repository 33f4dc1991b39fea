"""Which database is where, by the name that a client asks for, and how its clients share connections. A core."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from workshape.settings import PoolMode

EVERY_DATABASE = "*"
POSTGRES_PORT = 5432
PORT_MAX = 65_535


def server_address(text: str) -> tuple[str, int] | None:
    """Read `HOST:PORT`, or `HOST` at PostgreSQL's own port, an IPv6 address in brackets; None: it is neither."""
    host, colon, port = text.rpartition(":")
    if not colon or port.endswith("]"):
        host, port = text, str(POSTGRES_PORT)
    is_address = bool(host) and port.isdecimal() and 0 < int(port) <= PORT_MAX
    return (host.strip("[]"), int(port)) if is_address else None


@dataclass(frozen=True, slots=True)
class ProxiedDatabase:
    """Where clients come to by the name of the database that they ask for."""

    name: str
    """EVERY_DATABASE: every one that has no entry of its own."""
    server: str
    """The name of the server that reads and writes it."""
    readers: tuple[str, ...] = ()
    """The names of those that a READ_ONLY endpoint sends to."""
    real_name: str = ""
    """What it is called on the server; empty: the same."""
    pool_mode: PoolMode | None = None
    """Another one than the proxy's."""
    connections_max: int | None = None
    """How many database connections there may be to it on each server, whatever its share has room for."""
    user: str = ""
    """As whom the proxy logs in there for every client; empty: as the client's own user."""


class Routes:
    """One configuration's."""

    def __init__(
        self, databases: Iterable[ProxiedDatabase], pool_mode: PoolMode, user_modes: Mapping[str, PoolMode]
    ) -> None:
        """`pool_mode` is the proxy's own; `user_modes` are those of users that have one of theirs."""
        self._pool_mode = pool_mode
        self._user_modes = user_modes
        self._by_name = {database.name: database for database in databases}

    def __repr__(self) -> str:
        return f"<Routes {sorted(self._by_name)}>"

    def names(self) -> tuple[str, ...]:
        """Every database that has an entry, EVERY_DATABASE included."""
        return tuple(self._by_name)

    def find(self, name: str) -> ProxiedDatabase | None:
        """Where a client that asks for this name comes to; None: nowhere."""
        return self._by_name.get(name) or self._by_name.get(EVERY_DATABASE)

    def real_name(self, name: str) -> str:
        """What the database is called on its server."""
        found = self.find(name)
        return name if found is None or not found.real_name else found.real_name

    def server_user(self, database: str, user: str) -> str:
        """As whom the proxy logs in for this user."""
        found = self.find(database)
        return user if found is None or not found.user else found.user

    def pool_mode(self, database: str, user: str | None = None) -> PoolMode:
        """The user's own, else the database's, else the proxy's: as PgBouncer has it."""
        found = self.find(database)
        own = None if found is None else found.pool_mode
        of_user = None if user is None else self._user_modes.get(user)
        return of_user or own or self._pool_mode

    def connections_max(self, database: str) -> int | None:
        """How many connections to it there may be on each server; None: as many as the server's share has room for."""
        found = self.find(database)
        return None if found is None else found.connections_max
