"""The API destinations there are: durable. Everything that shows or calls one asks here.

Source: https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_Operations.html
"""

from collections.abc import Callable

import msgspec

from workshape.clock import Clock
from workshape.events.api_destinations.connection import ConnectionNotFound
from workshape.events.api_destinations.connections import Connections
from workshape.events.api_destinations.destination import (
    DESTINATIONS_MAX,
    PREFIX,
    ApiDestination,
    DestinationExists,
    DestinationNotFound,
    check_endpoint,
    destination_arn,
)
from workshape.events.model import LimitExceeded
from workshape.identifiers import new_uuid
from workshape.store.documents import Documents

DESTINATION_KIND = "api-destination"


class ApiDestinations:
    """All of one account and region. A change is on disk when its method returns."""

    def __init__(self, store: Documents, connections: Connections, clock: Clock, *, region: str, account: str) -> None:
        """Read what there is."""
        self._store = store
        self._connections = connections
        self._clock = clock
        self._region = region
        self._account = account
        self._made: list[Callable[[ApiDestination], None]] = []
        self._destinations: dict[str, ApiDestination] = {}
        for name, document in store.all(DESTINATION_KIND):
            self._destinations[name] = msgspec.msgpack.decode(document, type=ApiDestination)

    def __repr__(self) -> str:
        return f"<ApiDestinations {', '.join(sorted(self._destinations))}>"

    def subscribe(self, made: Callable[[ApiDestination], None]) -> None:
        """Have it called with each API destination that is made."""
        self._made.append(made)

    def destinations(self) -> list[ApiDestination]:
        """All of them, by name."""
        return [self._destinations[name] for name in sorted(self._destinations)]

    def destination(self, name: str) -> ApiDestination:
        """Return an API destination. Raises: DestinationNotFound: there is none."""
        if name not in self._destinations:
            raise DestinationNotFound(kind="API destination", name=name)
        return self._destinations[name]

    def find(self, arn: str) -> ApiDestination | None:
        """The API destination of that ARN, if it is there."""
        found = self._destinations.get(arn.partition(PREFIX)[2].partition("/")[0])
        return found if found is not None and found.arn == arn else None

    def rate_of(self, arn: str) -> int | None:
        """How many invocations a second an API destination takes; None: the ARN names none."""
        found = self.find(arn)
        return None if found is None else found.rate_per_s

    def is_active(self, destination: ApiDestination) -> bool:
        """Tell whether its connection is there, and authorized."""
        connection = self._connections.find(destination.connection_arn)
        return connection is not None and connection.is_authorized

    def create(self, given: ApiDestination) -> ApiDestination:
        """Make an API destination; its ARN and its times are given here.

        Raises:
            InvalidEndpoint, ConnectionNotFound, DestinationExists, LimitExceeded: it cannot be.
        """
        self._check(given)
        if given.name in self._destinations:
            raise DestinationExists(name=given.name)
        if len(self._destinations) >= DESTINATIONS_MAX:
            raise LimitExceeded(limit=DESTINATIONS_MAX, what="API destinations")
        now = self._clock.wall_s()
        arn = destination_arn(self._region, self._account, given.name, new_uuid())
        destination = self._keep(msgspec.structs.replace(given, arn=arn, created_at=now, modified_at=now))
        for made in self._made:
            made(destination)
        return destination

    def put(self, destination: ApiDestination) -> ApiDestination:
        """Replace an API destination there is. Raises: InvalidEndpoint, ConnectionNotFound: it cannot be so."""
        self._check(destination)
        return self._keep(msgspec.structs.replace(destination, modified_at=self._clock.wall_s()))

    def delete(self, name: str) -> None:
        """Remove an API destination. Raises: DestinationNotFound: there is none."""
        self.destination(name)
        self._store.delete(DESTINATION_KIND, name)
        del self._destinations[name]

    def _check(self, destination: ApiDestination) -> None:
        check_endpoint("InvocationEndpoint", destination.endpoint)
        if self._connections.find(destination.connection_arn) is None:
            raise ConnectionNotFound(kind="connection", name=destination.connection_arn)

    def _keep(self, destination: ApiDestination) -> ApiDestination:
        self._store.put(DESTINATION_KIND, destination.name, msgspec.msgpack.encode(destination))
        self._destinations[destination.name] = destination
        return destination
