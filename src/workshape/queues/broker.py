"""Queues that live: the cores, the ledger under them, the clock, and those who wait for messages.

A state is changed in memory and appended to the journal in one step of the event loop, so both see the same order;
then whoever must not lose it waits for the disk. Sends, deletes and everything about queues wait, and so do receives
from FIFO queues, whose groups must stay blocked. Receives from standard queues, changes of visibility, moves to a
dead-letter queue and expiry do not: a crash at the worst moment undoes the last of them, which is one more delivery,
never one less.

After a restart in-flight messages stay in flight until their visibility timeout ends, so the receipt handles their
receivers hold go on working.
"""

import asyncio
import contextlib
import gc
import logging
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from workshape.arn import queue_arn
from workshape.clock import Clock
from workshape.errors import CallerError
from workshape.later import Later
from workshape.queues.attributes import check_attributes, check_queue_name, check_redrive, check_tags, first_difference
from workshape.queues.cleaning import JournalCleaner
from workshape.queues.ledger import Ledger
from workshape.queues.limits import IN_FLIGHT_MAX, NAME_REUSE_WAIT_S, PURGE_INTERVAL_S
from workshape.queues.live import LiveQueue, Want
from workshape.queues.message import check_attempt, check_message
from workshape.queues.model import (
    FairDepth,
    MessageNumber,
    NewMessage,
    OverLimit,
    PurgeQueueInProgress,
    QueueAttributes,
    QueueDefinition,
    QueueDeletedRecently,
    QueueDepth,
    QueueDoesNotExist,
    QueueName,
    QueueNameExists,
    QueueNumber,
    ReceivedMessage,
    SentMessage,
    VisibilityChange,
)
from workshape.queues.mover import MessageMover
from workshape.queues.policy import add_permission, remove_permission
from workshape.queues.records import Replay

_log = logging.getLogger(__name__)


class Broker:
    """All queues of one account and region. Everything runs on the event loop that called `open`."""

    def __init__(self, ledger: Ledger, clock: Clock, *, region: str, account: str, name_reuse_wait_s: float) -> None:
        self._ledger = ledger
        self._clock = clock
        self._region = region
        self._account = account
        self._name_reuse_wait_s = name_reuse_wait_s
        self._epoch = int.from_bytes(os.urandom(4), "big")
        self._queues: dict[QueueName, LiveQueue] = {}
        self._numbers: dict[QueueNumber, LiveQueue] = {}
        self._deleted_at: dict[QueueName, float] = {}
        self._last_queue = 0
        self._last_message = 0
        self._maintenance: asyncio.Task[None] | None = None
        self.moves = MessageMover(
            ledger, clock, find=self._find, is_dead_letter_queue=lambda arn: bool(self._sources_of(arn))
        )
        """The message move tasks."""
        self._cleaner = JournalCleaner(ledger, clock, self._numbers, self.moves.keep_again)

    def __repr__(self) -> str:
        return f"<Broker queues={len(self._queues)} {self._ledger!r}>"

    @classmethod
    async def open(
        cls,
        folder: Path,
        clock: Clock,
        *,
        region: str,
        account: str,
        name_reuse_wait_s: float = NAME_REUSE_WAIT_S,
    ) -> "Broker":
        """Find the queues and messages in `folder` again, or start with none.

        Raises:
            JournalCorrupt: something that was on disk is not there any more.
            JournalFailed: the folder cannot be written, or another process uses it.
        """
        with _collector_paused():
            ledger, replay = await Ledger.open(folder, clock.wall_s())
            broker = cls(ledger, clock, region=region, account=account, name_reuse_wait_s=name_reuse_wait_s)
            broker._recover(replay)
        broker._maintenance = asyncio.create_task(broker._cleaner.run(), name="queue-maintenance")
        return broker

    async def close(self) -> None:
        """Answer those who wait with nothing, and close the journal."""
        if self._maintenance is not None:
            self._maintenance.cancel()
            await asyncio.gather(self._maintenance, return_exceptions=True)
        await self.moves.close()
        for queue in self._queues.values():
            queue.close(deleted=False)
        await self._ledger.close()

    async def create_queue(
        self,
        name: QueueName,
        attributes: QueueAttributes | None = None,
        tags: Mapping[str, str] | None = None,
        *,
        given: Collection[str] | None = None,
    ) -> QueueDefinition:
        """Make a queue, or return the one there is when it has the same attributes.

        `given` names the fields of `attributes` to compare with those of a queue there is; None: all.

        Raises:
            InvalidParameter, InvalidAttributeValue: a name or a value that SQS would refuse.
            QueueNameExists: there is one with other attributes.
            QueueDeletedRecently: its name was in use less than 60 s ago.
        """
        attributes = attributes or QueueAttributes()
        check_queue_name(name, fifo=attributes.fifo)
        if (existing := self._queues.get(name)) is not None:
            if (difference := first_difference(existing.definition.attributes, attributes, given)) is not None:
                raise QueueNameExists(attribute=difference)
            return existing.definition
        now = self._clock.wall_s()
        if now - self._deleted_at.get(name, 0.0) < self._name_reuse_wait_s:
            raise QueueDeletedRecently()
        arn = queue_arn(self._region, self._account, name)
        tags = dict(tags or {})
        check_tags(tags)
        check_attributes(attributes)
        check_redrive(arn, attributes, self._definitions())
        self._last_queue += 1
        definition = QueueDefinition(
            QueueNumber(self._last_queue), name, arn, now, now, os.urandom(16), attributes, tags
        )
        self._ledger.keep_queue(definition)
        self._add(definition)
        await self._ledger.durable()
        return definition

    async def delete_queue(self, name: QueueName) -> None:
        """Remove a queue and all its messages; who waits on it learns that it is gone.

        Raises:
            QueueDoesNotExist: there is none.
        """
        queue = self._queue(name)
        now = self._clock.wall_s()
        self.moves.forget_queue(queue.definition.number)
        self._ledger.delete_queue(queue.definition, queue.core.purge(), now)
        del self._queues[name], self._numbers[queue.definition.number]
        self._deleted_at[name] = now
        queue.close(deleted=True)
        await self._ledger.durable()

    def queue(self, name: QueueName) -> QueueDefinition:
        """Return a queue's attributes, tags and times.

        Raises:
            QueueDoesNotExist: there is none.
        """
        return self._queue(name).definition

    def list_queues(self, prefix: str = "") -> list[QueueName]:
        """Name the queues whose names begin with `prefix`, in order."""
        return sorted(name for name in self._queues if name.startswith(prefix))

    def dead_letter_sources(self, name: QueueName) -> list[QueueName]:
        """Name the queues whose redrive policy sends to this one, in order.

        Raises:
            QueueDoesNotExist: there is none.
        """
        return sorted(self._sources_of(self._queue(name).definition.arn))

    async def set_queue_attributes(self, name: QueueName, attributes: QueueAttributes) -> None:
        """Replace a queue's attributes; takes effect at once.

        Raises:
            QueueDoesNotExist, InvalidParameter: see `create_queue`.
        """
        queue = self._queue(name)
        check_attributes(attributes)
        if attributes.redrive != queue.definition.attributes.redrive:  # the dead-letter queue there was may be gone
            check_redrive(queue.definition.arn, attributes, self._definitions())
        await self._redefine(queue, msgspec.structs.replace(queue.definition, attributes=attributes))

    async def add_permission(
        self, name: QueueName, label: str, accounts: Sequence[str], actions: Sequence[str]
    ) -> None:
        """Add a statement to a queue's access policy, which is kept and not enforced.

        Raises:
            QueueDoesNotExist, InvalidParameter, PolicyOverLimit: see `policy.add_permission`.
        """
        live = self._queue(name)
        attributes = live.definition.attributes
        policy = add_permission(attributes.policy, label, accounts, actions, live.definition.arn)
        await self.set_queue_attributes(name, msgspec.structs.replace(attributes, policy=policy))

    async def remove_permission(self, name: QueueName, label: str) -> None:
        """Take a statement out of a queue's access policy.

        Raises:
            QueueDoesNotExist, InvalidParameter: there is no such queue, or no such statement.
        """
        attributes = self._queue(name).definition.attributes
        policy = remove_permission(attributes.policy, label)
        await self.set_queue_attributes(name, msgspec.structs.replace(attributes, policy=policy))

    async def tag_queue(self, name: QueueName, tags: Mapping[str, str]) -> None:
        """Add tags, replacing those of the same key.

        Raises:
            QueueDoesNotExist, InvalidParameter: no such queue; too many tags.
        """
        queue = self._queue(name)
        merged = {**queue.definition.tags, **tags}
        check_tags(merged)
        await self._redefine(queue, msgspec.structs.replace(queue.definition, tags=merged))

    async def untag_queue(self, name: QueueName, keys: Collection[str]) -> None:
        """Remove tags; keys that are not there are passed over.

        Raises:
            QueueDoesNotExist: there is none.
        """
        queue = self._queue(name)
        left = {key: value for key, value in queue.definition.tags.items() if key not in keys}
        await self._redefine(queue, msgspec.structs.replace(queue.definition, tags=left))

    async def purge_queue(self, name: QueueName) -> None:
        """Remove all messages of a queue, at once.

        Raises:
            QueueDoesNotExist: there is none.
            PurgeQueueInProgress: it was purged less than 60 s ago.
        """
        queue = self._queue(name)
        now = self._clock.wall_s()
        if now - queue.purged_at < PURGE_INTERVAL_S:
            raise PurgeQueueInProgress(name=name)
        queue.purged_at = now
        queue.purge()
        await self._ledger.durable()

    def send(self, queue: QueueName, messages: Sequence[NewMessage]) -> Later[list[SentMessage]]:
        """Send all the messages or none; they are on disk when the result is there.

        To a FIFO queue each needs a group; one that repeats another of the last five minutes is answered as that.

        Raises:
            QueueDoesNotExist, InvalidParameter, MissingParameter, InvalidMessage, InvalidMessageContents: nothing
                was sent.
            QueueBusy: the disk is too far behind; try again.
        """
        live = self._queue(queue)
        for message in messages:
            check_message(message, live.definition.attributes)
        return self._accept(live, messages)

    def send_each(self, queue: QueueName, messages: Sequence[NewMessage]) -> Later[list[SentMessage | CallerError]]:
        """Send those messages that SQS would accept; the others' errors stand in their places.

        Raises:
            QueueDoesNotExist, QueueBusy: see `send`.
        """
        live = self._queue(queue)
        outcomes: list[SentMessage | CallerError | None] = []
        accepted = []
        for message in messages:
            try:
                check_message(message, live.definition.attributes)
            except CallerError as error:
                outcomes.append(error)
            else:
                outcomes.append(None)
                accepted.append(message)

        def among_errors(accepted: list[SentMessage]) -> list[SentMessage | CallerError]:
            sent = iter(accepted)
            return [next(sent) if outcome is None else outcome for outcome in outcomes]

        return self._accept(live, accepted).then(among_errors)

    async def receive(
        self,
        queue: QueueName,
        *,
        count_max: int,
        wait_s: float,
        visibility_timeout_s: int | None = None,
        attempt_id: str = "",
    ) -> list[ReceivedMessage]:
        """Receive up to `count_max` messages, waiting up to `wait_s` for the first.

        Whoever waited longest is served first. A caller cancelled while its messages were on their way to it does
        not count as having received them.

        Of a FIFO queue the messages come in the order of their groups (`MessageGroupId` among the system attributes),
        and no more of a group come to anybody until these have been deleted, or are visible again. `attempt_id` names
        the attempt, so that it can be made again.

        Raises:
            QueueDoesNotExist: there is none, or it was deleted meanwhile.
            InvalidParameter: an attempt is named, and the queue is a standard queue.
            OverLimit: too many messages are in flight, and this is a short poll.
            QueueBusy: too many wait already.
        """
        live = self._queue(queue)
        want = Want(count_max, visibility_timeout_s, attempt_id)
        messages = self._take(live, want, wait_s)
        if not messages and wait_s > 0:
            messages = await live.wait(want, wait_s)
        if messages and live.definition.is_fifo:
            await self._settle(live, messages)
        return messages

    def receive_at_once(
        self, queue: QueueName, *, count_max: int, wait_s: float, visibility_timeout_s: int | None = None
    ) -> list[ReceivedMessage] | None:
        """Receive where nothing has to be waited for; None: there is, a message or (FIFO) the disk: see `receive`.

        Raises:
            QueueDoesNotExist, OverLimit: see `receive`.
        """
        live = self._queue(queue)
        if live.definition.is_fifo:
            return None
        messages = self._take(live, Want(count_max, visibility_timeout_s), wait_s)
        return messages if messages or wait_s <= 0 else None

    def delete(self, queue: QueueName, receipt_handles: Sequence[str]) -> Later[list[CallerError | None]]:
        """Delete messages by their receipt handles; None in place of an error for each that is gone for good.

        Raises:
            QueueDoesNotExist: there is none.
        """
        outcomes = self._queue(queue).delete(receipt_handles)
        # Even with nothing deleted now: an equal delete just before may still be on its way to the disk.
        return self._ledger.durable().then(lambda _: outcomes)

    def change_visibility(self, queue: QueueName, changes: Sequence[VisibilityChange]) -> list[CallerError | None]:
        """Hide in-flight messages for so many seconds from now; None in place of an error for each that is.

        Raises:
            QueueDoesNotExist: there is none.
        """
        return self._queue(queue).change_visibility(changes)

    def depth(self, queue: QueueName) -> QueueDepth:
        """Count a queue's messages by state.

        Raises:
            QueueDoesNotExist: there is none.
        """
        live = self._queue(queue)
        live.advance()
        return live.core.depth()

    def fair_depth(self, queue: QueueName) -> FairDepth | None:
        """Count a fair queue's messages of quiet groups; None: it is none.

        Raises:
            QueueDoesNotExist: there is none.
        """
        return self._queue(queue).core.fair_depth()

    async def clean(self) -> None:
        """Write again what is still of use in the journal's oldest segment, and drop the segment.

        Nothing happens while that is the segment being written.

        Raises:
            JournalFailed: the disk refuses.
        """
        await self._cleaner.clean()

    def _recover(self, replay: Replay) -> None:
        now = self._clock.wall_s()
        self._last_queue = replay.last_queue
        self._last_message = replay.last_message
        self._deleted_at = {
            name: deleted_at
            for name, deleted_at in replay.deleted_at.items()
            if now - deleted_at < self._name_reuse_wait_s
        }
        for kept_queue in replay.queues.values():
            self._add(kept_queue.definition)
        for _, token in sorted(replay.tokens.items(), key=lambda item: item[1].token.number):
            self._numbers[token.queue].remember((token.token,))
        for attempt in sorted(replay.attempts.values(), key=lambda kept: kept.attempt.made_at):
            self._numbers[attempt.queue].remember_attempt(attempt.attempt)
        for kept in sorted(replay.messages.values(), key=lambda kept: kept.message.number):
            self._numbers[kept.queue].core.add(kept.message, now)
        for live in self._queues.values():
            live.advance()
        self.moves.resume(kept_task.task for kept_task in replay.tasks.values())
        _log.info("queues_recovered queues=%d messages=%d", len(replay.queues), len(replay.messages))

    def _add(self, definition: QueueDefinition) -> None:
        live = LiveQueue(
            definition,
            self._epoch,
            self._ledger,
            self._clock,
            find=self._find,
            next_number=self._next_number,
        )
        self._queues[definition.name] = self._numbers[definition.number] = live

    def _find(self, arn: str) -> LiveQueue | None:
        live = self._queues.get(QueueName(arn.rpartition(":")[2]))
        return live if live is not None and live.definition.arn == arn else None

    def _queue(self, name: QueueName) -> LiveQueue:
        live = self._queues.get(name)
        if live is None:
            raise QueueDoesNotExist(kind="queue", name=name)
        return live

    def _sources_of(self, arn: str) -> list[QueueName]:
        return [
            source.name
            for source in self._definitions()
            if source.attributes.redrive is not None and source.attributes.redrive.dead_letter_queue_arn == arn
        ]

    def _definitions(self) -> list[QueueDefinition]:
        return [live.definition for live in self._queues.values()]

    async def _redefine(self, live: LiveQueue, definition: QueueDefinition) -> None:
        changed = msgspec.structs.replace(definition, modified_at=self._clock.wall_s())
        self._ledger.keep_queue(changed)
        live.redefine(changed)
        await self._ledger.durable()

    def _accept(self, live: LiveQueue, messages: Sequence[NewMessage]) -> Later[list[SentMessage]]:
        """Take messages in; the result is there when they, and what they repeat, are on disk."""
        if not messages:
            return Later.given([])
        self._ledger.check_room()
        sent = live.accept(messages)
        return self._ledger.durable().then(lambda _: sent)

    def _take(self, live: LiveQueue, want: Want, wait_s: float) -> list[ReceivedMessage]:
        """Receive what is there now."""
        check_attempt(want.attempt_id, live.definition.attributes)
        live.advance()
        messages = live.take(want)
        if not messages and live.core.is_over_limit and wait_s <= 0:
            raise OverLimit(name=live.definition.name, in_flight_max=IN_FLIGHT_MAX)
        return messages

    async def _settle(self, live: LiveQueue, messages: Sequence[ReceivedMessage]) -> None:
        """Wait until a receive is on disk: a FIFO queue's groups stay blocked whatever happens."""
        try:
            await self._ledger.durable()
        except asyncio.CancelledError:
            live.give_back(messages)
            raise

    def _next_number(self) -> MessageNumber:
        self._last_message += 1
        return MessageNumber(self._last_message)


@contextlib.contextmanager
def _collector_paused() -> Iterator[None]:
    """Make millions of objects without looking for cycles among them again and again; then leave them out for good."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if was_enabled:
            gc.enable()
