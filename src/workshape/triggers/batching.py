"""What goes into one batch: so many records, so many bytes, or whatever came within the window. A core.

Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventsourcemapping.html#invocation-eventsourcemapping-batching
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from workshape.functions.limits import SYNC_PAYLOAD_BYTES_MAX
from workshape.queues.limits import RECEIVE_COUNT_MAX
from workshape.queues.model import ReceivedMessage

ENVELOPE_BYTES = len(b'{"Records":[]}')


@dataclass(frozen=True, slots=True)
class Entry:
    """A message and its record of the event, encoded."""

    message: ReceivedMessage
    record: bytes = field(repr=False)


class Batch:
    """A batch being gathered. Its window begins with its first message."""

    def __init__(self, count_max: int, window_s: float) -> None:
        self._count_max = count_max
        self._window_s = window_s
        self._bytes = ENVELOPE_BYTES
        self._due_at: float | None = None
        self._full = False
        self.entries: list[Entry] = []
        self.received_at = 0.0
        """When its first message was received: the one whose visibility timeout ends first."""

    def __repr__(self) -> str:
        return f"<Batch {len(self.entries)} of {self._count_max} bytes={self._bytes}>"

    @property
    def room(self) -> int:
        """How many messages one receive may ask for."""
        return min(RECEIVE_COUNT_MAX, self._count_max - len(self.entries))

    def add(self, entries: Sequence[Entry], now: float) -> list[Entry]:
        """Take entries in their order; return those that are over the size of an event."""
        if entries and self._due_at is None:
            self.received_at = now
            self._due_at = now + self._window_s
        for index, entry in enumerate(entries):
            size = len(entry.record) + (1 if self.entries else 0)  # a comma
            if self.entries and self._bytes + size > SYNC_PAYLOAD_BYTES_MAX:
                self._full = True
                return list(entries[index:])
            self.entries.append(entry)
            self._bytes += size
        return []

    def is_due(self, now: float) -> bool:
        """Tell whether to invoke with what is there."""
        if self._due_at is None:
            return False
        return self._full or len(self.entries) >= self._count_max or now >= self._due_at

    def wait_s(self, now: float) -> float:
        """How long the window still lasts; infinite before the first message."""
        return float("inf") if self._due_at is None else max(0.0, self._due_at - now)

    def payload(self) -> bytes:
        """The event."""
        return b'{"Records":[' + b",".join(entry.record for entry in self.entries) + b"]}"
