"""What queues are made of, as values: queues, their attributes, messages on their way in and out, and what goes wrong.

What is made once a message is a Struct: that takes a fifth of the time that a dataclass does.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, NewType

import msgspec

from workshape.errors import Conflict, Denied, Invalid, NotFound, Throttled
from workshape.queues.limits import (
    KMS_REUSE_S_DEFAULT,
    MESSAGE_BYTES_MAX,
    RETENTION_S_DEFAULT,
    VISIBILITY_TIMEOUT_S_DEFAULT,
)

QueueName = NewType("QueueName", str)
QueueNumber = NewType("QueueNumber", int)
"""One queue in the journal. A queue deleted and created again gets another."""
MessageNumber = NewType("MessageNumber", int)
"""One message in the journal; grows with every message sent."""

FIFO_SUFFIX = ".fifo"


class MessageAttribute(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A typed value beside the body. Exactly one of the two values is set."""

    data_type: str
    """`String`, `Number` or `Binary`, perhaps with a custom label: `Number.float`."""
    string_value: str | None = None
    binary_value: bytes | None = None


class RedrivePolicy(msgspec.Struct, frozen=True):
    """Where messages go that were received too often."""

    dead_letter_queue_arn: str
    receive_count_max: int


class RedrivePermission(StrEnum):
    """Which queues may name this one as their dead-letter queue."""

    ALLOW_ALL = "allowAll"
    DENY_ALL = "denyAll"
    BY_QUEUE = "byQueue"


class RedriveAllowPolicy(msgspec.Struct, frozen=True):
    """A dead-letter queue's own say in who uses it."""

    permission: RedrivePermission
    source_queue_arns: tuple[str, ...] = ()


class DeduplicationScope(StrEnum):
    """Among which messages of a FIFO queue a deduplication ID is looked for."""

    QUEUE = "queue"
    MESSAGE_GROUP = "messageGroup"


class FifoThroughputLimit(StrEnum):
    """What a FIFO queue's quota of requests a second counts. Kept and shown: no request is throttled here."""

    PER_QUEUE = "perQueue"
    PER_MESSAGE_GROUP_ID = "perMessageGroupId"


class QueueAttributes(msgspec.Struct, frozen=True):
    """What an owner may set on a queue. The defaults are SQS's.

    Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
    """

    visibility_timeout_s: int = VISIBILITY_TIMEOUT_S_DEFAULT
    delay_s: int = 0
    retention_s: int = RETENTION_S_DEFAULT
    message_bytes_max: int = MESSAGE_BYTES_MAX
    receive_wait_s: int = 0
    redrive: RedrivePolicy | None = None
    redrive_allow: RedriveAllowPolicy | None = None
    policy: str = ""
    """An access policy's JSON: kept and shown, not enforced."""
    kms_master_key_id: str = ""
    kms_data_key_reuse_s: int = KMS_REUSE_S_DEFAULT
    sqs_managed_sse: bool = True
    """Encryption at rest is AWS's affair; these three are kept and shown."""
    fifo: bool = False
    """Given at creation and never changed; a FIFO queue's name ends in .fifo, and no other's does."""
    content_based_deduplication: bool = False
    deduplication_scope: DeduplicationScope = DeduplicationScope.QUEUE
    fifo_throughput_limit: FifoThroughputLimit = FifoThroughputLimit.PER_QUEUE
    """These three are of FIFO queues alone."""


class QueueDefinition(msgspec.Struct, frozen=True):
    """A queue without its messages: what the journal keeps of it."""

    number: QueueNumber
    name: QueueName
    arn: str
    created_at: float
    modified_at: float
    secret: bytes
    """Signs this queue's receipt handles, so that one never issued is told from one that is merely old."""
    attributes: QueueAttributes = QueueAttributes()
    tags: dict[str, str] = {}

    @property
    def is_fifo(self) -> bool:
        """Whether order and deduplication are promised."""
        return self.attributes.fifo


class Message(msgspec.Struct, array_like=True, gc=False):
    """A message in a queue. A mutable Struct because it is both the core's state and the journal's record of it."""

    number: MessageNumber
    message_id: str
    body: str
    md5_of_body: str
    attributes: dict[str, MessageAttribute]
    md5_of_attributes: str
    """Empty when there are no attributes."""
    sender_id: str
    group_id: str
    trace_header: str
    sent_at: float
    """Retention counts from here. In standard queues it never changes, not even on the way to a dead-letter queue."""
    visible_at: float
    receive_count: int = 0
    """Over all queues: ApproximateReceiveCount."""
    queue_receive_count: int = 0
    """In this queue: what its redrive policy looks at."""
    first_received_at: float = 0.0
    received_at: float = 0.0
    epoch: int = 0
    """Which run of the broker made the last receive."""
    dead_letter_source_arn: str = ""
    deduplication_id: str = ""
    """Of messages in FIFO queues, which all have one."""


class Receipt(NamedTuple):
    """What a receipt handle says: one receive of one message."""

    number: MessageNumber
    receive_count: int
    epoch: int


class VisibilityChange(NamedTuple):
    """One message to hide for `timeout_s` from now on."""

    receipt_handle: str
    timeout_s: int


class NewMessage(msgspec.Struct, frozen=True, gc=False):
    """A message as its sender gives it."""

    body: str
    attributes: Mapping[str, MessageAttribute] = msgspec.field(default_factory=dict)
    delay_s: int | None = None
    """None: the queue's own delay."""
    group_id: str = ""
    """On a FIFO queue: whose order it keeps. On a standard queue: the tenant, kept and handed to the receiver."""
    trace_header: str = ""
    sender_id: str = ""
    deduplication_id: str = ""
    """FIFO queues only. Empty: the body's SHA-256, where the queue deduplicates by content."""


class SentMessage(msgspec.Struct, frozen=True, gc=False):
    """What a sender gets back: the message is on disk, or an equal one was sent before (FIFO)."""

    message_id: str
    md5_of_body: str
    md5_of_message_attributes: str
    md5_of_message_system_attributes: str
    """Both empty when there are none."""
    sequence_number: str = ""
    """FIFO queues only."""


class ReceivedMessage(msgspec.Struct, frozen=True, gc=False):
    """A message as a receiver gets it."""

    message_id: str
    receipt_handle: str
    body: str
    md5_of_body: str
    system_attributes: Mapping[str, str]
    """By AWS's names: SentTimestamp, ApproximateReceiveCount, ..."""
    message_attributes: Mapping[str, MessageAttribute]
    md5_of_message_attributes: str


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """How many messages a queue holds, by state."""

    visible: int
    in_flight: int
    delayed: int
    oldest_sent_at: float | None = field(default=None, compare=False)
    """When the oldest of them was sent, Unix time; None: there is none. Depths are equal by their counts."""

    def oldest_s(self, now: float) -> float | None:
        """How old the oldest is."""
        return None if self.oldest_sent_at is None else max(0.0, now - self.oldest_sent_at)


@dataclass(frozen=True, slots=True)
class FairDepth:
    """How many messages a fair queue holds of tenants that are not noisy, and how many are."""

    noisy_groups: int
    quiet: QueueDepth


class QueueDoesNotExist(NotFound):
    """The specified queue does not exist."""


class QueueNameExists(Conflict):
    """A queue already exists with the same name and a different value for attribute {attribute}"""

    attribute: str


class QueueDeletedRecently(Conflict):
    """You must wait 60 seconds after deleting a queue before you can create another with the same name."""


class PurgeQueueInProgress(Conflict):
    """Only one PurgeQueue operation on {name} is allowed every 60 seconds."""

    name: str


class OverLimit(Throttled):
    """Too many messages are in flight in {name}: at most {in_flight_max} may be; delete what has been processed."""

    retryable = False
    name: str
    in_flight_max: int


class PolicyOverLimit(Denied):
    """{found} {what} were found in the policy, maximum allowed is {most}."""

    found: int
    what: str
    most: int


class QueueBusy(Throttled):
    """Too much is asked of the queue at once: {reason}. Try again a little later."""


class MessageNotInflight(Conflict):
    """The message referred to isn't in flight."""


class ReceiptHandleIsInvalid(Invalid):
    """The input receipt handle "{handle}" is not a valid receipt handle."""

    handle: str


class InvalidParameter(Invalid):
    """Value {value} for parameter {parameter} is invalid. Reason: {reason}"""

    value: object
    parameter: str


class InvalidMessageContents(Invalid):
    """The message contains characters outside the allowed set: {reason}"""


class InvalidMessage(Invalid):
    """One or more parameters are invalid. Reason: {reason}"""


class MissingParameter(Invalid):
    """The request must contain the parameter {parameter}."""

    parameter: str


class InvalidAttributeName(Invalid):
    """Unknown Attribute {attribute}."""

    attribute: str


class InvalidAttributeValue(Invalid):
    """Invalid value for the parameter {attribute}. Reason: {reason}"""

    attribute: str
