"""What the broker writes down, and how the journal is kept short.

Deleting only ever happens at the journal's old end: when it has grown far beyond what is still of use, whatever is
still of use in the oldest segment is written again at the new end, and the segment is dropped. So nothing stops the
world, and the note that a message was deleted always outlives the message.
"""

import logging
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from workshape.later import Later
from workshape.queues.attempts import Attempt
from workshape.queues.deduplication import Token
from workshape.queues.journal import Journal, ReadRecord
from workshape.queues.limits import ATTEMPT_S_MAX, DEDUPLICATION_S, KIB, MIB, PENDING_BYTES_MAX
from workshape.queues.model import Message, MessageNumber, QueueBusy, QueueDefinition, QueueNumber
from workshape.queues.move_task import MoveTask
from workshape.queues.records import (
    AttemptKept,
    MessagesDeleted,
    MessagesKept,
    MessagesMoved,
    MessagesTransferred,
    MoveTaskForgotten,
    MoveTaskKept,
    QueueDeleted,
    QueueKept,
    QueuePurged,
    Replay,
    TokensKept,
    received_record,
)

JOURNAL_BYTES_MIN = 32 * MIB
"""Below this the journal is left alone: about a second of recovery."""
JOURNAL_BYTES_PER_LIVE_BYTE = 3
"""Beyond this many times what is of use it is cleaned: each byte is then written again about half a time on average."""
SEGMENTS_MAX = 64
"""Every start makes a segment, however small; beyond this many the oldest are cleaned whatever their size."""
CLEANED_BYTES_AT_ONCE = 512 * KIB
"""Between such steps everyone else has their turn."""
CLEANED_TOKENS_AT_ONCE = 2_000
"""The same, of deduplication IDs, and of attempts to receive."""

_log = logging.getLogger(__name__)

Key = TypeVar("Key", bound=Hashable)
MessageKey = tuple[QueueNumber, MessageNumber]


class LiveIndex(Generic[Key]):
    """Which segment each thing that is still of use was last written to, whole, and its size there."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self._places: dict[Key, tuple[int, int]] = {}
        self._by_segment: dict[int, dict[Key, None]] = {}

    def put(self, key: Key, segment: int, size_bytes: int) -> None:
        """Note that it has been written to `segment`."""
        self.drop(key)
        self._places[key] = (segment, size_bytes)
        self._by_segment.setdefault(segment, {})[key] = None
        self.size_bytes += size_bytes

    def drop(self, key: Key) -> None:
        """Forget it: it is of no more use."""
        if (place := self._places.pop(key, None)) is None:
            return
        segment, size_bytes = place
        self.size_bytes -= size_bytes
        keys = self._by_segment[segment]
        del keys[key]
        if not keys:
            del self._by_segment[segment]

    def rename(self, old: Key, new: Key) -> None:
        """It is found under another key from here on."""
        segment, size_bytes = self._places[old]
        self.drop(old)
        self.put(new, segment, size_bytes)

    def first_in(self, segment: int, size_bytes_max: int) -> list[Key]:
        """Some of what was last written to `segment`: at least one, if there is any, up to about that size."""
        keys: list[Key] = []
        size_bytes = 0
        for key in self._by_segment.get(segment, {}):
            if size_bytes >= size_bytes_max:
                break
            keys.append(key)
            size_bytes += self._places[key][1]
        return keys


class Recent(Protocol):
    """What counts for some minutes, then never again."""

    @property
    def since(self) -> float:
        """From when on it counts."""

    @property
    def size_bytes(self) -> int:
        """About what it takes on disk when it is written again."""

    def is_old(self, now: float) -> bool:
        """Whether it counts no longer."""


R = TypeVar("R", bound=Recent)


@dataclass(slots=True)
class _Page(Generic[R]):
    """What was written to one segment."""

    newest_at: float = 0.0
    size_bytes: int = 0
    items: list[tuple[QueueNumber, R]] = field(default_factory=list)


class RecentIndex(Generic[R]):
    """What of such things each segment was the last to be given. A segment's are forgotten all at once."""

    def __init__(self, counts_s: float) -> None:
        """`counts_s` is how long one of them counts."""
        self._counts_s = counts_s
        self._pages: dict[int, _Page[R]] = {}

    @property
    def size_bytes(self) -> int:
        """About what they take on disk when they are written again."""
        return sum(page.size_bytes for page in self._pages.values())

    def put(self, queue: QueueNumber, item: R, segment: int) -> None:
        """Note that it has been written to `segment`."""
        page = self._pages.setdefault(segment, _Page())
        page.items.append((queue, item))
        page.newest_at = max(page.newest_at, item.since)
        page.size_bytes += item.size_bytes

    def forget_old(self, now: float) -> None:
        """Forget segments all of whose things no longer count."""
        for segment, page in list(self._pages.items()):
            if page.newest_at + self._counts_s <= now:
                del self._pages[segment]

    def take_from(self, segment: int, count_max: int, now: float) -> dict[QueueNumber, list[R]]:
        """Take some that still count out of a segment, to be written again; empty: there is none left."""
        taken: dict[QueueNumber, list[R]] = {}
        page: _Page[R] = self._pages.get(segment, _Page())
        count = 0
        while page.items and count < count_max:
            queue, item = page.items.pop()
            page.size_bytes -= item.size_bytes
            if not item.is_old(now):
                taken.setdefault(queue, []).append(item)
                count += 1
        if not page.items:
            self._pages.pop(segment, None)
        return taken


class Ledger:
    """The journal, and where in it everything is that still counts."""

    def __init__(self, journal: Journal, replay: Replay) -> None:
        self._journal = journal
        self._queues: LiveIndex[QueueNumber] = LiveIndex()
        self._messages: LiveIndex[MessageKey] = LiveIndex()
        for queue, kept_queue in replay.queues.items():
            self._queues.put(queue, kept_queue.segment, kept_queue.size_bytes)
        for number, kept_message in replay.messages.items():
            self._messages.put((kept_message.queue, number), kept_message.segment, kept_message.size_bytes)
        self._tasks: LiveIndex[str] = LiveIndex()
        for task_id, kept_task in replay.tasks.items():
            self._tasks.put(task_id, kept_task.segment, kept_task.size_bytes)
        self._tokens: RecentIndex[Token] = RecentIndex(DEDUPLICATION_S)
        for kept_token in replay.tokens.values():
            self._tokens.put(kept_token.queue, kept_token.token, kept_token.segment)
        self._attempts: RecentIndex[Attempt] = RecentIndex(ATTEMPT_S_MAX)
        for kept_attempt in replay.attempts.values():
            self._attempts.put(kept_attempt.queue, kept_attempt.attempt, kept_attempt.segment)

    def __repr__(self) -> str:
        return f"<Ledger live_bytes={self.live_bytes} {self._journal!r}>"

    @classmethod
    async def open(cls, folder: Path, now: float) -> "tuple[Ledger, Replay]":
        """Read the journal in `folder`; returns what it adds up to `now` as well.

        Raises:
            JournalCorrupt, JournalFailed: see `Journal.open`.
        """
        replay = Replay(now)

        def apply(read: ReadRecord) -> None:
            replay.apply(read.record, read.segment, read.size_bytes)

        journal = await Journal.open(folder, apply)
        replay.finish()
        return cls(journal, replay), replay

    @property
    def live_bytes(self) -> int:
        """The size of all that is still of use."""
        indexes = (self._queues, self._messages, self._tokens, self._attempts, self._tasks)
        return sum(index.size_bytes for index in indexes)

    def durable(self) -> Later[None]:
        """Say when everything noted so far is on disk; it fails with JournalFailed when it never will be."""
        return self._journal.durable()

    async def close(self) -> None:
        """Write what is left and close the journal."""
        await self._journal.close()

    def check_room(self) -> None:
        """Refuse more while the disk is far behind.

        Raises:
            QueueBusy: too much is waiting to be written.
        """
        if self._journal.pending_bytes > PENDING_BYTES_MAX:
            raise QueueBusy(reason="the disk does not keep up")

    def keep_queue(self, definition: QueueDefinition) -> None:
        """A queue was made or changed."""
        segment = self._journal.segment
        self._queues.put(definition.number, segment, self._journal.append(QueueKept(definition)))

    def delete_queue(self, definition: QueueDefinition, numbers: Sequence[MessageNumber], now: float) -> None:
        """A queue is gone, and its messages `numbers` with it."""
        self._journal.append(QueueDeleted(definition.number, definition.name, now))
        self._queues.drop(definition.number)
        self._forget(definition.number, numbers)

    def keep_messages(self, queue: QueueNumber, messages: Sequence[Message], tokens: Sequence[Token] = ()) -> None:
        """Messages were sent: all of them or none. `tokens` are those of a FIFO queue's messages."""
        segment = self._journal.segment
        size_bytes = self._journal.append(MessagesKept(queue, tuple(messages)))
        self._index(queue, messages, tokens, segment, size_bytes)

    def keep_tokens(self, queue: QueueNumber, tokens: Sequence[Token]) -> None:
        """Deduplication IDs still count whose segment is to go."""
        segment = self._journal.segment
        self._journal.append(TokensKept(queue, tuple(tokens)))
        for token in tokens:
            self._tokens.put(queue, token, segment)

    def keep_attempt(self, queue: QueueNumber, attempt: Attempt) -> None:
        """An attempt to receive was made that can be made again, or still can when its segment is to go."""
        segment = self._journal.segment
        self._journal.append(AttemptKept(queue, attempt))
        self._attempts.put(queue, attempt, segment)

    def receive(self, queue: QueueNumber, messages: Sequence[Message]) -> None:
        """Receive counts or visibility changed."""
        self._journal.append(received_record(queue, messages))

    def delete(self, queue: QueueNumber, numbers: Sequence[MessageNumber]) -> None:
        """Messages were deleted, or expired."""
        self._journal.append(MessagesDeleted(queue, tuple(numbers)))
        self._forget(queue, numbers)

    def move(self, source: QueueDefinition, target: QueueNumber, numbers: Sequence[MessageNumber], now: float) -> None:
        """Messages went to a dead-letter queue."""
        self._journal.append(MessagesMoved(source.number, source.arn, target, tuple(numbers), now))
        for number in numbers:
            self._messages.rename((source.number, number), (target, number))

    def transfer(
        self,
        source: QueueNumber,
        numbers: Sequence[MessageNumber],
        target: QueueNumber,
        messages: Sequence[Message],
        tokens: Sequence[Token] = (),
    ) -> None:
        """Messages left one queue and came into another as new ones."""
        segment = self._journal.segment
        record = MessagesTransferred(source, tuple(numbers), target, tuple(messages))
        size_bytes = self._journal.append(record)
        self._forget(source, numbers)
        self._index(target, messages, tokens, segment, size_bytes)

    def keep_task(self, task: MoveTask) -> None:
        """A message move task began, got on or ended."""
        segment = self._journal.segment
        self._tasks.put(task.id, segment, self._journal.append(MoveTaskKept(task)))

    def forget_task(self, task_id: str) -> None:
        """A message move task is not told of any more."""
        self._journal.append(MoveTaskForgotten(task_id))
        self._tasks.drop(task_id)

    def purge(self, queue: QueueNumber, numbers: Sequence[MessageNumber]) -> None:
        """A queue was emptied."""
        self._journal.append(QueuePurged(queue))
        self._forget(queue, numbers)

    @property
    def needs_cleaning(self) -> bool:
        """The journal is much longer than what it is needed for."""
        bytes_max = max(JOURNAL_BYTES_MIN, JOURNAL_BYTES_PER_LIVE_BYTE * self.live_bytes)
        return self.can_clean and (self._journal.segments > SEGMENTS_MAX or self._journal.size_bytes > bytes_max)

    @property
    def can_clean(self) -> bool:
        """There is a segment that nothing is written to any more."""
        return self._journal.oldest_segment < self._journal.segment

    def oldest_messages(self) -> list[MessageKey]:
        """Some of what stands in the way of dropping the oldest segment; empty: nothing of messages does."""
        return self._messages.first_in(self._journal.oldest_segment, CLEANED_BYTES_AT_ONCE)

    def oldest_queues(self) -> list[QueueNumber]:
        """The same, of queues."""
        return self._queues.first_in(self._journal.oldest_segment, CLEANED_BYTES_AT_ONCE)

    def oldest_tasks(self) -> list[str]:
        """The same, of message move tasks."""
        return self._tasks.first_in(self._journal.oldest_segment, CLEANED_BYTES_AT_ONCE)

    def take_oldest_tokens(self, now: float) -> Mapping[QueueNumber, Sequence[Token]]:
        """The same, of deduplication IDs; whoever takes them keeps them again at once."""
        return self._tokens.take_from(self._journal.oldest_segment, CLEANED_TOKENS_AT_ONCE, now)

    def take_oldest_attempts(self, now: float) -> Mapping[QueueNumber, Sequence[Attempt]]:
        """The same, of attempts to receive."""
        return self._attempts.take_from(self._journal.oldest_segment, CLEANED_TOKENS_AT_ONCE, now)

    def forget_old(self, now: float) -> None:
        """Let go of deduplication IDs and attempts to receive that no longer count."""
        self._tokens.forget_old(now)
        self._attempts.forget_old(now)

    async def drop_oldest(self) -> None:
        """Drop the oldest segment: what it held has been written again, or is of no more use.

        Raises:
            JournalFailed: what was written again is not on disk.
        """
        await self._journal.durable()
        _log.info("journal_cleaned segment=%d live_bytes=%d", self._journal.oldest_segment, self.live_bytes)
        await self._journal.drop_oldest()

    def _index(
        self,
        queue: QueueNumber,
        messages: Sequence[Message],
        tokens: Sequence[Token],
        segment: int,
        size_bytes: int,
    ) -> None:
        for message in messages:
            self._messages.put((queue, message.number), segment, size_bytes // len(messages))
        for token in tokens:
            self._tokens.put(queue, token, segment)

    def _forget(self, queue: QueueNumber, numbers: Sequence[MessageNumber]) -> None:
        for number in numbers:
            self._messages.drop((queue, number))
