"""An event: what PutEvents accepts as one, and how it reads on a bus. A core.

Source: https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsRequestEntry.html
Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevent-size.html
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any

import msgspec

from workshape.errors import Invalid
from workshape.iso_time import iso_seconds

ENTRIES_BYTES_MAX = 1024 * 1024
"""Of all entries of a request together.

Source: https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
"""
TIME_BYTES = 14
NESTING_MAX = 500  # AWS: undocumented; we chose what every reader of JSON on an event's way takes
SCHEDULED_SOURCE = "aws.events"
SCHEDULED_TYPE = "Scheduled Event"
_NO_BRACKET = re.compile(r'[^"\[\]{}]+|"[^"\\]*(?:\\.[^"\\]*)*"')
_DEEPER = {"{": 1, "[": 1, "}": -1, "]": -1}


# Entries' errors: their codes are PutEventsResultEntry's. AWS: undocumented; we chose the words.


class InvalidArgument(Invalid):
    """{reason}"""


class MalformedDetail(Invalid):
    """Detail is malformed."""


class NotAuthorizedForSource(Invalid):
    """Not authorized for the source."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of PutEvents, as it came."""

    source: str = ""
    detail_type: str = ""
    detail: str = ""
    bus: str = ""
    """Name or ARN; empty: the default bus."""
    time: float | None = None
    resources: tuple[str, ...] = ()
    trace_header: str = ""

    @property
    def is_complete(self) -> bool:
        """Tell whether it has what every entry must have."""
        return bool(self.source and self.detail_type and self.detail)

    @property
    def size_bytes(self) -> int:
        """How large EventBridge counts it."""
        texts = (self.source, self.detail_type, self.detail, *self.resources)
        return sum(len(text.encode()) for text in texts) + (TIME_BYTES if self.time is not None else 0)


@dataclass(frozen=True, slots=True)
class Event:
    """One event on a bus."""

    body: dict[str, Any]
    """As patterns and paths see it."""
    encoded: bytes
    """The same as JSON."""
    accepted_at: float
    trace_header: str = ""
    from_bus: str = ""
    """The ARN of the bus whose rule sent it here; empty: it was put here."""

    @property
    def id(self) -> str:
        """Unique."""
        return str(self.body["id"])


def check_entry(entry: Entry, *, is_service: bool = False) -> dict[str, Any]:
    """Check one entry, and return its detail. Only services have sources that begin with `aws.`.

    Raises:
        InvalidArgument, MalformedDetail, NotAuthorizedForSource: EventBridge refuses it, and says so in its answer.
    """
    for name, value in (("Source", entry.source), ("DetailType", entry.detail_type), ("Detail", entry.detail)):
        if not value:
            raise InvalidArgument(reason=f"Parameter {name} is not valid. Reason: {name} is a required argument.")
    if entry.source.startswith("aws.") and not is_service:
        raise NotAuthorizedForSource
    try:
        detail = msgspec.json.decode(entry.detail)
    except (msgspec.DecodeError, RecursionError) as error:
        raise MalformedDetail from error
    if not isinstance(detail, dict) or is_nested_deeper(entry.detail, NESTING_MAX):
        raise MalformedDetail
    return detail


def event_of(entry: Entry, detail: dict[str, Any], *, event_id: str, account: str, region: str, now: float) -> Event:
    """Make the event of a checked entry."""
    body = {
        "version": "0",
        "id": event_id,
        "detail-type": entry.detail_type,
        "source": entry.source,
        "account": account,
        "time": iso_seconds(now if entry.time is None else entry.time),
        "region": region,
        "resources": list(entry.resources),
        "detail": detail,
    }
    return Event(body, msgspec.json.encode(body), now, entry.trace_header)


def scheduled_event(rule_arn: str, *, event_id: str, account: str, region: str, due_at: float, now: float) -> Event:
    """Make the event of a rule whose time has come.

    Source: https://docs.aws.amazon.com/eventbridge/latest/ref/event-reference.html
    """
    body = {
        "version": "0",
        "id": event_id,
        "detail-type": SCHEDULED_TYPE,
        "source": SCHEDULED_SOURCE,
        "account": account,
        "time": iso_seconds(due_at),
        "region": region,
        "resources": [rule_arn],
        "detail": {},
    }
    return Event(body, msgspec.json.encode(body), now)


def is_nested_deeper(text: str, levels: int) -> bool:
    """Tell whether JSON, which is well-formed, has objects and arrays in each other on more levels than that."""
    if text.count("{") + text.count("[") <= levels:
        return False
    # No loop of ours: a large event has hundreds of thousands of brackets.
    brackets = _NO_BRACKET.sub("", text)
    return max(accumulate(map(_DEEPER.__getitem__, brackets))) > levels


def unix_time(time: str) -> float:
    """Read the time of an event."""
    return datetime.strptime(time, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
