"""What extensions may hear of their environment: events, who subscribed to which, and how many wait for them.

Source: https://docs.aws.amazon.com/lambda/latest/dg/telemetry-api-reference.html (subscriptions)
Source: https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html (events)
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec

from workshape.errors import Invalid
from workshape.iso_time import iso_milliseconds

KIB = 1024
BACKLOG_BATCHES_MAX = 4
"""AWS: undocumented; a subscriber so many full batches behind loses what comes next."""
_HOSTS = frozenset({"sandbox.localdomain", "sandbox", "localhost", "127.0.0.1"})
_DROPPED_REASON = "Consumer seems to have fallen behind as it has not acknowledged receipt of logs."

Category = Literal["platform", "function", "extension"]


class InvalidSubscription(Invalid):
    """{reason}"""


class Buffering(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """How much is gathered before it is sent."""

    max_items: Annotated[int, msgspec.Meta(ge=1_000, le=10_000)] = 10_000
    max_bytes: Annotated[int, msgspec.Meta(ge=256 * KIB, le=1024 * KIB)] = 256 * KIB
    timeout_ms: Annotated[int, msgspec.Meta(ge=25, le=30_000)] = 1_000


class _Destination(msgspec.Struct, frozen=True):
    protocol: Literal["HTTP", "TCP"]
    URI: str = ""  # the API's own spelling
    port: int = 0


class _Request(msgspec.Struct, frozen=True, rename="camel"):
    schema_version: Literal["2022-07-01", "2022-12-13", "2025-01-29"]
    destination: _Destination
    types: Annotated[list[Category], msgspec.Meta(min_length=1)]
    buffering: Buffering = Buffering()


@dataclass(frozen=True, slots=True)
class Subscription:
    """What one extension wants to hear, and where."""

    types: Sequence[Category]
    buffering: Buffering
    protocol: Literal["HTTP", "TCP"]
    port: int
    target: str
    """Path and query of an HTTP destination."""


def read_subscription(body: bytes) -> Subscription:
    """Read a subscription.

    Raises:
        InvalidSubscription: says what is wrong with it.
    """
    try:
        request = msgspec.json.decode(body, type=_Request)
        uri = urlsplit(request.destination.URI)
        host, uri_port = uri.hostname or "", uri.port
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise InvalidSubscription(reason=str(error)) from error
    protocol = request.destination.protocol
    if request.destination.URI:
        if uri.scheme.upper() != protocol:
            raise InvalidSubscription(
                reason=f"the URI of a destination by {protocol} begins with {protocol.lower()}://"
            )
        if host not in _HOSTS:
            raise InvalidSubscription(reason="a destination is inside the environment: sandbox.localdomain")
    port = request.destination.port or uri_port or (80 if protocol == "HTTP" and host else 0)
    if not 0 < port < 65_536:
        raise InvalidSubscription(reason="the destination has no port")
    if port == 9001:  # "Lambda reserves port 9001"
        raise InvalidSubscription(reason="port 9001 is reserved")
    target = (uri.path or "/") + (f"?{uri.query}" if uri.query else "")
    return Subscription(tuple(dict.fromkeys(request.types)), request.buffering, protocol, port, target)


def telemetry_event(at: float, kind: str, record: Any) -> bytes:
    """Write an event; `record` is an object, or the text of a log line."""
    return msgspec.json.encode({"time": iso_milliseconds(at), "type": kind, "record": record})


class TelemetryBuffer:
    """The events that wait for one subscriber. Times are monotonic seconds."""

    def __init__(self, buffering: Buffering) -> None:
        self._buffering = buffering
        self._events: deque[tuple[float, bytes]] = deque()
        self._bytes = 0
        self._dropped_records = 0
        self._dropped_bytes = 0
        self._flush = False

    def __repr__(self) -> str:
        return f"<TelemetryBuffer events={len(self._events)} bytes={self._bytes} dropped={self._dropped_records}>"

    def add(self, event: bytes, now: float) -> None:
        """Keep an event, or count it as dropped when too much waits already."""
        buffering = self._buffering
        over_bytes = self._bytes + len(event) > BACKLOG_BATCHES_MAX * buffering.max_bytes
        if over_bytes or len(self._events) >= BACKLOG_BATCHES_MAX * buffering.max_items:
            self._dropped_records += 1
            self._dropped_bytes += len(event)
            return
        self._events.append((now, event))
        self._bytes += len(event)

    def flush(self) -> None:
        """Wait for no more: what is here is due."""
        self._flush = True

    def due(self) -> float:
        """When the next batch is to be sent; `inf` when nothing waits."""
        if not self._events and not self._dropped_records:
            return inf
        full = len(self._events) >= self._buffering.max_items or self._bytes >= self._buffering.max_bytes
        if full or self._flush or not self._events:
            return -inf
        return self._events[0][0] + self._buffering.timeout_ms / 1_000

    def take(self, at: float) -> list[bytes]:
        """Take out the next batch, oldest first; `at` is Unix time, for the event about what was dropped."""
        batch: list[bytes] = []
        size = 0
        while self._events and len(batch) < self._buffering.max_items and size < self._buffering.max_bytes:
            event = self._events.popleft()[1]
            batch.append(event)
            size += len(event)
        self._bytes -= size
        if self._dropped_records and not self._events:
            record = {
                "droppedBytes": self._dropped_bytes,
                "droppedRecords": self._dropped_records,
                "reason": _DROPPED_REASON,
            }
            batch.append(telemetry_event(at, "platform.logsDropped", record))
            self._dropped_records = self._dropped_bytes = 0
        if not self._events:
            self._flush = False
        return batch
