"""Tells the default event bus of connections and API destinations: best effort, as AWS does.

Source: https://docs.aws.amazon.com/eventbridge/latest/ref/event-delivery-level.html
"""

import asyncio
import logging

from workshape.clock import Clock
from workshape.delivery import Deliver, Delivery, Undelivered
from workshape.events.api_destinations.connection import Connection
from workshape.events.api_destinations.connections import Connections
from workshape.events.api_destinations.destination import ApiDestination
from workshape.events.api_destinations.destinations import ApiDestinations
from workshape.events.api_destinations.state_change import Change, connection_event, destination_event

UNTOLD_MAX = 10_000  # more than there can be connections and destinations; what is beyond is lost

_log = logging.getLogger(__name__)


class StateEvents:
    """Of all connections and API destinations. `run` it."""

    def __init__(
        self, connections: Connections, destinations: ApiDestinations, bus_arn: str, deliver: Deliver, clock: Clock
    ) -> None:
        """Begin to follow what changes; `deliver` takes events to the bus."""
        self._destinations = destinations
        self._bus_arn = bus_arn
        self._deliver = deliver
        self._clock = clock
        self._untold: asyncio.Queue[Delivery] = asyncio.Queue(UNTOLD_MAX)
        connections.subscribe(self._connection_changed)
        destinations.subscribe(self._destination_made)

    def __repr__(self) -> str:
        return f"<StateEvents untold={self._untold.qsize()}>"

    async def run(self) -> None:
        """Tell, until cancelled."""
        while True:
            event = await self._untold.get()
            outcome = await self._deliver(self._bus_arn, event)
            if isinstance(outcome, Undelivered):
                _log.warning("state_event_lost", extra={"reason": outcome.message})

    def _connection_changed(self, old: Connection | None, new: Connection | None) -> None:
        connection, change, now = new or old, Change(old, new), self._clock.wall_s()
        if connection is None:
            return
        for step in change.steps:
            self._tell(connection_event(connection, step, now))
        if change.activation:
            for destination in self._destinations.destinations():
                if destination.connection_arn == connection.arn:
                    self._tell(destination_event(destination, change.activation, now))

    def _destination_made(self, destination: ApiDestination) -> None:
        if self._destinations.is_active(destination):
            self._tell(destination_event(destination, "Activated", self._clock.wall_s()))

    def _tell(self, event: Delivery) -> None:
        try:
            self._untold.put_nowait(event)
        except asyncio.QueueFull:
            _log.warning("state_event_lost", extra={"reason": "too many wait"})
