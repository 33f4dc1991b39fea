"""One queue at work: its core, those who wait for its messages, and the timer that lets its time pass."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from workshape.clock import Clock
from workshape.queues.journal import JournalFailed
from workshape.queues.ledger import Ledger
from workshape.queues.limits import WAITERS_MAX
from workshape.queues.message import TRACE_HEADER
from workshape.queues.model import (
    Message,
    QueueBusy,
    QueueDefinition,
    QueueDoesNotExist,
    Receipt,
    ReceivedMessage,
)
from workshape.queues.queue import Queue
from workshape.queues.receipt import decode_handle, encode_handle
from workshape.queues.records import move_message

TIMER_S_MAX = 10.0
"""Deadlines are wall-clock times, and that clock may be set: look again at least this often."""


@dataclass(eq=False, slots=True)
class _Waiter:
    count_max: int
    visibility_timeout_s: int | None
    served: asyncio.Future[list[ReceivedMessage]]


class LiveQueue:
    """One queue. `find` looks a dead-letter queue up by its ARN."""

    def __init__(
        self,
        definition: QueueDefinition,
        core: Queue,
        ledger: Ledger,
        clock: Clock,
        find: Callable[[str], "LiveQueue | None"],
    ) -> None:
        self.definition = definition
        self.core = core
        self.purged_at = 0.0
        self._ledger = ledger
        self._clock = clock
        self._find = find
        self._waiters: deque[_Waiter] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    def __repr__(self) -> str:
        return f"<LiveQueue {self.definition.name} {self.core!r} waiting={len(self._waiters)}>"

    def redefine(self, definition: QueueDefinition) -> None:
        """Take over changed attributes."""
        self.definition = definition
        self.core.attributes = definition.attributes
        self.advance()

    def advance(self) -> float:
        """Let time pass up to now, which is returned; serve whoever waits for what has become visible."""
        now = self._clock.wall_s()
        advanced = self.core.advance(now)
        if advanced.expired:
            self._ledger.delete(self.definition.number, advanced.expired)
        self.serve()
        self._arm(now)
        return now

    def put(self, messages: Sequence[Message]) -> None:
        """Take messages that were sent, or that another queue gave up."""
        now = self._clock.wall_s()
        for message in messages:
            self.core.add(message, now)
        self.serve()
        self._arm(now)

    def take(self, count_max: int, visibility_timeout_s: int | None) -> list[ReceivedMessage]:
        """Receive what is ready; what was received too often goes to the dead-letter queue instead."""
        now = self._clock.wall_s()
        redrive = self.definition.attributes.redrive
        dead_letter_queue = self._find(redrive.dead_letter_queue_arn) if redrive is not None else None
        result = self.core.receive(count_max, visibility_timeout_s, now, redrives=dead_letter_queue is not None)
        if result.dead and dead_letter_queue is not None:
            numbers = [message.number for message in result.dead]
            self._ledger.move(self.definition, dead_letter_queue.definition.number, numbers, now)
            for message in result.dead:
                move_message(message, self.definition.arn, now)
            dead_letter_queue.put(result.dead)
        if result.messages:
            self._ledger.receive(self.definition.number, result.messages)
            self._arm(now)
        return [_received(message, self.definition.secret) for message in result.messages]

    async def wait(self, count_max: int, visibility_timeout_s: int | None, wait_s: float) -> list[ReceivedMessage]:
        """Wait for messages, behind those who wait already; after `wait_s`, with nothing.

        Raises:
            QueueBusy: too many wait.
            QueueDoesNotExist: the queue was deleted meanwhile.
        """
        if len(self._waiters) >= WAITERS_MAX:
            raise QueueBusy(reason=f"{WAITERS_MAX} receivers wait on {self.definition.name}")
        waiter = _Waiter(count_max, visibility_timeout_s, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(wait_s):
                return await waiter.served
        except TimeoutError:
            return _outcome(waiter)
        except asyncio.CancelledError:
            self._give_back(_outcome(waiter))
            raise
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def serve(self) -> None:
        """Hand what is ready to those who wait, in the order they came."""
        while self._waiters:
            waiter = self._waiters[0]
            if not waiter.served.done():
                messages = self.take(waiter.count_max, waiter.visibility_timeout_s)
                if not messages:
                    return
                waiter.served.set_result(messages)
            self._waiters.popleft()

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

    def _give_back(self, messages: Sequence[ReceivedMessage]) -> None:
        receipts = [decode_handle(message.receipt_handle, self.definition.secret) for message in messages]
        returned = self.core.give_back(receipts, self._clock.wall_s())
        if returned:
            self._ledger.receive(self.definition.number, returned)
            self.advance()

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


def _outcome(waiter: _Waiter) -> list[ReceivedMessage]:
    """What reached a waiter that has stopped waiting."""
    if waiter.served.cancelled() or not waiter.served.done():
        return []
    return waiter.served.result()


def _received(message: Message, secret: bytes) -> ReceivedMessage:
    receipt = Receipt(message.number, message.receive_count, message.epoch)
    return ReceivedMessage(
        message.message_id,
        encode_handle(receipt, secret),
        message.body,
        message.md5_of_body,
        _system_attributes(message),
        message.attributes,
        message.md5_of_attributes,
    )


def _system_attributes(message: Message) -> dict[str, str]:
    """Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html"""
    attributes = {
        "SenderId": message.sender_id,
        "SentTimestamp": str(int(message.sent_at * 1000)),
        "ApproximateReceiveCount": str(message.receive_count),
        "ApproximateFirstReceiveTimestamp": str(int(message.first_received_at * 1000)),
    }
    if message.group_id:
        attributes["MessageGroupId"] = message.group_id
    if message.trace_header:
        attributes[TRACE_HEADER] = message.trace_header
    if message.dead_letter_source_arn:
        attributes["DeadLetterQueueSourceArn"] = message.dead_letter_source_arn
    return attributes
