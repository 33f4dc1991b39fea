"""One standard queue: every decision about its messages, with no I/O and no clock.

A message is in exactly one of three places:

    delayed --visible_at--> ready --receive--> in flight --delete--> gone
                              ^-----visible_at-----'

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator

from workshape.queues.deadlines import Deadlines
from workshape.queues.limits import IN_FLIGHT_MAX, SETTLED_AT_ONCE_MAX
from workshape.queues.model import (
    Message,
    MessageNotInflight,
    MessageNumber,
    QueueAttributes,
    QueueDepth,
    Receipt,
)
from workshape.queues.queue_core import (
    Advanced,
    Received,
    check_visibility_left,
    count_receive,
    is_latest,
    unavailable,
    uncount_receive,
)


class Queue:
    """The messages of one queue. `epoch` tells this run of the broker from earlier ones in receipts."""

    def __init__(self, attributes: QueueAttributes, epoch: int) -> None:
        self.attributes = attributes
        self._epoch = epoch
        self._ready: OrderedDict[MessageNumber, Message] = OrderedDict()
        self._delayed: dict[MessageNumber, Message] = {}
        self._in_flight: dict[MessageNumber, Message] = {}
        self._wakes = Deadlines(self._still_hidden)
        """When delayed and in-flight messages become visible."""
        self._ages = Deadlines(lambda _, number: self.find(number) is not None)
        """When messages were sent: the deadline is a retention period later."""

    def __repr__(self) -> str:
        depth = self.depth()
        return f"<Queue visible={depth.visible} in_flight={depth.in_flight} delayed={depth.delayed}>"

    def __len__(self) -> int:
        return len(self._ready) + len(self._delayed) + len(self._in_flight)

    def __iter__(self) -> Iterator[Message]:
        yield from self._in_flight.values()
        yield from self._ready.values()
        yield from self._delayed.values()

    def redefine(self, attributes: QueueAttributes, now: float) -> None:
        """Take over changed attributes. A changed delay is that of messages to come.

        Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-delay-queues.html
        """
        self.attributes = attributes

    def depth(self) -> QueueDepth:
        """Count the messages by state."""
        return QueueDepth(visible=len(self._ready), in_flight=len(self._in_flight), delayed=len(self._delayed))

    def find(self, number: MessageNumber) -> Message | None:
        """Look a message up, wherever it is."""
        return self._in_flight.get(number) or self._ready.get(number) or self._delayed.get(number)

    @property
    def is_over_limit(self) -> bool:
        """No more may be received until something is deleted or comes back."""
        return len(self._in_flight) >= IN_FLIGHT_MAX

    def add(self, message: Message, now: float) -> None:
        """Put a message in: sent, moved here from another queue, or recovered from disk."""
        self._ages.set(message.sent_at, message.number)
        if message.visible_at <= now:
            self._ready[message.number] = message
            return
        (self._in_flight if message.received_at else self._delayed)[message.number] = message
        self._wakes.set(message.visible_at, message.number)

    def advance(self, now: float) -> Advanced:
        """Let time pass: wake what is due, drop what is too old. A bounded amount of it: see `next_deadline`."""
        expired: list[MessageNumber] = []
        while len(expired) < SETTLED_AT_ONCE_MAX and (oldest := self._ages.first()) is not None:
            sent_at, number = oldest
            if sent_at + self.attributes.retention_s > now:
                break
            self._ages.pop()
            self._remove(number)
            expired.append(number)
        woken = 0
        while woken < SETTLED_AT_ONCE_MAX and (soonest := self._wakes.first()) is not None:
            visible_at, number = soonest
            if visible_at > now:
                break
            self._wakes.pop()
            message = self._in_flight.pop(number, None) or self._delayed.pop(number)
            # To the back: a message that keeps failing must not stand in front of those not yet tried.
            self._ready[number] = message
            woken += 1
        return Advanced(woken, tuple(expired))

    def next_deadline(self) -> float | None:
        """When `advance` next has something to do; perhaps a time past, when there was more than one step takes."""
        wake, oldest = self._wakes.first(), self._ages.first()
        deadlines = [wake[0]] if wake is not None else []
        if oldest is not None:
            deadlines.append(oldest[0] + self.attributes.retention_s)
        return min(deadlines, default=None)

    def receive(
        self, count_max: int, visibility_timeout_s: int | None, now: float, *, redrives: bool, attempt_id: str = ""
    ) -> Received:
        """Hand out what has waited longest, hide it, and count the receive. Attempts are FIFO queues' alone.

        Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html
        """
        assert not attempt_id, "refused before"
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
            count_receive(message, hidden_s, now, self._epoch)
            self._in_flight[number] = message
            self._wakes.set(message.visible_at, number)
            messages.append(message)
        self._drop_stale_entries()
        return Received(tuple(messages), tuple(dead))

    def delete(self, receipt: Receipt, handle: str) -> Message | None:
        """Take a message out for good.

        Only the latest receipt does it, in flight or visible again; an older one, or one of a message that is gone,
        is accepted and has no effect.

        Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteMessage.html
        """
        message = self.find(receipt.number)
        if message is None or not is_latest(message, receipt):
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
        if message is None or not is_latest(message, receipt):
            raise unavailable(handle)
        if receipt.number not in self._in_flight:
            raise MessageNotInflight()
        check_visibility_left(message, timeout_s, now)
        self._hide_until(message, now + timeout_s)
        return message

    def give_back(self, receipts: Iterable[Receipt], now: float) -> list[Message]:
        """Undo receives whose receiver went away before it got the messages; returns those undone."""
        returned = []
        for receipt in receipts:
            message = self._in_flight.get(receipt.number)
            if message is not None and is_latest(message, receipt):
                uncount_receive(message)
                self._hide_until(message, now)
                returned.append(message)
        return returned

    def next_to_move(self) -> Message | None:
        """The message that is moved elsewhere next: the one that has waited longest."""
        return next(iter(self._ready.values()), None)

    def take_out(self, message: Message) -> None:
        """Let go of the message that `next_to_move` has just named."""
        del self._ready[message.number]
        self._drop_stale_entries()

    def purge(self) -> list[MessageNumber]:
        """Drop everything, in-flight messages too; returns what there was."""
        numbers = [message.number for message in self]
        for place in (self._ready, self._delayed, self._in_flight, self._wakes, self._ages):
            place.clear()
        return numbers

    def _still_hidden(self, visible_at: float, number: MessageNumber) -> bool:
        message = self._in_flight.get(number) or self._delayed.get(number)
        return message is not None and message.visible_at == visible_at

    def _hide_until(self, message: Message, visible_at: float) -> None:
        message.visible_at = visible_at
        self._wakes.set(visible_at, message.number)
        self._drop_stale_entries()

    def _remove(self, number: MessageNumber) -> None:
        for place in (self._in_flight, self._ready, self._delayed):
            if place.pop(number, None) is not None:
                return

    def _drop_stale_entries(self) -> None:
        hidden = len(self._in_flight) + len(self._delayed)
        places = (self._in_flight, self._delayed)
        self._wakes.trim(hidden, ((m.visible_at, m.number) for place in places for m in place.values()))
        self._ages.trim(len(self), ((m.sent_at, m.number) for m in self))
