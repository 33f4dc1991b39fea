"""What SNS is made of, as values: topics, subscriptions, messages, and what goes wrong. A core.

Source: https://docs.aws.amazon.com/sns/latest/api/Welcome.html
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from workshape.delivery import FIFO_SUFFIX, DeliveryAttribute
from workshape.errors import Conflict, Invalid, NotFound

KIB = 1024
MESSAGE_BYTES_DEFAULT = 256 * KIB
MESSAGE_BYTES_MIN = KIB
MESSAGE_BYTES_MAX = 1_024 * KIB
"""All three: https://docs.aws.amazon.com/sns/latest/api/API_CreateTopic.html (MaximumMessageSize)"""
SUBJECT_CHARACTERS_MAX = 99
"""Source: https://docs.aws.amazon.com/sns/latest/api/API_Publish.html (Subject: less than 100)"""
BATCH_ENTRIES_MAX = 10
"""Source: https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html"""
DEDUPLICATION_S = 300.0
"""Source: https://docs.aws.amazon.com/sns/latest/dg/fifo-message-dedup.html"""
TAGS_MAX = 50
"""Source: https://docs.aws.amazon.com/sns/latest/dg/sns-tags.html"""
SUBSCRIPTIONS_MAX = 10_000
"""Of one topic. AWS allows 12,500,000; here each is walked at every publish."""
_TOPIC_NAME = re.compile(r"[A-Za-z0-9_-]{1,256}")


class Protocol(StrEnum):
    """How a subscription is delivered to."""

    SQS = "sqs"
    LAMBDA = "lambda"


class FilterScope(StrEnum):
    """What a subscription's filter policy looks at."""

    ATTRIBUTES = "MessageAttributes"
    BODY = "MessageBody"


class DeduplicationScope(StrEnum):
    """Among which messages of a FIFO topic a deduplication ID is looked for."""

    TOPIC = "Topic"
    GROUP = "MessageGroup"


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """A topic without its subscriptions. Durable as it is."""

    name: str
    arn: str
    display_name: str = ""
    content_based_deduplication: bool = False
    deduplication_scope: DeduplicationScope = DeduplicationScope.TOPIC
    message_bytes_max: int | None = None
    """None: it was never set."""
    signature_version: str = "1"
    shown: dict[str, str] = {}
    """What is kept and shown, without effect here: policies, keys, feedback roles, tracing."""
    tags: dict[str, str] = {}

    @property
    def is_fifo(self) -> bool:
        """Tell whether it keeps an order."""
        return self.name.endswith(FIFO_SUFFIX)


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """What a topic sends somewhere. Durable as it is."""

    arn: str
    topic_arn: str
    protocol: Protocol
    endpoint: str
    """The ARN of the queue or the function."""
    raw: bool = False
    filter_policy: str = ""
    """JSON; empty: it takes everything."""
    filter_scope: FilterScope = FilterScope.ATTRIBUTES
    dead_letter_arn: str = ""
    """Queue that gets what could not be delivered; empty: nothing does."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message as its publisher gives it."""

    body: str
    subject: str = ""
    attributes: Mapping[str, DeliveryAttribute] = field(default_factory=dict)
    """Their types may also be `String.Array`."""
    by_protocol: Mapping[str, str] | None = None
    """Of MessageStructure json: the bodies for those protocols that have one of their own; `body` is the others'."""
    group_id: str = ""
    deduplication_id: str = ""
    trace_header: str = ""

    def body_for(self, protocol: Protocol) -> str:
        """The body that subscriptions of a protocol get."""
        return self.body if self.by_protocol is None else self.by_protocol.get(protocol.value, self.body)


@dataclass(frozen=True, slots=True)
class Published:
    """What a publisher gets back: the message is where it goes, or on disk on its way there."""

    message_id: str
    sequence_number: str = ""
    """Of FIFO topics."""


class TopicNotFound(NotFound):
    """Topic does not exist"""


class SubscriptionNotFound(NotFound):
    """Subscription does not exist"""


class InvalidParameter(Invalid):
    """Invalid parameter: {parameter} Reason: {reason}"""

    parameter: str


class TopicExists(Conflict):
    """Invalid parameter: Attributes Reason: Topic already exists with different {what}"""

    what: str


class SubscriptionExists(Conflict):
    """Invalid parameter: Attributes Reason: Subscription already exists with different attributes"""


class TooManyTags(Conflict):
    """Could not complete request: tag quota of per resource exceeded"""


class SubscriptionLimitExceeded(Conflict):
    """A topic has at most {count_max} subscriptions here."""

    count_max: int


def check_topic(topic: Topic) -> None:
    """Refuse what SNS would refuse.

    Raises:
        InvalidParameter, TooManyTags.
    """
    if not _TOPIC_NAME.fullmatch(topic.name.removesuffix(FIFO_SUFFIX)):
        raise InvalidParameter(parameter="Topic Name", reason="1 to 256 letters, digits, hyphens and underscores")
    if topic.content_based_deduplication and not topic.is_fifo:
        reason = "Content-based deduplication can only be set for FIFO topics"
        raise InvalidParameter(parameter="ContentBasedDeduplication", reason=reason)
    size = topic.message_bytes_max
    if size is not None and not MESSAGE_BYTES_MIN <= size <= MESSAGE_BYTES_MAX:
        reason = f"it is {MESSAGE_BYTES_MIN} to {MESSAGE_BYTES_MAX}"
        raise InvalidParameter(parameter="MaximumMessageSize", reason=reason)
    if topic.signature_version not in ("1", "2"):
        raise InvalidParameter(parameter="SignatureVersion", reason="it is 1 or 2")
    if len(topic.tags) > TAGS_MAX:
        raise TooManyTags()
