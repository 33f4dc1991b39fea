"""Deadlines of messages, soonest first. A core."""

from collections.abc import Callable, Iterable
from heapq import heapify, heappop, heappush

from workshape.queues.model import MessageNumber

_STALE_ENTRIES_MIN = 64  # below this a heap is not worth rebuilding


class Deadlines:
    """A heap of (time, message). An entry that no longer holds stays until its turn comes, and is passed over then."""

    def __init__(self, holds: Callable[[float, MessageNumber], bool]) -> None:
        """`holds` tells whether that still is the message's deadline."""
        self._holds = holds
        self._heap: list[tuple[float, MessageNumber]] = []

    def __repr__(self) -> str:
        return f"<Deadlines entries={len(self._heap)}>"

    def __len__(self) -> int:
        return len(self._heap)

    def set(self, at: float, number: MessageNumber) -> None:
        """A message has this deadline from here on."""
        heappush(self._heap, (at, number))

    def first(self) -> tuple[float, MessageNumber] | None:
        """The soonest that holds; None when there is none."""
        while self._heap:
            entry = self._heap[0]
            if self._holds(*entry):
                return entry
            heappop(self._heap)
        return None

    def pop(self) -> None:
        """Take the soonest out; `first` has just told it."""
        heappop(self._heap)

    def clear(self) -> None:
        """Forget them all."""
        self._heap.clear()

    def trim(self, count: int, entries: Iterable[tuple[float, MessageNumber]]) -> None:
        """Build the heap anew from its `count` true entries, when most of it is stale.

        That is O(1) a message, and memory stays bounded.
        """
        if len(self._heap) > 2 * count + _STALE_ENTRIES_MIN:
            self._heap = list(entries)
            heapify(self._heap)
