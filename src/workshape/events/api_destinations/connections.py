"""The connections there are, their secrets included: durable. Everything that shows or uses one asks here.

Source: https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_Operations.html
"""

import logging
from collections.abc import Callable

import msgspec

from workshape.clock import Clock
from workshape.events.api_destinations.connection import (
    CONNECTIONS_MAX,
    Auth,
    Connection,
    ConnectionExists,
    ConnectionNotFound,
    ConnectionState,
    connection_arn,
    secret_arn,
)
from workshape.events.model import LimitExceeded
from workshape.identifiers import new_uuid
from workshape.store.documents import Documents

CONNECTION_KIND = "event-connection"

OnConnection = Callable[[Connection | None, Connection | None], None]
"""Takes a connection as it was and as it is; None: it was not there, it is not there any more."""

_log = logging.getLogger(__name__)


class Connections:
    """All of one account and region. A change is on disk when its method returns."""

    def __init__(self, store: Documents, clock: Clock, *, region: str, account: str) -> None:
        """Read what there is."""
        self._store = store
        self._clock = clock
        self._region = region
        self._account = account
        self._changed: list[OnConnection] = []
        self._connections: dict[str, Connection] = {}
        for name, document in store.all(CONNECTION_KIND):
            self._connections[name] = msgspec.msgpack.decode(document, type=Connection)

    def __repr__(self) -> str:
        return f"<Connections {', '.join(f'{one.name}:{one.state}' for one in self._connections.values())}>"

    def subscribe(self, changed: OnConnection) -> None:
        """Have it called with each connection that changes."""
        self._changed.append(changed)

    def connections(self) -> list[Connection]:
        """All of them, by name."""
        return [self._connections[name] for name in sorted(self._connections)]

    def connection(self, name: str) -> Connection:
        """Return a connection. Raises: ConnectionNotFound: there is none."""
        if name not in self._connections:
            raise ConnectionNotFound(kind="connection", name=name)
        return self._connections[name]

    def find(self, arn: str) -> Connection | None:
        """The connection of that ARN, if it is there."""
        name = arn.partition(":connection/")[2].partition("/")[0]
        found = self._connections.get(name)
        return found if found is not None and found.arn == arn else None

    def create(self, given: Connection) -> Connection:
        """Make a connection; its ARN, its state and its times are given here.

        Raises:
            ConnectionExists, LimitExceeded: it cannot be.
        """
        if given.name in self._connections:
            raise ConnectionExists(name=given.name)
        if len(self._connections) >= CONNECTIONS_MAX:
            raise LimitExceeded(limit=CONNECTIONS_MAX, what="connections")
        now = self._clock.wall_s()
        arn = connection_arn(self._region, self._account, given.name, new_uuid())
        made = msgspec.structs.replace(given, arn=arn, created_at=now, modified_at=now)
        return self._keep(self._with_secret(made).to_authorize())

    def put(self, connection: Connection, *, authorize: bool) -> Connection:
        """Replace a connection there is; `authorize`: what it authorizes with is new."""
        changed = msgspec.structs.replace(connection, modified_at=self._clock.wall_s())
        return self._keep(self._with_secret(changed).to_authorize() if authorize else changed)

    def deauthorize(self, name: str) -> Connection:
        """Take away all that a connection authorizes with. Raises: ConnectionNotFound: there is none."""
        return self._keep(self.connection(name).deauthorized(self._clock.wall_s()))

    def delete(self, name: str) -> Connection:
        """Remove a connection; return what it was. Raises: ConnectionNotFound: there is none."""
        connection = self.connection(name)
        self._store.delete(CONNECTION_KIND, name)
        del self._connections[name]
        self._tell(connection, None)
        return connection

    # What invocations find out

    def accepted(self, arn: str, auth: Auth) -> None:
        """Note that a connection can authorize with that; nothing to do when it has other credentials by now."""
        connection = self.find(arn)
        if connection is not None and connection.auth == auth and connection.state is ConnectionState.AUTHORIZING:
            self._keep(connection.authorized(self._clock.wall_s()))

    def refused(self, arn: str, auth: Auth, reason: str) -> None:
        """Note that such credentials are not taken; nothing to do when the connection has others by now.

        Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-target-connection-deauthorize.html
        """
        connection = self.find(arn)
        if connection is None or connection.auth != auth or connection.state is ConnectionState.DEAUTHORIZED:
            return
        self._keep(connection.refused(reason))
        _log.warning("connection_deauthorized", extra={"connection": connection.name, "reason": reason})

    def _with_secret(self, connection: Connection) -> Connection:
        if connection.secret_arn:
            return connection
        arn = secret_arn(self._region, self._account, connection.name, new_uuid())
        return msgspec.structs.replace(connection, secret_arn=arn)

    def _keep(self, connection: Connection) -> Connection:
        self._store.put(CONNECTION_KIND, connection.name, msgspec.msgpack.encode(connection))
        old = self._connections.get(connection.name)
        self._connections[connection.name] = connection
        self._tell(old, connection)
        return connection

    def _tell(self, old: Connection | None, new: Connection | None) -> None:
        for changed in self._changed:
            changed(old, new)
