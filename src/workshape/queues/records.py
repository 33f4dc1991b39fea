"""What the journal holds, and what it adds up to when it is read again.

Records are applied in the order they were written. Replay is forgiving where it may be: the journal's oldest part is
cut off after what is still of use in it has been written again at the end, so a record may speak of a message or a
queue that is known only later, or never again.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from workshape.queues.attempts import Attempt
from workshape.queues.deduplication import Token, token_of
from workshape.queues.model import Message, MessageNumber, QueueDefinition, QueueName, QueueNumber
from workshape.queues.move_task import MoveTask


class QueueKept(msgspec.Struct, frozen=True, array_like=True, tag="queue"):
    """A queue as it is from here on: made, changed, or written again."""

    definition: QueueDefinition


class QueueDeleted(msgspec.Struct, frozen=True, array_like=True, tag="queue-deleted"):
    """A queue and all its messages are gone."""

    queue: QueueNumber
    name: QueueName
    deleted_at: float


class MessagesKept(msgspec.Struct, frozen=True, array_like=True, tag="messages"):
    """Messages as they are from here on: sent, or written again. All of one record, or none."""

    queue: QueueNumber
    messages: tuple[Message, ...]


class Receive(msgspec.Struct, frozen=True, array_like=True):
    """What a receive, a change of visibility or a return leaves behind on one message."""

    number: MessageNumber
    visible_at: float
    receive_count: int
    queue_receive_count: int
    first_received_at: float
    received_at: float
    epoch: int


class MessagesReceived(msgspec.Struct, frozen=True, array_like=True, tag="received"):
    """Messages whose visibility or receive count changed."""

    queue: QueueNumber
    receives: tuple[Receive, ...]


class MessagesDeleted(msgspec.Struct, frozen=True, array_like=True, tag="deleted"):
    """Messages that are gone: deleted or too old."""

    queue: QueueNumber
    numbers: tuple[MessageNumber, ...]


class MessagesMoved(msgspec.Struct, frozen=True, array_like=True, tag="moved"):
    """Messages that went to a dead-letter queue: out of one queue and into the other in one record."""

    source: QueueNumber
    source_arn: str
    target: QueueNumber
    numbers: tuple[MessageNumber, ...]
    moved_at: float


class MessagesTransferred(msgspec.Struct, frozen=True, array_like=True, tag="transferred"):
    """Messages that left one queue and came into another as new ones, in one record."""

    source: QueueNumber
    numbers: tuple[MessageNumber, ...]
    """What they were in the source."""
    target: QueueNumber
    messages: tuple[Message, ...]


class TokensKept(msgspec.Struct, frozen=True, array_like=True, tag="tokens"):
    """Deduplication IDs that a FIFO queue goes on remembering: written again, apart from their messages."""

    queue: QueueNumber
    tokens: tuple[Token, ...]


class AttemptKept(msgspec.Struct, frozen=True, array_like=True, tag="attempt"):
    """An attempt to receive that can be made again: made, made again, or written again."""

    queue: QueueNumber
    attempt: Attempt


class MoveTaskKept(msgspec.Struct, frozen=True, array_like=True, tag="move"):
    """A message move task as it is from here on."""

    task: MoveTask


class MoveTaskForgotten(msgspec.Struct, frozen=True, array_like=True, tag="move-forgotten"):
    """A task that is not told of any more."""

    task_id: str


class QueuePurged(msgspec.Struct, frozen=True, array_like=True, tag="purged"):
    """All messages that the queue had are gone."""

    queue: QueueNumber


Record = (
    QueueKept
    | QueueDeleted
    | MessagesKept
    | MessagesReceived
    | MessagesDeleted
    | MessagesMoved
    | MessagesTransferred
    | TokensKept
    | AttemptKept
    | MoveTaskKept
    | MoveTaskForgotten
    | QueuePurged
)

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Record] = msgspec.msgpack.Decoder(Record)


def encode_record(record: Record) -> bytes:
    """Write a record as the bytes of one frame."""
    return _encoder.encode(record)


def decode_record(data: bytes | memoryview) -> Record:
    """Read a record back.

    Raises:
        msgspec.MsgspecError: not a record.
    """
    return _decoder.decode(data)


def received_record(queue: QueueNumber, messages: Iterable[Message]) -> MessagesReceived:
    """Note what a receive, a change of visibility or a return did."""
    return MessagesReceived(
        queue,
        tuple(
            Receive(
                message.number,
                message.visible_at,
                message.receive_count,
                message.queue_receive_count,
                message.first_received_at,
                message.received_at,
                message.epoch,
            )
            for message in messages
        ),
    )


def reborn_message(message: Message, number: MessageNumber, source_arn: str, moved_at: float) -> Message:
    """Make what a message becomes that goes to a FIFO dead-letter queue: the same message, at the end of its group.

    Its deduplication ID is its message ID, so that no two independent messages meet there, and it has just been sent.

    Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-dead-letter-queue-redrive.html
    Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/setting-up-dead-letter-queue-retention.html
    """
    return msgspec.structs.replace(
        message,
        number=number,
        deduplication_id=message.message_id,
        sent_at=moved_at,
        visible_at=moved_at,
        queue_receive_count=0,
        received_at=0.0,
        dead_letter_source_arn=source_arn,
    )


def renewed_message(message: Message, number: MessageNumber, message_id: str, sent_at: float, delay_s: int) -> Message:
    """Make what a message becomes that a move task takes elsewhere: a new one, sent now.

    Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-dead-letter-queue-redrive.html
    """
    return msgspec.structs.replace(
        message,
        number=number,
        message_id=message_id,
        sent_at=sent_at,
        visible_at=sent_at + delay_s,
        receive_count=0,
        queue_receive_count=0,
        first_received_at=0.0,
        received_at=0.0,
        epoch=0,
        dead_letter_source_arn="",
    )


def move_message(message: Message, source_arn: str, moved_at: float) -> None:
    """Change a message that goes to a dead-letter queue: visible there at once, its receives counted anew."""
    message.dead_letter_source_arn = source_arn
    message.visible_at = moved_at
    message.queue_receive_count = 0


class Kept(msgspec.Struct, gc=False):
    """Something still of use, and where in the journal it was last written whole."""

    segment: int
    size_bytes: int


class KeptMessage(Kept, gc=False):
    """A message that is still there."""

    queue: QueueNumber
    message: Message


class KeptToken(Kept, gc=False):
    """A deduplication ID that still counts."""

    queue: QueueNumber
    token: Token


class KeptAttempt(Kept, gc=False):
    """An attempt to receive that still counts."""

    queue: QueueNumber
    attempt: Attempt


class KeptTask(Kept, gc=False):
    """A message move task that is still told of."""

    task: MoveTask


class KeptQueue(Kept, gc=False):
    """A queue that is still there."""

    definition: QueueDefinition


@dataclass(slots=True)
class Replay:
    """The state the records so far add up to, at the time `now`."""

    now: float = 0.0
    queues: dict[QueueNumber, KeptQueue] = field(default_factory=dict)
    messages: dict[MessageNumber, KeptMessage] = field(default_factory=dict)
    tokens: dict[tuple[QueueNumber, MessageNumber], KeptToken] = field(default_factory=dict)
    attempts: dict[tuple[QueueNumber, str], KeptAttempt] = field(default_factory=dict)
    tasks: dict[str, KeptTask] = field(default_factory=dict)
    deleted_at: dict[QueueName, float] = field(default_factory=dict)
    last_queue: int = 0
    """The largest queue number seen, and below it the largest message number: neither may be used again."""
    last_message: int = 0
    _by_queue: dict[QueueNumber, set[MessageNumber]] = field(default_factory=dict)

    def apply(self, record: Record, segment: int, size_bytes: int) -> None:
        """Take the next record, read from `segment`."""
        match record:
            case MessagesKept():
                self._keep(record, segment, size_bytes)
            case MessagesReceived(_, receives):
                self._receive(receives)
            case MessagesDeleted(_, numbers):
                self._drop(numbers)
            case MessagesMoved():
                self._move(record)
            case MessagesTransferred():
                self._drop(record.numbers)
                self._keep(MessagesKept(record.target, record.messages), segment, size_bytes)
            case TokensKept() | AttemptKept():
                self._apply_recent(record, segment)
            case MoveTaskKept(task):
                self.tasks[task.id] = KeptTask(segment, size_bytes, task)
            case MoveTaskForgotten(task_id):
                self.tasks.pop(task_id, None)
            case _:
                self._apply_to_queue(record, segment, size_bytes)

    def finish(self) -> None:
        """Drop the messages of queues that are not there: what a deleted queue's records left behind."""
        for queue in [queue for queue in self._by_queue if queue not in self.queues]:
            self._purge(queue)
        for key in [key for key in self.tokens if key[0] not in self.queues]:
            del self.tokens[key]
        self.attempts = {key: kept for key, kept in self.attempts.items() if kept.queue in self.queues}
        self.tasks = {task_id: kept for task_id, kept in self.tasks.items() if kept.task.source in self.queues}

    def _apply_recent(self, record: TokensKept | AttemptKept, segment: int) -> None:
        match record:
            case TokensKept(queue, tokens):
                for token in tokens:
                    self._remember(KeptToken(segment, token.size_bytes, queue, token))
            case AttemptKept(queue, attempt):
                if not attempt.is_old(self.now):
                    self.attempts[queue, attempt.id] = KeptAttempt(segment, attempt.size_bytes, queue, attempt)

    def _apply_to_queue(self, record: QueueKept | QueueDeleted | QueuePurged, segment: int, size_bytes: int) -> None:
        match record:
            case QueueKept(definition):
                self.queues[definition.number] = KeptQueue(segment, size_bytes, definition)
                self.last_queue = max(self.last_queue, definition.number)
            case QueueDeleted(queue, name, deleted_at):
                self._purge(queue)
                self.queues.pop(queue, None)
                self.deleted_at[name] = deleted_at
                self.last_queue = max(self.last_queue, queue)
            case QueuePurged(queue):
                self._purge(queue)

    def _keep(self, record: MessagesKept, segment: int, size_bytes: int) -> None:
        numbers = tuple(message.number for message in record.messages)
        self._drop(numbers)
        self._by_queue.setdefault(record.queue, set()).update(numbers)
        share_bytes = size_bytes // len(numbers)
        for message in record.messages:
            self.messages[message.number] = KeptMessage(segment, share_bytes, record.queue, message)
            if message.deduplication_id:
                token = token_of(message)
                self._remember(KeptToken(segment, token.size_bytes, record.queue, token))

    def _remember(self, kept: KeptToken) -> None:
        if not kept.token.is_old(self.now):
            self.tokens[kept.queue, kept.token.number] = kept

    def _receive(self, receives: tuple[Receive, ...]) -> None:
        for receive in receives:
            self.last_message = max(self.last_message, receive.number)
            if (kept := self.messages.get(receive.number)) is None:
                continue
            message = kept.message
            message.visible_at = receive.visible_at
            message.receive_count = receive.receive_count
            message.queue_receive_count = receive.queue_receive_count
            message.first_received_at = receive.first_received_at
            message.received_at = receive.received_at
            message.epoch = receive.epoch

    def _move(self, record: MessagesMoved) -> None:
        for number in record.numbers:
            self.last_message = max(self.last_message, number)
            if (kept := self.messages.get(number)) is None:
                continue
            move_message(kept.message, record.source_arn, record.moved_at)
            self._by_queue[kept.queue].discard(number)
            kept.queue = record.target
            self._by_queue.setdefault(record.target, set()).add(number)

    def _drop(self, numbers: tuple[MessageNumber, ...]) -> None:
        self.last_message = max(self.last_message, *numbers)
        for number in numbers:
            if (kept := self.messages.pop(number, None)) is not None:
                self._by_queue[kept.queue].discard(number)

    def _purge(self, queue: QueueNumber) -> None:
        for number in self._by_queue.pop(queue, set()):
            self.messages.pop(number)
            self.last_message = max(self.last_message, number)
