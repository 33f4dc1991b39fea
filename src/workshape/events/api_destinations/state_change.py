"""What the default event bus is told when connections and API destinations change. A core.

Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/event-reference.html#event-reference-connections
AWS: undocumented which of these events goes with which request; we chose those whose names say what happens.
"""

from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from workshape.delivery import BusEnvelope, Delivery
from workshape.events.api_destinations.connection import Connection, ConnectionState
from workshape.events.api_destinations.destination import ApiDestination
from workshape.events.event import SCHEDULED_SOURCE

SOURCE = SCHEDULED_SOURCE
"""EventBridge's own, for whatever it tells."""
_BEGUN = {
    ConnectionState.AUTHORIZING: ("Authorization Started",),
    ConnectionState.AUTHORIZED: ("Authorized",),
    ConnectionState.DEAUTHORIZED: ("Deauthorized",),
}


class Change(NamedTuple):
    """A connection before and after; None: it was not there, it is not there any more."""

    old: Connection | None
    new: Connection | None

    @property
    def steps(self) -> tuple[str, ...]:
        """What happened, as the ends of detail types."""
        old, new = self
        if old is None or new is None:
            return ("Deletion Started",) if new is None else ("Creation Started", *_BEGUN[new.state])
        if new.auth is None and old.auth is not None:
            return ("Deauthorization Started", "Deauthorized")
        is_anew = (old.state, old.authorized_at) != (new.state, new.authorized_at)
        begun = _BEGUN[new.state] if is_anew else ()
        return ("Update Started", *begun) if old.modified_at != new.modified_at else begun

    @property
    def activation(self) -> str:
        """What becomes of the connection's API destinations, as the end of a detail type; empty: nothing."""
        was, is_now = (one is not None and one.is_authorized for one in self)
        return "" if was == is_now else "Activated" if is_now else "Deactivated"


def connection_event(connection: Connection, step: str, now: float) -> Delivery:
    """Write an event about a connection."""
    detail = {"ConnectionName": connection.name, "Timestamp": _time(now)}
    if connection.reason:
        detail["StateReason"] = connection.reason
    return _delivery(f"Connection {step}", connection.arn, detail)


def destination_event(destination: ApiDestination, step: str, now: float) -> Delivery:
    """Write an event about an API destination."""
    detail = {"ApiDestinationName": destination.name, "Timestamp": _time(now)}
    return _delivery(f"API Destination {step}", destination.arn, detail)


def _delivery(detail_type: str, arn: str, detail: dict[str, str]) -> Delivery:
    return Delivery(msgspec.json.encode(detail).decode(), envelope=BusEnvelope(SOURCE, detail_type, (arn,)))


def _time(at: float) -> str:
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%d %H:%M:%S +0000 UTC")
