"""One standard queue: every decision about its messages, with no I/O and no clock.

A message is in exactly one of three places:

    delayed --visible_at--> ready --receive--> in flight --delete--> gone
                              ^-----visible_at-----'

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html
"""

from collections.abc import Iterable, Iterator

from workshape.queues.deadlines import Deadlines
from workshape.queues.hidden import Hidden
from workshape.queues.limits import IN_FLIGHT_MAX, SETTLED_AT_ONCE_MAX
from workshape.queues.model import (
    FairDepth,
    Message,
    MessageNumber,
    QueueAttributes,
    QueueDepth,
    Receipt,
)
from workshape.queues.queue_core import (
    Advanced,
    Received,
    count_receive,
    is_latest,
)
from workshape.queues.ready import ReadyMessages


class Queue:
    """The messages of one queue. `epoch` tells this run of the broker from earlier ones in receipts."""

    def __init__(self, attributes: QueueAttributes, epoch: int) -> None:
        self.attributes = attributes
        self._epoch = epoch
        self._ready = ReadyMessages()
        self._hidden = Hidden()
        self._now = 0.0
        """When time passed last: whoever calls has let it."""
        self._ages = Deadlines(lambda _, number: self.find(number) is not None)
        """When messages were sent: the deadline is a retention period later."""

    def __repr__(self) -> str:
        depth = self.depth()
        return f"<Queue visible={depth.visible} in_flight={depth.in_flight} delayed={depth.delayed}>"

    def __len__(self) -> int:
        return len(self._ready) + len(self._hidden)

    def __iter__(self) -> Iterator[Message]:
        yield from self._hidden.in_flight.values()
        yield from self._ready
        yield from self._hidden.delayed.values()

    def redefine(self, attributes: QueueAttributes, now: float) -> None:
        """Take over changed attributes. A changed delay is that of messages to come.

        Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-delay-queues.html
        """
        self.attributes = attributes

    def depth(self) -> QueueDepth:
        """Count the messages by state."""
        in_flight, delayed = len(self._hidden.in_flight), len(self._hidden.delayed)
        oldest = self._ages.first()
        sent_at = None if oldest is None else oldest[0]
        return QueueDepth(len(self._ready), in_flight, delayed, sent_at)

    def fair_depth(self) -> FairDepth | None:
        """Count the messages of quiet groups; None: no message has a group. As slow as the queue is long.

        Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html
        """
        if not self._ready.has_groups:
            return None
        noisy = self._ready.noisy_groups
        if not noisy:
            return FairDepth(0, self.depth())
        hidden = self._hidden
        visible, in_flight, delayed = (
            [message.sent_at for message in place if message.group_id not in noisy]
            for place in (self._ready, hidden.in_flight.values(), hidden.delayed.values())
        )
        oldest = min((*visible, *in_flight, *delayed), default=None)
        return FairDepth(len(noisy), QueueDepth(len(visible), len(in_flight), len(delayed), oldest))

    def find(self, number: MessageNumber) -> Message | None:
        """Look a message up, wherever it is."""
        return self._ready.get(number) or self._hidden.find(number)

    @property
    def is_over_limit(self) -> bool:
        """No more may be received until something is deleted or comes back."""
        return len(self._hidden.in_flight) >= IN_FLIGHT_MAX

    def add(self, message: Message, now: float) -> None:
        """Put a message in: sent, moved here from another queue, or recovered from disk."""
        self._ages.set(message.sent_at, message.number)
        if message.visible_at <= now:
            self._ready.put(message, now)
        elif message.received_at:
            self._hidden.put_in_flight(message)
            self._ready.taken(message, now)
        else:
            self._hidden.delay(message)

    def advance(self, now: float) -> Advanced:
        """Let time pass: wake what is due, drop what is too old. A bounded amount of it: see `next_deadline`."""
        self._now = now
        expired: list[MessageNumber] = []
        while len(expired) < SETTLED_AT_ONCE_MAX and (oldest := self._ages.first()) is not None:
            sent_at, number = oldest
            if sent_at + self.attributes.retention_s > now:
                break
            self._ages.pop()
            message = self.find(number)
            assert message is not None, "a deadline that holds is of a message that is here"
            self._remove(message)
            expired.append(number)
        woken = 0
        while woken < SETTLED_AT_ONCE_MAX and (due := self._hidden.wake(now)) is not None:
            message, was_in_flight = due
            if was_in_flight:
                self._ready.returned(message, now)
            # To the back: a message that keeps failing must not stand in front of those not yet tried.
            self._ready.put(message, now)
            woken += 1
        return Advanced(woken, tuple(expired))

    def next_deadline(self) -> float | None:
        """When `advance` next has something to do; perhaps a time past, when there was more than one step takes."""
        oldest = self._ages.first()
        expiry = None if oldest is None else oldest[0] + self.attributes.retention_s
        return min((at for at in (self._hidden.next_wake(), expiry) if at is not None), default=None)

    def receive(
        self, count_max: int, visibility_timeout_s: int | None, now: float, *, redrives: bool, attempt_id: str = ""
    ) -> Received:
        """Hand out what has waited longest, hide it, and count the receive. Attempts are FIFO queues' alone.

        Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html
        """
        assert not attempt_id, "refused before"
        hidden_s = self.attributes.visibility_timeout_s if visibility_timeout_s is None else visibility_timeout_s
        redrive = self.attributes.redrive if redrives else None
        count_max = min(count_max, IN_FLIGHT_MAX - len(self._hidden.in_flight))
        messages: list[Message] = []
        dead: list[Message] = []
        while len(messages) < count_max and len(dead) < SETTLED_AT_ONCE_MAX:
            message = self._ready.pop(now)
            if message is None:
                break
            if redrive is not None and message.queue_receive_count >= redrive.receive_count_max:
                dead.append(message)
                continue
            count_receive(message, hidden_s, now, self._epoch)
            self._hidden.put_in_flight(message)
            self._ready.taken(message, now)
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
        self._remove(message)
        self._drop_stale_entries()
        return message

    def change_visibility(self, receipt: Receipt, timeout_s: int, now: float, handle: str) -> Message:
        """Hide an in-flight message for `timeout_s` from now on; 0 makes it visible at once.

        Raises:
            See `Hidden.change_visibility`.
        """
        return self._hidden.change_visibility(self.find(receipt.number), receipt, timeout_s, now, handle)

    def give_back(self, receipts: Iterable[Receipt], now: float) -> list[Message]:
        """Undo receives whose receiver went away before it got the messages; returns those undone."""
        return self._hidden.give_back(receipts, now)

    def next_to_move(self) -> Message | None:
        """The message that is moved elsewhere next: the one that has waited longest."""
        return self._ready.next(self._now)

    def take_out(self, message: Message) -> None:
        """Let go of the message that `next_to_move` has just named."""
        self._ready.remove(message.number, self._now)
        self._drop_stale_entries()

    def purge(self) -> list[MessageNumber]:
        """Drop everything, in-flight messages too; returns what there was."""
        numbers = [message.number for message in self]
        for place in (self._ready, self._hidden, self._ages):
            place.clear()
        return numbers

    def _remove(self, message: Message) -> None:
        if self._ready.remove(message.number, self._now) is None and self._hidden.remove(message.number):
            self._ready.returned(message, self._now)

    def _drop_stale_entries(self) -> None:
        self._hidden.drop_stale_entries()
        self._ages.trim(len(self), ((m.sent_at, m.number) for m in self))
