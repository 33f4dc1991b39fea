"""One standard queue: every decision about its messages, with no I/O and no clock.

A message is in exactly one of three places:

    delayed --visible_at--> ready --receive--> in flight --delete--> gone
                              ^-----visible_at-----'

Whoever calls has called `advance(now)` first; `now` is in seconds since the epoch, because it outlives the process.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from workshape.queues.limits import IN_FLIGHT_MAX, SETTLED_AT_ONCE_MAX, VISIBILITY_TIMEOUT_S_MAX
from workshape.queues.model import (
    InvalidParameter,
    Message,
    MessageNotInflight,
    MessageNumber,
    QueueAttributes,
    QueueDepth,
    Receipt,
)

_STALE_ENTRIES_MIN = 64  # below this a heap is not worth rebuilding


@dataclass(frozen=True, slots=True)
class Advanced:
    """What time alone has done."""

    woken: int
    """Messages that became ready: their delay or their visibility timeout ended."""
    expired: tuple[MessageNumber, ...]
    """Messages that were kept for the whole retention period and are gone."""


@dataclass(frozen=True, slots=True)
class Received:
    """What a receive handed out."""

    messages: tuple[Message, ...]
    dead: tuple[Message, ...]
    """Received too often: taken out of this queue, for the caller to put into the dead-letter queue."""


class Queue:
    """The messages of one queue. `epoch` tells this run of the broker from earlier ones in receipts."""

    def __init__(self, attributes: QueueAttributes, epoch: int) -> None:
        self.attributes = attributes
        self._epoch = epoch
        self._ready: OrderedDict[MessageNumber, Message] = OrderedDict()
        self._delayed: dict[MessageNumber, Message] = {}
        self._in_flight: dict[MessageNumber, Message] = {}
        self._wake_heap: list[tuple[float, MessageNumber]] = []
        """(visible_at, number) of delayed and in-flight messages; entries that no longer hold are skipped."""
        self._age_heap: list[tuple[float, MessageNumber]] = []
        """(sent_at, number) of every message; entries that no longer hold are skipped."""

    def __repr__(self) -> str:
        depth = self.depth()
        return f"<Queue visible={depth.visible} in_flight={depth.in_flight} delayed={depth.delayed}>"

    def __len__(self) -> int:
        return len(self._ready) + len(self._delayed) + len(self._in_flight)

    def __iter__(self) -> Iterator[Message]:
        yield from self._in_flight.values()
        yield from self._ready.values()
        yield from self._delayed.values()

    def depth(self) -> QueueDepth:
        """Count the messages by state."""
        return QueueDepth(visible=len(self._ready), in_flight=len(self._in_flight), delayed=len(self._delayed))

    def find(self, number: MessageNumber) -> Message | None:
        """Look a message up, wherever it is."""
        return self._in_flight.get(number) or self._ready.get(number) or self._delayed.get(number)

    @property
    def is_full_in_flight(self) -> bool:
        """No more may be received until something is deleted or comes back."""
        return len(self._in_flight) >= IN_FLIGHT_MAX

    def add(self, message: Message, now: float) -> None:
        """Put a message in: sent, moved here from another queue, or recovered from disk."""
        heappush(self._age_heap, (message.sent_at, message.number))
        if message.visible_at <= now:
            self._ready[message.number] = message
            return
        (self._in_flight if message.received_at else self._delayed)[message.number] = message
        heappush(self._wake_heap, (message.visible_at, message.number))

    def advance(self, now: float) -> Advanced:
        """Let time pass: wake what is due, drop what is too old. A bounded amount of it: see `next_deadline`."""
        expired: list[MessageNumber] = []
        while self._age_heap and len(expired) < SETTLED_AT_ONCE_MAX:
            sent_at, number = self._age_heap[0]
            if self.find(number) is None:
                heappop(self._age_heap)
                continue
            if sent_at + self.attributes.retention_s > now:
                break
            heappop(self._age_heap)
            self._remove(number)
            expired.append(number)
        woken = 0
        while self._wake_heap and woken < SETTLED_AT_ONCE_MAX:
            visible_at, number = self._wake_heap[0]
            if visible_at > now:
                break
            heappop(self._wake_heap)
            woken += self._wake(visible_at, number)
        return Advanced(woken, tuple(expired))

    def next_deadline(self) -> float | None:
        """When `advance` will next have something to do; None: never."""
        while self._wake_heap and not self._still_hidden(*self._wake_heap[0]):
            heappop(self._wake_heap)
        while self._age_heap and self.find(self._age_heap[0][1]) is None:
            heappop(self._age_heap)
        deadlines = [self._wake_heap[0][0]] if self._wake_heap else []
        if self._age_heap:
            deadlines.append(self._age_heap[0][0] + self.attributes.retention_s)
        return min(deadlines, default=None)

    def receive(self, count_max: int, visibility_timeout_s: int | None, now: float, *, redrives: bool) -> Received:
        """Hand out what has waited longest, hide it, and count the receive.

        `redrives` tells whether the dead-letter queue of the redrive policy is there to take messages: if not,
        they go on being delivered. A message moves when a receive would exceed maxReceiveCount.

        Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html
        """
        hidden_s = self.attributes.visibility_timeout_s if visibility_timeout_s is None else visibility_timeout_s
        redrive = self.attributes.redrive if redrives else None
        count_max = min(count_max, IN_FLIGHT_MAX - len(self._in_flight))
        messages: list[Message] = []
        dead: list[Message] = []
        while self._ready and len(messages) < count_max and len(dead) < SETTLED_AT_ONCE_MAX:
            number, message = self._ready.popitem(last=False)
            if redrive is not None and message.queue_receive_count >= redrive.receive_count_max:
                dead.append(message)
                continue
            message.receive_count += 1
            message.queue_receive_count += 1
            message.first_received_at = message.first_received_at or now
            message.received_at = now
            message.epoch = self._epoch
            message.visible_at = now + hidden_s
            self._in_flight[number] = message
            heappush(self._wake_heap, (message.visible_at, number))
            messages.append(message)
        self._drop_stale_entries()
        return Received(tuple(messages), tuple(dead))

    def delete(self, receipt: Receipt) -> Message | None:
        """Take a message out for good.

        Only the latest receipt does it, in flight or visible again; an older one, or one of a message that is gone,
        is accepted and has no effect.

        Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteMessage.html
        """
        message = self.find(receipt.number)
        if message is None or not _is_latest(message, receipt):
            return None
        self._remove(receipt.number)
        self._drop_stale_entries()
        return message

    def change_visibility(self, receipt: Receipt, timeout_s: int, now: float, handle: str) -> Message:
        """Hide an in-flight message for `timeout_s` from now on; 0 makes it visible at once.

        Raises:
            InvalidParameter: gone, received again since, or hidden for more than 12 h since its receive.
            MessageNotInflight: its visibility timeout has ended.
        Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html
        """
        message = self.find(receipt.number)
        if message is None or not _is_latest(message, receipt):
            reason = "Message does not exist or is not available for visibility timeout change."
            raise InvalidParameter(value=handle, parameter="ReceiptHandle", reason=reason)
        if receipt.number not in self._in_flight:
            raise MessageNotInflight()
        if now - message.received_at + timeout_s > VISIBILITY_TIMEOUT_S_MAX:
            limit = f"Total VisibilityTimeout for the message is beyond the limit [{VISIBILITY_TIMEOUT_S_MAX} seconds]"
            raise InvalidParameter(value=timeout_s, parameter="VisibilityTimeout", reason=limit)
        self._hide_until(message, now + timeout_s)
        return message

    def give_back(self, receipts: Iterable[Receipt], now: float) -> list[Message]:
        """Undo receives whose receiver went away before it got the messages; returns those undone."""
        returned = []
        for receipt in receipts:
            message = self._in_flight.get(receipt.number)
            if message is not None and _is_latest(message, receipt):
                message.receive_count -= 1
                message.queue_receive_count -= 1
                self._hide_until(message, now)
                returned.append(message)
        return returned

    def purge(self) -> list[MessageNumber]:
        """Drop everything, in-flight messages too; returns what there was."""
        numbers = [message.number for message in self]
        self._ready.clear()
        self._delayed.clear()
        self._in_flight.clear()
        self._wake_heap.clear()
        self._age_heap.clear()
        return numbers

    def _wake(self, visible_at: float, number: MessageNumber) -> int:
        if not self._still_hidden(visible_at, number):
            return 0
        message = self._in_flight.pop(number, None) or self._delayed.pop(number)
        # To the back: a message that keeps failing must not stand in front of those not yet tried.
        self._ready[number] = message
        return 1

    def _still_hidden(self, visible_at: float, number: MessageNumber) -> bool:
        message = self._in_flight.get(number) or self._delayed.get(number)
        return message is not None and message.visible_at == visible_at

    def _hide_until(self, message: Message, visible_at: float) -> None:
        message.visible_at = visible_at
        heappush(self._wake_heap, (visible_at, message.number))
        self._drop_stale_entries()

    def _remove(self, number: MessageNumber) -> None:
        for place in (self._in_flight, self._ready, self._delayed):
            if place.pop(number, None) is not None:
                return

    def _drop_stale_entries(self) -> None:
        """Rebuild a heap more than half of whose entries no longer hold: O(1) a message, and memory stays bounded."""
        hidden = len(self._in_flight) + len(self._delayed)
        if len(self._wake_heap) > 2 * hidden + _STALE_ENTRIES_MIN:
            places = (self._in_flight, self._delayed)
            self._wake_heap = [(m.visible_at, m.number) for place in places for m in place.values()]
            heapify(self._wake_heap)
        if len(self._age_heap) > 2 * len(self) + _STALE_ENTRIES_MIN:
            self._age_heap = [(m.sent_at, m.number) for m in self]
            heapify(self._age_heap)


def _is_latest(message: Message, receipt: Receipt) -> bool:
    """A count beyond the message's own comes from a receive that a crash kept from the disk: nothing is newer."""
    if receipt.receive_count == message.receive_count:
        return receipt.epoch == message.epoch
    return receipt.receive_count > message.receive_count
