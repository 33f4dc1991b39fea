"""One queue at work: its core, those who wait for its messages, and the timer that lets its time pass."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from workshape.clock import Clock
from workshape.errors import CallerError
from workshape.identifiers import new_uuid
from workshape.queues.attempts import Attempt
from workshape.queues.deduplication import Deduplication, Token, content_id, token_of
from workshape.queues.fifo import FifoQueue
from workshape.queues.journal import JournalFailed
from workshape.queues.ledger import Ledger
from workshape.queues.limits import VISIBILITY_TIMEOUT_S_MAX, WAITERS_MAX
from workshape.queues.message import (
    TRACE_HEADER,
    md5_of_attributes,
    md5_of_system_attributes,
    md5_of_text,
    sequence_number,
)
from workshape.queues.model import (
    InvalidParameter,
    Message,
    MessageNumber,
    NewMessage,
    QueueBusy,
    QueueDefinition,
    QueueDoesNotExist,
    Receipt,
    ReceivedMessage,
    SentMessage,
    VisibilityChange,
)
from workshape.queues.queue import Queue
from workshape.queues.queue_core import QueueCore
from workshape.queues.receipt import decode_handle, encode_handle
from workshape.queues.records import move_message, reborn_message, renewed_message

TIMER_S_MAX = 10.0
"""Deadlines are wall-clock times, and that clock may be set: look again at least this often."""


class Want(NamedTuple):
    """What a receiver asks for."""

    count_max: int
    visibility_timeout_s: int | None = None
    """None: the queue's own."""
    attempt_id: str = ""


@dataclass(eq=False, slots=True)
class _Waiter:
    want: Want
    served: asyncio.Future[list[ReceivedMessage]]


class LiveQueue:
    """One queue. `find` looks a dead-letter queue up by its ARN, `next_number` numbers a message."""

    def __init__(
        self,
        definition: QueueDefinition,
        epoch: int,
        ledger: Ledger,
        clock: Clock,
        *,
        find: Callable[[str], "LiveQueue | None"],
        next_number: Callable[[], MessageNumber],
    ) -> None:
        self.definition = definition
        attributes = definition.attributes
        self.core: QueueCore = FifoQueue(attributes, epoch) if definition.is_fifo else Queue(attributes, epoch)
        self.deduplication = Deduplication(attributes.deduplication_scope) if definition.is_fifo else None
        self.purged_at = 0.0
        self._ledger = ledger
        self._clock = clock
        self._find = find
        self._next_number = next_number
        self._waiters: deque[_Waiter] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    def __repr__(self) -> str:
        return f"<LiveQueue {self.definition.name} {self.core!r} waiting={len(self._waiters)}>"

    def redefine(self, definition: QueueDefinition) -> None:
        """Take over changed attributes."""
        self.definition = definition
        self.core.redefine(definition.attributes, self._clock.wall_s())
        if self.deduplication is not None:
            self.deduplication.rescope(definition.attributes.deduplication_scope)
        self.advance()

    def advance(self) -> float:
        """Let time pass up to now, which is returned; serve whoever waits for what has become visible."""
        now = self._clock.wall_s()
        advanced = self.core.advance(now)
        if advanced.expired:
            self._ledger.delete(self.definition.number, advanced.expired)
        if self.deduplication is not None:
            self.deduplication.forget_old(now)
        self.serve()
        self._arm(now)
        return now

    def accept(self, messages: Sequence[NewMessage]) -> list[SentMessage]:
        """Number, date and keep messages that have been checked; duplicates are answered as what they repeat."""
        now = self._clock.wall_s()
        accepted, tokens, sent = [], [], []
        for new in messages:
            deduplication_id, token = self._duplicated(new, now)
            if token is None:
                message = self._message(new, deduplication_id, now)
                accepted.append(message)
                if self.deduplication is not None:
                    token = token_of(message)
                    self.deduplication.remember(token)
                    tokens.append(token)
                sent.append(_sent(new, message.message_id, message.md5_of_body, message.md5_of_attributes, token))
            else:
                # AWS: undocumented; we answer what the first was answered.
                digests = md5_of_text(new.body), md5_of_attributes(new.attributes)
                sent.append(_sent(new, token.message_id, *digests, token))
        if accepted:
            self._ledger.keep_messages(self.definition.number, accepted, tokens)
            self.put(accepted)
        return sent

    def put(self, messages: Sequence[Message]) -> None:
        """Take messages that were sent, or that another queue gave up; they are in the ledger."""
        now = self._clock.wall_s()
        for message in messages:
            self.core.add(message, now)
        self.serve()
        self._arm(now)

    def take(self, want: Want) -> list[ReceivedMessage]:
        """Receive what is ready; what was received too often goes to the dead-letter queue instead."""
        now = self._clock.wall_s()
        redrive = self.definition.attributes.redrive
        dead_letter_queue = self._find(redrive.dead_letter_queue_arn) if redrive is not None else None
        result = self.core.receive(
            want.count_max,
            want.visibility_timeout_s,
            now,
            redrives=dead_letter_queue is not None,
            attempt_id=want.attempt_id,
        )
        if result.dead and dead_letter_queue is not None:
            self._give_up(result.dead, dead_letter_queue, now)
        if result.messages:
            self._ledger.receive(self.definition.number, result.messages)
            if result.attempt is not None:
                self._ledger.keep_attempt(self.definition.number, result.attempt)
            self._arm(now)
        return [_received(message, self.definition) for message in result.messages]

    async def wait(self, want: Want, wait_s: float) -> list[ReceivedMessage]:
        """Wait for messages, behind those who wait already; after `wait_s`, with nothing.

        Raises:
            QueueBusy: too many wait.
            QueueDoesNotExist: the queue was deleted meanwhile.
        """
        if len(self._waiters) >= WAITERS_MAX:
            raise QueueBusy(reason=f"{WAITERS_MAX} receivers wait on {self.definition.name}")
        waiter = _Waiter(want, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(wait_s):
                return await waiter.served
        except TimeoutError:
            return _outcome(waiter)
        except asyncio.CancelledError:
            self.give_back(_outcome(waiter))
            raise
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def serve(self) -> None:
        """Hand what is ready to those who wait, in the order they came."""
        while self._waiters:
            waiter = self._waiters[0]
            if not waiter.served.done():
                messages = self.take(waiter.want)
                if not messages:
                    return
                waiter.served.set_result(messages)
            self._waiters.popleft()

    def delete(self, receipt_handles: Sequence[str]) -> list[CallerError | None]:
        """Delete messages by their receipt handles; None in place of an error for each that is gone for good."""
        self.advance()
        outcomes: list[CallerError | None] = []
        numbers = []
        for handle in receipt_handles:
            try:
                message = self.core.delete(decode_handle(handle, self.definition.secret), handle)
            except CallerError as error:
                outcomes.append(error)
                continue
            outcomes.append(None)
            if message is not None:
                numbers.append(message.number)
        if numbers:
            self._ledger.delete(self.definition.number, numbers)
            self.serve()  # the in-flight limit, or their group's turn, may have kept messages from those who wait
        return outcomes

    def change_visibility(self, changes: Sequence[VisibilityChange]) -> list[CallerError | None]:
        """Hide in-flight messages for so many seconds from now; None in place of an error for each that is."""
        now = self.advance()
        outcomes: list[CallerError | None] = []
        changed = []
        for handle, timeout_s in changes:
            try:
                if not 0 <= timeout_s <= VISIBILITY_TIMEOUT_S_MAX:
                    reason = f"VisibilityTimeout must be an integer between 0 and {VISIBILITY_TIMEOUT_S_MAX}"
                    raise InvalidParameter(value=timeout_s, parameter="VisibilityTimeout", reason=reason)
                receipt = decode_handle(handle, self.definition.secret)
                changed.append(self.core.change_visibility(receipt, timeout_s, now, handle))
                outcomes.append(None)
            except CallerError as error:
                outcomes.append(error)
        if changed:
            self._ledger.receive(self.definition.number, changed)
            self.advance()
        return outcomes

    def give_back(self, messages: Sequence[ReceivedMessage]) -> None:
        """Undo the receive of messages that never reached their receiver."""
        receipts = [decode_handle(message.receipt_handle, self.definition.secret) for message in messages]
        returned = self.core.give_back(receipts, self._clock.wall_s())
        if returned:
            self._ledger.receive(self.definition.number, returned)
            self.advance()

    def purge(self) -> None:
        """Drop all messages; deduplication IDs are remembered all the same."""
        self._ledger.purge(self.definition.number, self.core.purge())

    def remember(self, tokens: Sequence[Token]) -> None:
        """Take deduplication IDs found on disk, the oldest first."""
        if self.deduplication is not None:
            for token in tokens:
                self.deduplication.remember(token)

    def remember_attempt(self, attempt: Attempt) -> None:
        """Take an attempt to receive found on disk, the oldest first."""
        if isinstance(self.core, FifoQueue):
            self.core.remember(attempt)

    def remembers_attempt(self, attempt: Attempt) -> bool:
        """Tell whether an attempt to receive is still what it was."""
        return isinstance(self.core, FifoQueue) and self.core.remembers(attempt)

    def hand_over(self, message: Message, target: "LiveQueue") -> None:
        """Move the message that is next to another queue of the same kind, as a new one."""
        now = self._clock.wall_s()
        self.core.take_out(message)
        delay_s = target.definition.attributes.delay_s
        moved = renewed_message(message, self._next_number(), new_uuid(), now, delay_s)
        target.take_over(self.definition, (message.number,), (moved,))

    def take_over(self, source: QueueDefinition, numbers: Sequence[MessageNumber], messages: Sequence[Message]) -> None:
        """Take messages that were `numbers` in another queue, and have become these."""
        tokens = list(map(token_of, messages)) if self.definition.is_fifo else []
        self._ledger.transfer(source.number, numbers, self.definition.number, messages, tokens)
        self.remember(tokens)
        self.put(messages)

    def close(self, *, deleted: bool) -> None:
        """Answer those who wait: with nothing, or that the queue is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for waiter in self._waiters:
            if waiter.served.done():
                continue
            if deleted:
                waiter.served.set_exception(QueueDoesNotExist(kind="queue", name=self.definition.name))
            else:
                waiter.served.set_result([])
        self._waiters.clear()

    def _duplicated(self, new: NewMessage, now: float) -> tuple[str, Token | None]:
        """What tells a message from others in a FIFO queue, and what it repeats."""
        if self.deduplication is None:
            return "", None
        deduplication_id = new.deduplication_id or content_id(new.body)
        return deduplication_id, self.deduplication.find(new.group_id, deduplication_id, now)

    def _message(self, new: NewMessage, deduplication_id: str, now: float) -> Message:
        delay_s = self.definition.attributes.delay_s if new.delay_s is None else new.delay_s
        return Message(
            self._next_number(),
            new_uuid(),
            new.body,
            md5_of_text(new.body),
            dict(new.attributes),
            md5_of_attributes(new.attributes),
            new.sender_id,
            new.group_id,
            new.trace_header,
            now,
            now + delay_s,
            deduplication_id=deduplication_id,
        )

    def _give_up(self, dead: Sequence[Message], dead_letter_queue: "LiveQueue", now: float) -> None:
        """Move messages to the dead-letter queue: as they are, or, between FIFO queues, to the end of their group."""
        numbers = [message.number for message in dead]
        source = self.definition
        if dead_letter_queue.definition.is_fifo:
            reborn = [reborn_message(message, self._next_number(), source.arn, now) for message in dead]
            dead_letter_queue.take_over(source, numbers, reborn)
            return
        self._ledger.move(source, dead_letter_queue.definition.number, numbers, now)
        for message in dead:
            move_message(message, source.arn, now)
        dead_letter_queue.put(dead)

    def _arm(self, now: float) -> None:
        """Set the timer for the next deadline, unless it goes off earlier anyway."""
        deadline = self.core.next_deadline()
        if deadline is None:
            return
        at = max(now, min(deadline, now + TIMER_S_MAX))
        if self._timer is not None:
            if self._timer_at <= at:
                return
            self._timer.cancel()
        self._timer_at = at
        self._timer = asyncio.get_running_loop().call_later(at - now, self._timer_went_off)

    def _timer_went_off(self) -> None:
        self._timer = None
        try:
            self.advance()
        except JournalFailed:
            return  # it has been logged, and whoever asks anything of the queue is told


def _sent(
    new: NewMessage, message_id: str, md5_of_body: str, md5_of_attributes: str, token: Token | None
) -> SentMessage:
    return SentMessage(
        message_id,
        md5_of_body,
        md5_of_attributes,
        md5_of_system_attributes(new.trace_header),
        sequence_number(token.number) if token is not None else "",
    )


def _outcome(waiter: _Waiter) -> list[ReceivedMessage]:
    """What reached a waiter that has stopped waiting."""
    if waiter.served.cancelled() or not waiter.served.done():
        return []
    return waiter.served.result()


def _received(message: Message, queue: QueueDefinition) -> ReceivedMessage:
    receipt = Receipt(message.number, message.receive_count, message.epoch)
    return ReceivedMessage(
        message.message_id,
        encode_handle(receipt, queue.secret),
        message.body,
        message.md5_of_body,
        _system_attributes(message, queue),
        message.attributes,
        message.md5_of_attributes,
    )


def _system_attributes(message: Message, queue: QueueDefinition) -> dict[str, str]:
    """Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html"""
    attributes = {
        "SenderId": message.sender_id,
        "SentTimestamp": str(int(message.sent_at * 1000)),
        "ApproximateReceiveCount": str(message.receive_count),
        "ApproximateFirstReceiveTimestamp": str(int(message.first_received_at * 1000)),
    }
    if queue.is_fifo:
        attributes["SequenceNumber"] = sequence_number(message.number)
        attributes["MessageDeduplicationId"] = message.deduplication_id
    if message.group_id:
        attributes["MessageGroupId"] = message.group_id
    if message.trace_header:
        attributes[TRACE_HEADER] = message.trace_header
    if message.dead_letter_source_arn:
        attributes["DeadLetterQueueSourceArn"] = message.dead_letter_source_arn
    return attributes
