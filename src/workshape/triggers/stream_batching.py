"""What goes into one batch of a topic's records: so many, so many bytes, or whatever came within the window. A core.

A batch may have records of several partitions, of each in order.

Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventsourcemapping.html#invocation-eventsourcemapping-batching
"""

from collections.abc import Sequence

from workshape.triggers.kafka_event import RecordEntry, event_bytes


class RecordBatch:
    """A batch being gathered. Its window begins with its first record."""

    def __init__(self, count_max: int, window_s: float, bytes_max: int) -> None:
        self._count_max = count_max
        self._window_s = window_s
        self._bytes_max = bytes_max
        self._bytes = 0
        self._due_at: float | None = None
        self._full = False
        self.entries: list[RecordEntry] = []

    def __repr__(self) -> str:
        return f"<RecordBatch {len(self.entries)} of {self._count_max} bytes={self._bytes}>"

    @property
    def room(self) -> int:
        """How many more records there may be."""
        return self._count_max - len(self.entries)

    def add(self, entries: Sequence[RecordEntry], now: float) -> list[RecordEntry]:
        """Take entries in their order; return those that are too many or over the size of an event."""
        if entries and self._due_at is None:
            self._due_at = now + self._window_s
        for index, entry in enumerate(entries):
            size = event_bytes(entry)
            if self.entries and (self._bytes + size > self._bytes_max or not self.room):
                self._full = True
                return list(entries[index:])
            self.entries.append(entry)
            self._bytes += size
        return []

    def is_due(self, now: float) -> bool:
        """Tell whether to invoke with what is there."""
        return self._due_at is not None and (self._full or not self.room or now >= self._due_at)

    def wait_s(self, now: float) -> float:
        """How long the window still lasts; infinite before the first record."""
        return float("inf") if self._due_at is None else max(0.0, self._due_at - now)
