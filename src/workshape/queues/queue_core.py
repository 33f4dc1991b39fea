"""What every kind of queue offers, and what a receive does to a message in each of them. A core.

`queue.py` is the standard queue, `fifo.py` the FIFO queue. Whoever calls has called `advance(now)` first; `now` is in
seconds since the epoch, because it outlives the process.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from workshape.queues.attempts import Attempt
from workshape.queues.limits import VISIBILITY_TIMEOUT_S_MAX
from workshape.queues.model import (
    FairDepth,
    InvalidParameter,
    Message,
    MessageNumber,
    QueueAttributes,
    QueueDepth,
    Receipt,
)


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
    attempt: Attempt | None = None
    """Of a receive that can be made again: what the caller is to write down for that."""


class QueueCore(Protocol):
    """The messages of one queue, and every decision about them."""

    @property
    def attributes(self) -> QueueAttributes:
        """As the owner has set them."""

    @property
    def is_over_limit(self) -> bool:
        """A receive is refused, because too much is in flight."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Message]: ...

    def redefine(self, attributes: QueueAttributes, now: float) -> None:
        """Take over changed attributes."""

    def depth(self) -> QueueDepth:
        """Count the messages by state."""

    def fair_depth(self) -> FairDepth | None:
        """Count the messages of quiet groups; None: the queue has no groups that compete. As slow as it is long."""

    def find(self, number: MessageNumber) -> Message | None:
        """Look a message up, wherever it is."""

    def add(self, message: Message, now: float) -> None:
        """Put a message in: sent, moved here from another queue, or recovered from disk."""

    def advance(self, now: float) -> Advanced:
        """Let time pass: wake what is due, drop what is too old. A bounded amount of it: see `next_deadline`."""

    def next_deadline(self) -> float | None:
        """When `advance` next has something to do; perhaps a time past, when there was more than one step takes."""

    def receive(
        self, count_max: int, visibility_timeout_s: int | None, now: float, *, redrives: bool, attempt_id: str = ""
    ) -> Received:
        """Hand messages out, hide them, and count the receive.

        `redrives` tells whether the dead-letter queue of the redrive policy is there to take messages: if not, they
        go on being delivered. A message moves when a receive would exceed maxReceiveCount.
        """

    def delete(self, receipt: Receipt, handle: str) -> Message | None:
        """Take a message out for good."""

    def change_visibility(self, receipt: Receipt, timeout_s: int, now: float, handle: str) -> Message:
        """Hide an in-flight message for `timeout_s` from now on; 0 makes it visible at once."""

    def give_back(self, receipts: Iterable[Receipt], now: float) -> list[Message]:
        """Undo receives whose receiver went away before it got the messages; returns those undone."""

    def next_to_move(self) -> Message | None:
        """The message that is moved elsewhere next: the one that would be received. None: there is none now."""

    def take_out(self, message: Message) -> None:
        """Let go of the message that `next_to_move` has just named."""

    def purge(self) -> list[MessageNumber]:
        """Drop everything, in-flight messages too; returns what there was."""


def count_receive(message: Message, hidden_s: int, now: float, epoch: int) -> None:
    """Note on a message that it is handed out, and hidden."""
    message.receive_count += 1
    message.queue_receive_count += 1
    message.first_received_at = message.first_received_at or now
    message.received_at = now
    message.epoch = epoch
    message.visible_at = now + hidden_s


def uncount_receive(message: Message) -> None:
    """Note on a message that its last receive never reached anybody."""
    message.receive_count -= 1
    message.queue_receive_count -= 1


def is_latest(message: Message, receipt: Receipt) -> bool:
    """A count beyond the message's own comes from a receive that a crash kept from the disk: nothing is newer."""
    if receipt.receive_count == message.receive_count:
        return receipt.epoch == message.epoch
    return receipt.receive_count > message.receive_count


def unavailable(handle: str) -> InvalidParameter:
    """Make the error for a change of visibility of a message that is gone or was received again since."""
    reason = "Message does not exist or is not available for visibility timeout change."
    return InvalidParameter(value=handle, parameter="ReceiptHandle", reason=reason)


def check_visibility_left(message: Message, timeout_s: int, now: float) -> None:
    """Refuse to hide a message for more than 12 h since its receive.

    Raises:
        InvalidParameter: it would be.
    Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html
    """
    if now - message.received_at + timeout_s > VISIBILITY_TIMEOUT_S_MAX:
        limit = f"Total VisibilityTimeout for the message is beyond the limit [{VISIBILITY_TIMEOUT_S_MAX} seconds]"
        raise InvalidParameter(value=timeout_s, parameter="VisibilityTimeout", reason=limit)
