"""One FIFO queue: every decision about its messages, with no I/O and no clock.

Each message belongs to a group, and stands in it in the order of sending until it is gone. A group is blocked while
any of its messages is in flight, or while its first one is delayed; a receive hands out the first messages of groups
that are not blocked, as many of one group as it may before it turns to the next. So no two receivers ever have
messages of one group at the same time, and a message that comes back does so at its old place.

Which group is next: the one whose first message was sent first; but one that came back undone goes behind all that
is there, for it must not stand in front of those not yet tried. (AWS: undocumented; we chose.)

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/FIFO-queues-understanding-logic.html
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush

from workshape.queues.attempts import Attempt, Attempts
from workshape.queues.deadlines import Deadlines
from workshape.queues.hidden import Hidden
from workshape.queues.limits import IN_FLIGHT_MAX, SETTLED_AT_ONCE_MAX
from workshape.queues.model import (
    FairDepth,
    InvalidParameter,
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

_STALE_TURNS_MIN = 64  # below this the turns are not worth rebuilding


class _Group:
    """The messages of one group, in the order they were sent."""

    __slots__ = ("in_flight", "messages", "turn")

    def __init__(self) -> None:
        self.messages: OrderedDict[MessageNumber, Message] = OrderedDict()
        self.in_flight = 0
        self.turn: int | None = None
        """Its place among the groups that may be received from; None while it may not."""

    @property
    def first(self) -> Message:
        return next(iter(self.messages.values()))


class FifoQueue:
    """The messages of one queue. `epoch` tells this run of the broker from earlier ones in receipts."""

    def __init__(self, attributes: QueueAttributes, epoch: int) -> None:
        self.attributes = attributes
        self._epoch = epoch
        self._messages: dict[MessageNumber, Message] = {}
        self._hidden = Hidden()
        self._groups: dict[str, _Group] = {}
        self._turns: list[tuple[int, str]] = []
        """A heap of (turn, group); what is not the group's turn any more is passed over."""
        self._newest = 0
        """The largest message number there was."""
        self._ages = Deadlines(lambda _, number: number in self._messages)
        """When messages were sent: the deadline is a retention period later."""
        self._attempts = Attempts()

    def __repr__(self) -> str:
        depth = self.depth()
        state = f"visible={depth.visible} in_flight={depth.in_flight} delayed={depth.delayed}"
        return f"<FifoQueue {state} groups={len(self._groups)}>"

    def __len__(self) -> int:
        return len(self._messages)

    def __iter__(self) -> Iterator[Message]:
        return iter(self._messages.values())

    def redefine(self, attributes: QueueAttributes, now: float) -> None:
        """Take over changed attributes. A changed delay is that of all messages never received, too.

        Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-delay-queues.html
        """
        changed = attributes.delay_s != self.attributes.delay_s
        self.attributes = attributes
        if changed:
            messages = sorted(self._messages.values(), key=lambda message: message.number)
            self._clear()
            for message in messages:
                self.add(message, now)

    def depth(self) -> QueueDepth:
        """Count the messages by state; those of blocked groups are visible."""
        in_flight, delayed = len(self._hidden.in_flight), len(self._hidden.delayed)
        oldest = self._ages.first()
        sent_at = None if oldest is None else oldest[0]
        return QueueDepth(len(self._messages) - in_flight - delayed, in_flight, delayed, sent_at)

    def fair_depth(self) -> FairDepth | None:
        """None: groups of a FIFO queue have their own order."""
        return None

    def find(self, number: MessageNumber) -> Message | None:
        """Look a message up, wherever it is."""
        return self._messages.get(number)

    @property
    def is_over_limit(self) -> bool:
        """Never: beyond the most in flight, a FIFO queue's receives are empty.

        Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-fifo.html
        """
        return False

    def add(self, message: Message, now: float) -> None:
        """Put a message in: sent, moved here from another queue, or recovered from disk.

        Its number is greater than those before it in its group. The queue's delay counts, whatever the message says.
        """
        number = message.number
        assert number > self._newest, "messages are numbered in the order they come"
        self._newest = number
        if not message.queue_receive_count:
            message.visible_at = message.sent_at + self.attributes.delay_s
        self._messages[number] = message
        self._ages.set(message.sent_at, number)
        group = self._groups.setdefault(message.group_id, _Group())
        group.messages[number] = message
        if message.visible_at > now:
            if message.queue_receive_count:
                self._hidden.put_in_flight(message)
                group.in_flight += 1
                group.turn = None
            else:
                self._hidden.delay(message)
        self._offer(message.group_id, group)

    def remember(self, attempt: Attempt) -> None:
        """Take an attempt to receive that is found on disk, the oldest first."""
        self._attempts.remember(attempt)

    def remembers(self, attempt: Attempt) -> bool:
        """Tell whether an attempt is still what it was."""
        return attempt in self._attempts

    def advance(self, now: float) -> Advanced:
        """Let time pass: wake what is due, drop what is too old. A bounded amount of it: see `next_deadline`."""
        expired: list[MessageNumber] = []
        while len(expired) < SETTLED_AT_ONCE_MAX and (oldest := self._ages.first()) is not None:
            sent_at, number = oldest
            if sent_at + self.attributes.retention_s > now:
                break
            self._ages.pop()
            message = self._messages[number]
            self._remove(message)
            self._offer(message.group_id, self._groups[message.group_id])
            expired.append(number)
        woken = 0
        while woken < SETTLED_AT_ONCE_MAX and (due := self._hidden.wake(now)) is not None:
            message, was_in_flight = due
            group = self._groups[message.group_id]
            if was_in_flight:
                group.in_flight -= 1
            self._offer(message.group_id, group)
            woken += 1
        self._attempts.forget_old(now)
        return Advanced(woken, tuple(expired))

    def next_deadline(self) -> float | None:
        """When `advance` next has something to do; perhaps a time past, when there was more than one step takes."""
        oldest = self._ages.first()
        expiry = None if oldest is None else oldest[0] + self.attributes.retention_s
        return min((at for at in (self._hidden.next_wake(), expiry) if at is not None), default=None)

    def receive(
        self, count_max: int, visibility_timeout_s: int | None, now: float, *, redrives: bool, attempt_id: str = ""
    ) -> Received:
        """Hand out the first messages of groups that are not blocked, hide them, and count the receive.

        With the id of an attempt of the last five minutes whose messages are still as it left them: the same
        messages and receipts, hidden anew.

        Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
        """
        hidden_s = self.attributes.visibility_timeout_s if visibility_timeout_s is None else visibility_timeout_s
        if attempt_id and (again := self._attempts.find(attempt_id, self._hidden.in_flight)):
            for message in again:
                self._hidden.hide_until(message, now + hidden_s)
            return Received(again, (), self._attempts.retried(attempt_id, again))
        redrive = self.attributes.redrive if redrives else None
        dead_at = redrive.receive_count_max if redrive is not None else None
        count_max = min(count_max, IN_FLIGHT_MAX - len(self._hidden.in_flight))
        messages: list[Message] = []
        dead: list[Message] = []
        while self._turns and len(messages) < count_max and len(dead) < SETTLED_AT_ONCE_MAX:
            turn, group_id = heappop(self._turns)
            group = self._groups.get(group_id)
            if group is not None and group.turn == turn:
                group.turn = None
                chosen, exhausted = self._choose(group, count_max - len(messages), dead_at)
                for message in chosen:
                    count_receive(message, hidden_s, now, self._epoch)
                    self._hidden.put_in_flight(message)
                group.in_flight += len(chosen)
                messages += chosen
                dead += exhausted
                for message in exhausted:
                    self._remove(message)
                self._offer(group_id, group)
        self._drop_stale_entries()
        attempt = self._attempts.note(attempt_id, messages, now) if attempt_id and messages else None
        return Received(tuple(messages), tuple(dead), attempt)

    def delete(self, receipt: Receipt, handle: str) -> Message | None:
        """Take a message out for good; one that is gone already is no error.

        Raises:
            InvalidParameter: its visibility timeout has ended since, so that the receipt has expired.
        Source: https://repost.aws/knowledge-center/sqs-receipt-handle-error
        """
        message = self._messages.get(receipt.number)
        if message is None:
            return None
        if not is_latest(message, receipt) or receipt.number not in self._hidden.in_flight:
            raise InvalidParameter(value=handle, parameter="ReceiptHandle", reason="The receipt handle has expired.")
        self._remove(message)
        self._offer(message.group_id, self._groups[message.group_id])
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
        """The message that is moved elsewhere next: the first of the group whose turn it is."""
        while self._turns:
            turn, group_id = self._turns[0]
            group = self._groups.get(group_id)
            if group is not None and group.turn == turn and group.first.number not in self._hidden.delayed:
                return group.first
            heappop(self._turns)
            if group is not None and group.turn == turn:
                group.turn = None  # its first message is delayed: it is offered when that wakes
        return None

    def take_out(self, message: Message) -> None:
        """Let go of the message that `next_to_move` has just named; its group takes its turn anew."""
        group = self._groups[message.group_id]
        heappop(self._turns)
        group.turn = None
        self._remove(message)
        self._offer(message.group_id, group)
        self._drop_stale_entries()

    def purge(self) -> list[MessageNumber]:
        """Drop everything, in-flight messages too; returns what there was."""
        numbers = list(self._messages)
        self._clear()
        return numbers

    def _choose(self, group: _Group, count_max: int, dead_at: int | None) -> tuple[list[Message], list[Message]]:
        """Pick a group's first messages, and those before and among them that were received too often."""
        chosen: list[Message] = []
        exhausted: list[Message] = []
        delayed = self._hidden.delayed
        for message in group.messages.values():
            if message.number in delayed or len(chosen) == count_max or len(exhausted) == SETTLED_AT_ONCE_MAX:
                break
            dead = dead_at is not None and message.queue_receive_count >= dead_at
            (exhausted if dead else chosen).append(message)
        return chosen, exhausted

    def _offer(self, group_id: str, group: _Group) -> None:
        """Let a group be received from, if it is not blocked; forget one that is empty."""
        if not group.messages:
            self._groups.pop(group_id, None)
            return
        if group.in_flight or group.turn is not None:
            return
        first = group.first
        if first.number in self._hidden.delayed:
            return
        group.turn = 2 * self._newest + 1 if first.queue_receive_count else 2 * first.number
        heappush(self._turns, (group.turn, group_id))

    def _remove(self, message: Message) -> None:
        """Take a message out of every place; its group is to be offered then."""
        number = message.number
        group = self._groups[message.group_id]
        del self._messages[number], group.messages[number]
        if self._hidden.remove(number):
            group.in_flight -= 1

    def _clear(self) -> None:
        for place in (self._messages, self._hidden, self._groups, self._turns, self._ages):
            place.clear()
        self._newest = 0

    def _drop_stale_entries(self) -> None:
        self._hidden.drop_stale_entries()
        self._ages.trim(len(self._messages), ((m.sent_at, m.number) for m in self._messages.values()))
        if len(self._turns) > 2 * len(self._groups) + _STALE_TURNS_MIN:
            turns = ((group.turn, group_id) for group_id, group in self._groups.items())
            self._turns = [(turn, group_id) for turn, group_id in turns if turn is not None]
            heapify(self._turns)
